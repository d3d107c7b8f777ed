"""Intent comes in: this host's ports, all living hosts, and what its ports need to be known; nothing else.

    own ports --> their networks, and their groups
    networks --> routers --> joined routers and networks (model/needs.py)
    groups --> rules --> address groups

What is named on the way is followed in turn; what is named no more is left (following.py).
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import aclosing

from plait.agent.engine import Engine
from plait.agent.following import Following
from plait.agent.sources import (
    AddressesSource,
    GroupSource,
    NetworkSource,
    PortsSource,
    RouterSource,
    Source,
    SourceId,
    interfaces_known,
)
from plait.model.entities import LiveHost
from plait.model.facets import Change, Key
from plait.model.needs import Place, needs
from plait.reach.api import Interest
from plait.reach.hosts import GRACE_S, HostDown, HostsKnown, HostUp, living_hosts
from plait.store.api import Store
from plait.store.follow import Available, Unavailable

HOSTS = "hosts"


class IntentFeed:
    """Follows the store and tells the engine; keeps `interest` at the networks whose endpoints are needed.

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
        self._following = Following(
            store, engine, self._wanted, on_heard=self._look_at_ports, on_store=on_store
        )
        engine.gate.wait_for(PortsSource.named(engine.view.host), HOSTS)

    @property
    def refused(self) -> dict[str, str]:
        """Records that can't be read, and why."""
        return self._following.records.refused

    def is_group_heard(self, group: str) -> bool:
        """Whether the group is in the view with all its rules, or known not to exist."""
        return self._following.is_heard(GroupSource.named(group))

    async def run(self) -> None:
        """For ever, through restarts and outages of the store."""
        self._follow_endpoints(needs(self._engine.view, self._places).joined)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._following.run(), name="intent")
            tasks.create_task(self._follow_hosts(), name="hosts")

    # -- what is to be followed

    def _wanted(self) -> Iterator[SourceId]:
        view = self._engine.view
        needed = needs(view, self._places)
        self._follow_endpoints(needed.joined)
        yield PortsSource, view.host
        yield from ((NetworkSource, id) for id in needed.networks)
        yield from ((RouterSource, id) for id in needed.routers)
        groups = set(view.sets("ports of group"))
        if isinstance(ports := self._following.get(PortsSource.named(view.host)), PortsSource):
            groups |= ports.groups_waited_for()
        addresses = set(view.sets("rules by address group"))
        for id in groups:
            yield GroupSource, id
            if isinstance(group := self._following.get(GroupSource.named(id)), GroupSource):
                addresses |= group.addresses_waited_for()
        yield from ((AddressesSource, id) for id in addresses)

    def _places(self, network: str) -> list[Place]:
        source = self._following.get(NetworkSource.named(network))
        if isinstance(source, NetworkSource):
            return source.places()
        return interfaces_known(self._engine.view, network)

    def _follow_endpoints(self, networks: frozenset[str]) -> None:
        self._engine.gate.wait_for(*map(reach_of, networks))
        self._interest.set(networks)

    def _look_at_ports(self, heard: list[Source]) -> None:
        """Ports wait for their groups, also for one that turns out not to exist."""
        members = self._engine.view.members
        groups = [source.id for source in heard if isinstance(source, GroupSource)]
        self._engine.look_again(
            {Key("port", id) for group in groups for id in members("ports of group", group)}
        )

    # -- hosts

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


def reach_of(network: str) -> str:
    """What the gate waits for besides the sources of intent."""
    return f"reach of network {network}"
