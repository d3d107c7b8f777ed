"""How everything is doing, as the agents last said: every host with its ports, at one glance."""

from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

import msgspec

from plait.intent.errors import counted
from plait.intent.hosts import Hosts, HostState
from plait.model.codec import decode
from plait.model.entities import Port, PortState, PortStatus
from plait.store import keys
from plait.store.api import Compacted, Item, Store


class HostOverview(msgspec.Struct, frozen=True, kw_only=True):
    """A host and how many of its ports are how; `silent` are those that it has said nothing of."""

    state: HostState
    up: int = 0
    down: int = 0
    error: int = 0
    silent: int = 0

    @property
    def ports(self) -> int:
        """How many ports are on the host, however they are."""
        return self.up + self.down + self.error + self.silent

    @property
    def problems(self) -> tuple[str, ...]:
        """What is not well, one line each."""
        if not self.state.alive:
            return ("not alive: start its agent, or 'plait host delete' it",)
        found: list[str] = []
        if self.state.health is None:
            found.append("its agent says nothing: it is stopped, or has only just started")
        else:
            found.extend(f"{name}: {state}" for name, state in self.state.health.components if state != "ok")
        for count, what in ((self.error, "in error"), (self.down, "down"), (self.silent, "not yet seen")):
            if count:
                found.append(f"{counted(count, 'port')} {what}")
        if self.ports > self.up:
            found[-1] += f" ('plait port list --host {self.state.host.name}' says why)"
        return tuple(found)


class Overview(msgspec.Struct, frozen=True):
    """All hosts; `is_well` when there is one and none has a problem."""

    hosts: tuple[HostOverview, ...]

    @property
    def is_well(self) -> bool:
        return bool(self.hosts) and not any(host.problems for host in self.hosts)


async def overview(store: Store) -> Overview:
    """Reads the hosts, and every port's status."""
    states = await Hosts(store).list()
    bound = (await store.snapshot(keys.BOUND)).items
    statuses = (await store.snapshot(keys.STATUSES)).items
    counts = _count(bound, statuses)
    return Overview(tuple(_host_overview(state, counts.get(state.host.name, Counter())) for state in states))


async def overviews(store: Store) -> AsyncGenerator[Overview, None]:
    """An overview now and after changes; never ends by itself.

    Changes during a look are seen by the next one.
    """
    while True:
        revision = (await store.get([keys.ROOT])).revision
        yield await overview(store)
        try:
            async with aclosing(store.watch(keys.ROOT, revision)) as batches:
                async for _ in batches:
                    break
        except Compacted:
            continue


def _count(bound: Mapping[str, Item], statuses: Mapping[str, Item]) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = {}
    for key, item in bound.items():
        host, id = key.removeprefix(keys.BOUND).split("/", 1)
        said = statuses.get(keys.status(host, id))
        state = "silent"
        if said is not None:
            status = decode(PortStatus, said.value)
            if status.sequence == decode(Port, item.value).sequence:
                state = status.state.value
        counts.setdefault(host, Counter())[state] += 1
    return counts


def _host_overview(state: HostState, counts: Counter[str]) -> HostOverview:
    return HostOverview(
        state=state,
        up=counts[PortState.UP],
        down=counts[PortState.DOWN],
        error=counts[PortState.ERROR],
        silent=counts["silent"],
    )
