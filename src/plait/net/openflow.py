"""A connection to a switch: the OpenFlow session on an asyncio transport.

The connection has no task of its own: bytes are taken as they come, time by the loop's timer. It does not
reconnect; when it is lost, every open call raises SwitchUnavailable, `events()` ends, and who owns it makes
a new one (with a Backoff) and compares anew.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import msgspec

from plait.net.stream import DIAL_TIMEOUT_S, TlsFiles, Unreachable, attach
from plait.wire.openflow.batch import BatchDone, ModError
from plait.wire.openflow.framing import MessageType
from plait.wire.openflow.messages import Features, Plain
from plait.wire.openflow.mods import FlowMod, FlushZone, GroupMod, MeterMod
from plait.wire.openflow.multipart import (
    DESC_REQUEST,
    GROUP_REQUEST,
    PORT_REQUEST,
    TABLE_REQUEST,
    Aggregate,
    FlowStats,
    GroupDesc,
    MeterConfig,
    PortDesc,
    SwitchDesc,
    TableStats,
    flow_request,
    meter_request,
)
from plait.wire.openflow.packets import PacketIn, PacketOut, Resume
from plait.wire.openflow.ports import ALL_TABLES, CONTROLLER
from plait.wire.openflow.session import PROBE_S, Answer, Lost, Ready, Refusal, Request, Session, SwitchEvent

CLOSE_TIMEOUT_S: Final = 1.0
"""How long a switch may take what was sent last, before it is cut off."""

FLOWS_AT_ONCE: Final = 2000
"""How many flows a switch is asked for at once, about: 2 ms of its main thread."""

EVENTS_MAX: Final = 10_000
"""How many events wait for a slow reader before further ones are dropped, and counted."""

PACKETS_MAX: Final = 1000
"""How many packets wait beside them; further ones are lost, as on a wire, and nothing has to be compared."""


class SwitchUnavailable(Exception):
    """There is no connection to the switch at `target`, or there is none any more; `reason` says why."""

    def __init__(self, target: str, reason: str) -> None:
        super().__init__(f"no switch at {target}: {reason}")
        self.target = target
        self.reason = reason


class SwitchRefused(Exception):
    """The switch refused a question; `error` is its name for the reason."""

    def __init__(self, target: str, error: str) -> None:
        super().__init__(f"the switch at {target} refused a request: {error}")
        self.target = target
        self.error = error


class EventsLost(msgspec.Struct, frozen=True):
    """`count` events were dropped, because nobody read them: compare everything anew."""

    count: int


class OpenFlowConnection:
    """What can be asked of a switch and told to it.

    Every call raises SwitchUnavailable once the connection is lost.
    """

    def __init__(self, link: "_Link", target: str) -> None:
        self._link = link
        self._target = target

    @classmethod
    async def connect(
        cls,
        target: str,
        *,
        ssl: TlsFiles | None = None,
        timeout_s: float = DIAL_TIMEOUT_S,
        probe_s: float = PROBE_S,
    ) -> "OpenFlowConnection":
        """Connect to `unix:/path`, `tcp:host:port` or `ssl:host:port`, and agree on OpenFlow 1.4.

        A switch silent for `probe_s` is asked by an echo, and lost when it is silent for as long again.
        Raises SwitchUnavailable.
        """
        try:
            _, link = await attach(target, lambda: _Link(target, probe_s), ssl, timeout_s=timeout_s)
        except Unreachable as error:
            raise SwitchUnavailable(target, error.reason) from error
        try:
            async with asyncio.timeout(timeout_s):
                await link.ready
        except TimeoutError:
            link.abort("it does not answer OpenFlow's greeting")
            raise SwitchUnavailable(target, f"no OpenFlow greeting within {timeout_s} s") from None
        except asyncio.CancelledError:
            link.abort("nobody waits for it any more")
            raise
        return cls(link, target)

    @property
    def features(self) -> Features:
        """Who the switch is: datapath id, number of tables."""
        return self._link.ready.result()

    async def dump_flows(
        self, *, cookie: int = 0, cookie_mask: int = 0, table: int = ALL_TABLES, match: bytes = b""
    ) -> list[FlowStats]:
        """The flows whose cookie equals `cookie` under `cookie_mask`, in `table`."""
        request = flow_request(cookie=cookie, cookie_mask=cookie_mask, table=table, match=match)
        flows: list[FlowStats] = await self._link.ask(request)
        return flows

    async def dump_many_flows(self, expected: int) -> list[FlowStats]:
        """All flows, about `expected` many, asked for in parts by the low bits of their cookies.

        A switch whose main thread forwards does nothing else while it answers, and what waits for it
        overflows: 20,000 flows at once are 33 ms, in parts 5 ms each. The parts are no snapshot: what changes
        meanwhile is told by `monitor`.
        """
        parts = 1
        while parts * FLOWS_AT_ONCE < expected:
            parts *= 2
        flows: list[FlowStats] = []
        for part in range(parts):
            flows += await self.dump_flows(cookie=part, cookie_mask=parts - 1)
        return flows

    async def count_flows(
        self, *, cookie: int = 0, cookie_mask: int = 0, table: int = ALL_TABLES
    ) -> Aggregate:
        """How many flows there are, and what passed them."""
        request = flow_request(cookie=cookie, cookie_mask=cookie_mask, table=table, aggregate=True)
        aggregates: list[Aggregate] = await self._link.ask(request)
        return aggregates[0]

    async def dump_groups(self) -> list[GroupDesc]:
        """All groups."""
        groups: list[GroupDesc] = await self._link.ask(GROUP_REQUEST)
        return groups

    async def dump_meters(self) -> list[MeterConfig]:
        """All meters."""
        meters: list[MeterConfig] = await self._link.ask(meter_request())
        return meters

    async def dump_ports(self) -> list[PortDesc]:
        """All ports of the bridge."""
        ports: list[PortDesc] = await self._link.ask(PORT_REQUEST)
        return ports

    async def dump_tables(self) -> list[TableStats]:
        """Every table, empty ones among them."""
        tables: list[TableStats] = await self._link.ask(TABLE_REQUEST)
        return tables

    async def describe(self) -> SwitchDesc:
        """Manufacturer, software and version."""
        descriptions: list[SwitchDesc] = await self._link.ask(DESC_REQUEST)
        return descriptions[0]

    async def commit(self, mods: Sequence[FlowMod | GroupMod]) -> list[ModError]:
        """Carry out all of `mods`, in order and at once, or none: one atomic bundle.

        An empty list means: done, and the switch has confirmed it. Otherwise nothing was done, and each
        error names the modification that caused it. If the caller is cancelled meanwhile, the bundle may
        still be carried out.
        """
        return await self._link.run(mods, is_bundle=True)

    async def send(self, mods: Sequence[FlowMod | GroupMod | MeterMod | FlushZone]) -> list[ModError]:
        """Carry out `mods` one after the other; those that the errors don't name were done."""
        return await self._link.run(mods, is_bundle=False)

    async def barrier(self) -> None:
        """Return when the switch is through with everything sent before."""
        await self._link.ask(Plain(MessageType.BARRIER_REQUEST))

    async def packet_out(self, data: bytes, actions: bytes, in_port: int = CONTROLLER) -> None:
        """Send a packet through `actions`, as if it had come in by `in_port`."""
        await self._link.post(PacketOut(data=data, actions=actions, in_port=in_port))

    async def resume(self, packet: PacketIn) -> None:
        """Let a paused packet go on; its data and metadata may have been replaced."""
        await self._link.post(Resume(packet))

    async def monitor(self) -> None:
        """From now on, changes that others make to flows, groups and meters come as events; our own don't."""
        await self._link.watch()

    async def events(self) -> AsyncIterator[SwitchEvent | EventsLost]:
        """What the switch tells unasked, for one reader; ends when the connection is lost."""
        while (event := await self._link.next_event()) is not None:
            yield event

    async def close(self) -> None:
        """Hang up. Open calls raise SwitchUnavailable."""
        await self._link.close()


class _Link(asyncio.Protocol):
    """The session's hands: moves bytes and time into it, bytes and events out."""

    def __init__(self, target: str, probe_s: float) -> None:
        self._target = target
        self._loop = asyncio.get_running_loop()
        self._session = Session(self._loop.time(), probe_s=probe_s)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._queue: deque[SwitchEvent | EventsLost] = deque()
        self._n_dropped = 0
        self._n_packets = 0
        self._reader: asyncio.Future[None] | None = None
        self._lost_reason: str | None = None
        self._is_writable = asyncio.Event()
        self._is_writable.set()
        self._is_closed = asyncio.Event()
        self.ready: asyncio.Future[Features] = self._loop.create_future()

    # asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._settle()

    def data_received(self, data: bytes) -> None:
        self._session.receive(data, self._loop.time())
        self._settle()

    def connection_lost(self, exc: Exception | None) -> None:
        self._session.lose(str(exc) if exc else "the switch closed the connection")
        self._settle()
        self._is_closed.set()

    def pause_writing(self) -> None:
        self._is_writable.clear()

    def resume_writing(self) -> None:
        self._is_writable.set()

    # the connection calls these

    async def ask(self, request: Request) -> Any:
        await self._until_writable()
        return await self._outcome(self._session.request(request))

    async def run(
        self, mods: Sequence[FlowMod | GroupMod | MeterMod | FlushZone], *, is_bundle: bool
    ) -> list[ModError]:
        await self._until_writable()
        handle = self._session.commit(mods) if is_bundle else self._session.apply(mods)
        return list(await self._outcome(handle))

    async def post(self, message: PacketOut | Resume) -> None:
        await self._until_writable()
        self._session.post(message)
        self._settle()

    async def watch(self) -> None:
        await self._until_writable()
        await self._outcome(self._session.watch())

    async def next_event(self) -> SwitchEvent | EventsLost | None:
        while True:
            if self._queue:
                event = self._queue.popleft()
                self._n_packets -= isinstance(event, PacketIn)
                return event
            if self._n_dropped:
                count, self._n_dropped = self._n_dropped, 0
                return EventsLost(count)
            if self._lost_reason is not None:
                return None
            if self._reader is not None:
                raise RuntimeError(f"the events of {self._target} have a reader already: share its result")
            self._reader = self._loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None

    def abort(self, reason: str) -> None:
        self._session.lose(reason)
        self._settle()

    async def close(self) -> None:
        self.abort("it was closed here")
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._is_closed.wait()
        except TimeoutError:
            if self._transport is not None:
                self._transport.abort()

    async def _until_writable(self) -> None:
        await self._is_writable.wait()
        if self._lost_reason is not None:
            raise SwitchUnavailable(self._target, self._lost_reason)

    async def _outcome(self, handle: int) -> Any:
        future = self._waiting[handle] = self._loop.create_future()
        try:
            self._settle()
            return await future
        finally:
            self._waiting.pop(handle, None)

    def _settle(self) -> None:
        """Carry out what the session wants after anything happened to it."""
        output = self._session.take_output()
        if output and self._transport is not None and not self._transport.is_closing():
            self._transport.write(output)
        for event in self._session.events():
            match event:
                case Answer(xid, value):
                    self._resolve(xid, value)
                case BatchDone(handle, errors):
                    self._resolve(handle, errors)
                case Refusal(xid, error):
                    self._refuse(xid, error.text)
                case Ready(features):
                    if not self.ready.done():
                        self.ready.set_result(features)
                case Lost(reason):
                    self._lose(reason)
                case _:
                    self._enqueue(event)
        self._set_timer()

    def _resolve(self, handle: int, value: object) -> None:
        future = self._waiting.get(handle)
        if future is not None and not future.done():
            future.set_result(value)

    def _refuse(self, handle: int, error: str) -> None:
        future = self._waiting.get(handle)
        if future is not None and not future.done():
            future.set_exception(SwitchRefused(self._target, error))

    def _lose(self, reason: str) -> None:
        self._lost_reason = reason
        for future in (self.ready, *self._waiting.values()):
            if not future.done():
                future.set_exception(SwitchUnavailable(self._target, reason))
        if not self.ready.cancelled():
            # Whoever waited was told; if nobody did, that is no error of this program.
            self.ready.exception()
        self._is_writable.set()
        self._wake_reader()
        if self._transport is not None:
            # What is still in the buffer goes out, if the switch takes it.
            self._transport.close()

    def _enqueue(self, event: SwitchEvent) -> None:
        if isinstance(event, PacketIn):
            if self._n_packets >= PACKETS_MAX:
                return
            self._n_packets += 1
        elif len(self._queue) - self._n_packets >= EVENTS_MAX:
            self._n_dropped += 1
            return
        self._queue.append(event)
        self._wake_reader()

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _set_timer(self) -> None:
        deadline = self._session.next_deadline()
        if deadline is None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        elif self._timer is None:
            self._timer = self._loop.call_at(deadline, self._tick)

    def _tick(self) -> None:
        # Every message moves the deadline on; the timer is set anew only when it fires.
        self._timer = None
        self._session.tick(self._loop.time())
        self._settle()
