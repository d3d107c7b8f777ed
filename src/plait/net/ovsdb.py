"""A connection to an OVSDB server: the session and the replica on an asyncio transport.

The connection has no task of its own: bytes are taken as they come, time by the loop's timer. It does not
reconnect; when it is lost every open call raises `ConnectionLost`, `changes()` ends, and who owns it makes a
new one (with a Backoff) and compares.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, TypeVar, assert_never, cast

from plait.net.stream import DIAL_TIMEOUT_S, TlsFiles, attach
from plait.wire.errors import MalformedMessage
from plait.wire.ovsdb.operations import Operation, OperationResult, OvsdbError, decode_results
from plait.wire.ovsdb.replica import Replica, RowChange
from plait.wire.ovsdb.schema import Schema, decode_schema
from plait.wire.ovsdb.session import Notified, OvsdbSession, PeerSilent, Replied

KEEPALIVE_S = 5.0

Listener = Callable[[Sequence[RowChange]], None]


class ConnectionLost(Exception):
    """The connection to `target` ended, for `reason`."""

    def __init__(self, target: str, reason: str) -> None:
        super().__init__(f"lost the connection to {target}: {reason}")
        self.target = target
        self.reason = reason


class OvsdbConnection:
    """Calls, transactions and one monitor on one database of a server."""

    def __init__(self, link: "_Link", target: str, database: str) -> None:
        self._link = link
        self._target = target
        self._database = database
        self._replica: Replica | None = None
        self._unseen: dict[tuple[str, str], RowChange] = {}
        self._is_woken = asyncio.Event()

    @classmethod
    async def connect(
        cls,
        target: str,
        tls: TlsFiles | None = None,
        *,
        database: str = "Open_vSwitch",
        keepalive_s: float | None = KEEPALIVE_S,
        timeout_s: float = DIAL_TIMEOUT_S,
    ) -> "OvsdbConnection":
        """Connect to `target`. Raises Unreachable.

        A server silent for `keepalive_s` is asked by an echo, and lost when it is silent for as long again;
        None never asks.
        """
        _, link = await attach(target, lambda: _Link(target, keepalive_s), tls, timeout_s=timeout_s)
        return cls(link, target, database)

    @property
    def lost_reason(self) -> str | None:
        """Why the connection ended; None while it lives."""
        return self._link.lost_reason

    async def wait_lost(self) -> str:
        """Wait until the connection has ended; returns why."""
        await self._link.ended.wait()
        return self._link.lost_reason or "closed"

    async def call(self, method: str, *params: Any) -> Any:
        """One request's result. Raises OvsdbError if the server refuses it, ConnectionLost."""
        return await self._link.call(method, params, _result_of(method))

    async def transact(self, *operations: Operation) -> list[OperationResult]:
        """Carry out all operations or none; one result each.

        The replica already shows what they changed when this returns. Raises OvsdbError naming the operation,
        ConnectionLost (then it is not known whether the transaction was carried out).
        """
        raw = await self.call("transact", self._database, *operations)
        try:
            return decode_results(operations, raw)
        except MalformedMessage as error:
            self._link.fail(str(error))
            raise ConnectionLost(self._target, str(error)) from None

    async def monitor(
        self, tables: Mapping[str, Sequence[str]], *, listener: Listener | None = None
    ) -> Replica:
        """Follow these columns of these tables; returns the replica, which from now on is current by itself.

        `listener` is called with every change before anything else sees it, first with the initial rows;
        without one, the changes after the initial rows come by `changes()`. Once a connection. Raises
        OvsdbError, ConnectionLost.
        """
        if self._replica is not None:
            raise RuntimeError("this connection has its monitor already: ask for all tables at once")
        schema = await self._link.call("get_schema", [self._database], _schema_of)
        replica = self._replica = Replica(schema)

        def start(reply: Replied) -> Replica:
            # Called in the order of the stream, since updates may come right behind the reply.
            changes = replica.restart(_result_of("monitor_cond")(reply))
            if listener is not None:
                listener(changes)
            self._link.on_notified = update
            return replica

        def update(notified: Notified) -> None:
            if notified.method != "update2" or len(notified.params) != 2:
                return
            changes = replica.apply(notified.params[1])
            if changes:
                (listener or self._remember)(changes)

        requests = {table: [{"columns": list(columns)}] for table, columns in tables.items()}
        return await self._link.call("monitor_cond", [self._database, "plait", requests], start)

    async def changes(self) -> AsyncIterator[tuple[RowChange, ...]]:
        """What changed since the last step, one change a row however often it did; ends with the connection.

        For one reader. Needs a monitor without a listener.
        """
        self.when_lost(self._is_woken.set)
        while True:
            await self._is_woken.wait()
            self._is_woken.clear()
            changes, self._unseen = tuple(self._unseen.values()), {}
            if changes:
                yield changes
            if self.lost_reason is not None:
                return

    def when_lost(self, callback: Callable[[], None]) -> None:
        """Call back once when the connection ends; at once if it has."""
        self._link.when_ended(callback)

    async def close(self) -> None:
        """Close the connection and wait until it is closed."""
        self._link.close()
        await self._link.ended.wait()

    def _remember(self, changes: Sequence[RowChange]) -> None:
        for change in changes:
            key = change.table, change.uuid
            earlier = self._unseen.get(key)
            old = change.old if earlier is None else earlier.old
            if old is None and change.new is None:  # came and went unseen
                self._unseen.pop(key, None)
            else:
                self._unseen[key] = RowChange(change.table, change.uuid, old, change.new)
        self._is_woken.set()


Result = TypeVar("Result")


class _Link(asyncio.Protocol):
    """The session on its transport: futures for calls, the loop's timer for the keepalive."""

    def __init__(self, target: str, keepalive_s: float | None) -> None:
        self._target = target
        self._loop = asyncio.get_running_loop()
        self._session = OvsdbSession(self._loop.time(), keepalive_s=keepalive_s)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._pending: dict[int, Callable[[Replied | None], None]] = {}
        self._when_ended: list[Callable[[], None]] = []
        self.on_notified: Callable[[Notified], None] = _ignore
        self.lost_reason: str | None = None
        self.ended = asyncio.Event()

    async def call(self, method: str, params: Sequence[Any], finish: Callable[[Replied], Result]) -> Result:
        """The value that `finish` makes of the reply, at the very moment the reply is read."""
        if self.lost_reason is not None:
            raise ConnectionLost(self._target, self.lost_reason)
        future: asyncio.Future[Result] = self._loop.create_future()

        def settle(reply: Replied | None) -> None:
            if future.done():  # cancelled by its caller
                return
            if reply is None:
                future.set_exception(ConnectionLost(self._target, self.lost_reason or "closed"))
                return
            try:
                future.set_result(finish(reply))
            except OvsdbError as error:
                future.set_exception(error)
            except MalformedMessage as error:
                future.set_exception(ConnectionLost(self._target, str(error)))
                raise

        self._pending[self._session.request(method, params)] = settle
        self._flush()
        return await future

    def fail(self, reason: str) -> None:
        """Give the connection up."""
        self._end(reason)
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Send what is left, then close."""
        if self._transport is not None:
            self._transport.close()

    def when_ended(self, callback: Callable[[], None]) -> None:
        """Call back when the link ends, or at once."""
        if self.lost_reason is not None:
            callback()
        else:
            self._when_ended.append(callback)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The loop's: bytes can be sent."""
        self._transport = cast(asyncio.Transport, transport)
        self._arm()

    def data_received(self, data: bytes) -> None:
        """The loop's: bytes came."""
        try:
            self._session.receive(data, self._loop.time())
            self._dispatch()
        except MalformedMessage as error:
            self.fail(f"the server sent what is not OVSDB ({error})")
        else:
            self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """The loop's: the transport is closed."""
        self._end("closed by the server" if exc is None else str(exc))
        if self._timer is not None:
            self._timer.cancel()
        self.ended.set()

    def _dispatch(self) -> None:
        for event in self._session.events():
            match event:
                case Replied(id=id):
                    self._pending.pop(id)(event)
                case Notified():
                    self.on_notified(event)
                case PeerSilent(silent_s=silent_s):
                    self.fail(f"the server has been silent for {silent_s:.0f} s")
                case _:
                    assert_never(event)

    def _flush(self) -> None:
        output = self._session.take_output()
        if output and self._transport is not None:
            self._transport.write(output)

    def _arm(self) -> None:
        deadline = self._session.next_deadline()
        if deadline is not None and self.lost_reason is None:
            self._timer = self._loop.call_at(deadline, self._tick)

    def _tick(self) -> None:
        self._session.tick(self._loop.time())
        self._dispatch()
        self._flush()
        self._arm()

    def _end(self, reason: str) -> None:
        if self.lost_reason is not None:
            return
        self.lost_reason = reason
        pending, self._pending = self._pending, {}
        for settle in pending.values():
            settle(None)
        for callback in self._when_ended:
            callback()


def _ignore(_notified: Notified) -> None:
    pass


def _result_of(method: str) -> Callable[[Replied], Any]:
    def finish(reply: Replied) -> Any:
        if reply.error is not None:
            raise _refusal(method, reply.error)
        return reply.result

    return finish


def _schema_of(reply: Replied) -> Schema:
    return decode_schema(_result_of("get_schema")(reply))


def _refusal(method: str, error: Any) -> OvsdbError:
    match error:
        case {"error": str(name)}:
            return OvsdbError(None, method, name, str(error.get("details", "")))
    return OvsdbError(None, method, str(error), "")
