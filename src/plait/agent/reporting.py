"""What became of this host's ports: told to frontends as status, and to other hosts as reach. A port is up
when the switch has confirmed its flows, never before.

    view, switch state --judging.py--> (status, endpoint) --differs from what was told--> announce, then write
    the status

State, not history: a port is judged anew whenever something about it changed, and only differences are
written.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec
import structlog

from plait.agent.engine import Engine
from plait.agent.judging import Devices, Judge, Verdict
from plait.model import codec
from plait.model.checks import Invalid
from plait.model.entities import Endpoint, Port, PortState, PortStatus
from plait.model.facets import Key
from plait.reach.api import ReachUnavailable
from plait.store import keys
from plait.store.api import (
    ABSENT,
    MAX_COMMIT_OPS,
    Compare,
    Conflict,
    Delete,
    KeyAt,
    Put,
    Store,
    StoreError,
    Write,
)
from plait.store.follow import Retry

log = structlog.get_logger("plait.ports")


class Announcer(Protocol):
    """What reporting needs of a reach plane, many at a time."""

    async def announce_many(self, endpoints: Iterable[Endpoint]) -> None: ...

    async def withdraw_many(self, endpoints: Iterable[Endpoint]) -> None: ...

    async def own_records(self) -> dict[tuple[str, str], Endpoint]: ...


class Reporting:
    """See the module's docstring."""

    def __init__(
        self,
        engine: Engine,
        store: Store,
        reach: Announcer,
        devices: Devices,
        is_group_heard: Callable[[str], bool],
    ) -> None:
        self._engine = engine
        self._store = store
        self._reach = reach
        self._judge = Judge(engine, devices, is_group_heard, self.told)
        self._dirty: set[str] = set()
        self._waiting: set[str] = set()
        self._wake = asyncio.Event()
        self._told: dict[str, PortStatus] = {}
        self._announced: dict[str, Endpoint] = {}
        self._may_stand: dict[str, Endpoint] = {}
        self._telling: frozenset[str] = frozenset()
        self._is_memory_doubted = True
        self._may_speak = asyncio.Event()
        engine.on_dirty(self._look)

    def switch_ready(self, is_ready: bool) -> None:
        """Whether it is known what the switch has; while it is not, no port comes up."""
        self._judge.is_switch_ready = is_ready

    def confirmed(self) -> None:
        """The switch confirmed a portion: ports that waited may be up."""
        if self._waiting:
            self._dirty |= self._waiting
            self._waiting.clear()
            self._wake.set()

    def speak(self, is_allowed: bool) -> None:
        """Whether this agent speaks for its host; while it does not, nothing is told."""
        if is_allowed:
            self._may_speak.set()
        else:
            self._may_speak.clear()

    def assert_again(self) -> None:
        """The store was away, and may have been brought back from a backup: look at what stands there."""
        self._is_memory_doubted = True
        self._wake.set()

    def look_at_all(self) -> None:
        self._dirty |= (
            {port.id for port in self._engine.view.all(Port)} | self._told.keys() | self._announced.keys()
        )
        self._wake.set()

    def counts(self) -> dict[str, int]:
        """How many ports were told to be in each state."""
        states = [status.state for status in self._told.values()]
        return {state.value: states.count(state) for state in PortState}

    def told(self, port: str) -> PortStatus | None:
        return self._told.get(port)

    def _look(self, dirty: set[Key]) -> None:
        for key in dirty:
            if key.kind in ("port", "station"):
                if (
                    self._engine.view.get(Port, key.id) is not None
                    or key.id in self._told
                    or key.id in self._announced
                    # What is being told may go meanwhile, and is then to be taken back.
                    or key.id in self._telling
                ):
                    self._dirty.add(key.id)
            elif key.kind in ("network", "group"):
                self._dirty |= self._engine.view.members(f"ports of {key.kind}", key.id).keys()
            elif key.kind in ("room", "tunnels"):
                self.look_at_all()
        if self._dirty:
            self._wake.set()

    async def run(self) -> None:
        """For ever; what can't be written is tried again."""
        retry = Retry()
        await self._engine.gate.opened()
        self._wake.set()
        while True:
            await self._wake.wait()
            await self._may_speak.wait()
            self._wake.clear()
            looked_at: set[str] = set()
            try:
                if self._is_memory_doubted:
                    await self._remember()
                looked_at, self._dirty = self._dirty, set()
                await self._tell(self._verdicts(looked_at))
                retry.succeeded()
            except (ReachUnavailable, StoreError) as error:
                log.warning("ports can't be reported, trying again", ports=len(looked_at), reason=str(error))
                self._dirty |= looked_at
                self._wake.set()
                await asyncio.sleep(retry.next_delay_s())

    def _verdicts(self, looked_at: Iterable[str]) -> dict[str, Verdict]:
        verdicts = {}
        for id, verdict in self._judge.judge_all(looked_at).items():
            if verdict is None:
                self._waiting.add(id)
            else:
                verdicts[id] = verdict
        return verdicts

    async def _remember(self) -> None:
        """What stands in the store in this host's name, whoever told it: nothing is written twice, and what
        is not or no longer true is put right.
        """
        self._is_memory_doubted = False
        prefix = keys.status_prefix(self._engine.view.host)
        try:
            snapshot = await self._store.snapshot(prefix)
            announced = await self._reach.own_records()
        except (ReachUnavailable, StoreError):
            self._is_memory_doubted = True
            raise
        told: dict[str, PortStatus] = {}
        for key, item in snapshot.items.items():
            id = key.removeprefix(prefix)
            try:
                told[id] = codec.decode(PortStatus, item.value)
            except Invalid as error:
                log.warning("status record is unreadable, writing it anew", key=key, reason=str(error))
                # Whatever is true of the port, it differs from this.
                told[id] = PortStatus(port=id, host=self._engine.view.host, state=PortState.ERROR)
        self.look_at_all()
        self._told = told
        self._announced = {endpoint.port: endpoint for endpoint in announced.values()}
        self.look_at_all()

    # -- what is told

    async def _tell(self, verdicts: dict[str, Verdict]) -> None:
        """Others first, since packets wait for them; then frontends."""
        self._telling = frozenset(verdicts)
        try:
            await self._tell_others(verdicts)
            await self._write_statuses(verdicts)
        finally:
            self._telling = frozenset()

    async def _tell_others(self, verdicts: dict[str, Verdict]) -> None:
        announce = [
            verdict.endpoint
            for id, verdict in verdicts.items()
            if verdict.endpoint is not None and self._announced.get(id) != verdict.endpoint
        ]
        if announce:
            # Whatever comes of the attempt, some of them may stand from now on.
            self._may_stand.update((endpoint.port, endpoint) for endpoint in announce)
            await self._reach.announce_many(announce)
            for told in announce:
                self._announced[told.port] = told
                del self._may_stand[told.port]
        withdraw = [
            endpoint
            for id, verdict in verdicts.items()
            if verdict.endpoint is None
            and (endpoint := self._announced.get(id) or self._may_stand.get(id)) is not None
        ]
        if withdraw:
            await self._reach.withdraw_many(withdraw)
            for gone in withdraw:
                self._announced.pop(gone.port, None)
                self._may_stand.pop(gone.port, None)

    async def _write_statuses(self, verdicts: dict[str, Verdict]) -> None:
        different = [
            (id, verdict.status)
            for id, verdict in verdicts.items()
            if _without_time(self._told.get(id)) != _without_time(verdict.status)
        ]
        portion = MAX_COMMIT_OPS // 2
        for start in range(0, len(different), portion):
            await self._write_portion(different[start : start + portion])
        for id, verdict in verdicts.items():
            if verdict.endpoint is not None:
                self._engine.heard_at.pop(id, None)

    async def _write_portion(self, statuses: list[tuple[str, PortStatus | None]]) -> None:
        """Fenced by the port's binding: no status is left behind by a port that went in the meantime."""
        host = self._engine.view.host
        bound = await self._store.get([keys.bound(host, id) for id, _ in statuses])
        compares: list[Compare] = []
        writes: list[Write] = []
        for id, status in statuses:
            item = bound.items.get(keys.bound(host, id))
            compares.append(KeyAt(keys.bound(host, id), item.revision if item else ABSENT))
            if item is None or status is None:
                writes.append(Delete(keys.status(host, id)))
            else:
                writes.append(Put(keys.status(host, id), codec.encode(status)))
        outcome = await self._store.commit(compares, writes)
        if isinstance(outcome, Conflict):
            # A binding changed under us: its event is on the way, and until then these are judged again.
            self._dirty.update(id for id, _ in statuses)
            self._wake.set()
            return
        for id, status in statuses:
            if status is None or keys.bound(host, id) not in bound.items:
                self._told.pop(id, None)
            else:
                self._told[id] = status
                log.info(
                    "port " + status.state, port=id, took_ms=status.took_ms, reason=status.reason or None
                )


def _without_time(status: PortStatus | None) -> PortStatus | None:
    return None if status is None else msgspec.structs.replace(status, took_ms=None)
