"""Intent comes in: this host's ports, all living hosts, the networks of the ports, and nothing else."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from typing import TypeVar

import structlog

from plait.agent.engine import Engine
from plait.model.checks import Invalid
from plait.model.codec import decode
from plait.model.entities import LiveHost, Network, Port
from plait.model.facets import Change, Key
from plait.reach.api import Interest
from plait.reach.hosts import GRACE_S, HostDown, HostsKnown, HostUp, living_hosts
from plait.store import keys
from plait.store.api import Store
from plait.store.follow import Available, Changes, Full, Unavailable, follow

log = structlog.get_logger("plait.intent")

F = TypeVar("F", Port, Network)

PORTS = "ports of this host"
HOSTS = "hosts"


class IntentFeed:
    """Follows the store and tells the engine; keeps `interest` at the networks of the host's own ports.

    `on_store` hears of outages: "" when the store answers, else the reason.
    """

    def __init__(
        self,
        store: Store,
        engine: Engine,
        interest: Interest,
        on_store: Callable[[str], None],
        *,
        grace_s: float = GRACE_S,
    ) -> None:
        self._grace_s = grace_s
        self._store = store
        self._engine = engine
        self._interest = interest
        self._on_store = on_store
        self._following: dict[str, asyncio.Task[None]] = {}
        self.refused: dict[str, str] = {}
        engine.gate.wait_for(PORTS, HOSTS)

    async def run(self) -> None:
        """For ever, through restarts and outages of the store."""
        self.follow_interest()
        # A run that was killed may have forgotten a port, but not yet the network that only it was in.
        for network in {network.id for network in self._engine.view.all(Network)} - self._interest.networks:
            self._leave(network)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(
                self._follow(keys.bound_prefix(self._engine.view.host), PORTS, self._ports), name="ports"
            )
            tasks.create_task(self._follow_hosts(), name="hosts")
            seen: frozenset[str] = frozenset()
            while True:
                seen = await self._interest.changed_from(seen)
                for network in seen - self._following.keys():
                    self._following[network] = tasks.create_task(
                        self._follow_network(network), name=f"net/{network}"
                    )
                for network in self._following.keys() - seen:
                    self._following.pop(network).cancel()
                    self._leave(network)

    def follow_interest(self) -> None:
        """Interest is what the own ports are in."""
        networks = frozenset(port.network for port in self._engine.view.all(Port))
        for network in networks:
            self._engine.gate.wait_for(*sources_of(network))
        self._interest.set(networks)

    async def _follow(
        self, prefix: str, source: str, take: Callable[[Mapping[str, bytes | None], bool], None]
    ) -> None:
        """Hand over what stands under `prefix`, by the rest of the key; first all (`True`), then changes."""
        async with aclosing(follow(self._store, prefix)) as news:
            async for item in news:
                match item:
                    case Full(_, items):
                        self._on_store("")
                        take({key.removeprefix(prefix): value for key, value in items.items()}, True)
                        self._engine.gate.told(source)
                    case Changes(_, changes):
                        take({change.key.removeprefix(prefix): change.value for change in changes}, False)
                    case Unavailable(reason):
                        self._on_store(reason)
                    case Available():
                        self._on_store("")

    async def _follow_network(self, network: str) -> None:
        def take(items: Mapping[str, bytes | None], is_full: bool) -> None:
            self._network(network, items, is_full)

        await self._follow(keys.network_prefix(network), sources_of(network)[0], take)

    def _ports(self, items: Mapping[str, bytes | None], is_full: bool) -> None:
        gone = {port.id for port in self._engine.view.all(Port)} - items.keys() if is_full else set()
        self._engine.change([*self._decoded(Port, items), *(Change(Port, id, None) for id in sorted(gone))])
        self.follow_interest()

    async def _follow_hosts(self) -> None:
        """Hosts live by their leases, with a grace after an outage; those of the last view have it, too."""
        believed = tuple(self._engine.view.all(LiveHost))
        first: list[Change] | None = []
        async with aclosing(living_hosts(self._store, grace_s=self._grace_s, believed=believed)) as told:
            async for event in told:
                match event:
                    case HostUp(record):
                        change = Change(LiveHost, record.name, record)
                    case HostDown(name) if name == self._engine.view.host:
                        # It lives as far as it knows, whether the store has its record or not.
                        self._engine.look_again({Key("host", name)})
                        continue
                    case HostDown(name):
                        change = Change(LiveHost, name, None)
                    case HostsKnown():
                        self._on_store("")
                        self._engine.change(first or ())
                        self._engine.gate.told(HOSTS)
                        first = None
                        continue
                    case Unavailable(reason):
                        self._on_store(reason)
                        continue
                    case Available():
                        self._on_store("")
                        continue
                if first is None:
                    self._engine.change([change])
                else:
                    first.append(change)

    def _network(self, network: str, items: Mapping[str, bytes | None], is_full: bool) -> None:
        if is_full or "info" in items:
            self._engine.change(self._decoded(Network, {network: items.get("info")}))

    def _decoded(self, kind: type[F], items: Mapping[str, bytes | None]) -> Iterable[Change]:
        """Changes of the records that can be read; the others are said once and leave what stood before."""
        changes = []
        for id, value in items.items():
            name = f"{kind.kind} {id}"
            try:
                entity = None if value is None else decode(kind, value)
            except Invalid as error:
                if self.refused.get(name) != str(error):
                    self.refused[name] = str(error)
                    log.error("record refused, what stood before is kept", record=name, reason=str(error))
                continue
            self.refused.pop(name, None)
            changes.append(Change(kind, id, entity))
        return changes

    def _leave(self, network: str) -> None:
        """Nothing of this host is in the network any more; its endpoints go when the plane has left it."""
        self.refused.pop(f"{Network.kind} {network}", None)
        self._engine.change([Change(Network, network, None)])
        self._engine.gate.left(sources_of(network)[0])


def sources_of(network: str) -> tuple[str, str]:
    """What the gate waits for, for each network: its intent and its reach."""
    return f"network {network}", f"reach of network {network}"
