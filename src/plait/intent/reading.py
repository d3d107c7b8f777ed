"""Reading from the store what some ports are concerned by, and nothing else: each thing once.

ports --> their networks --> routers there, and whom these lead to --> networks that are joined
ports --> their groups --> rules --> address groups
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from plait.intent import personal
from plait.intent.stored_view import Stored
from plait.model.checks import Invalid
from plait.model.codec import decode
from plait.model.entities import Endpoint, Entity, LiveHost, Network, Port, Subnet
from plait.model.facets import Change
from plait.model.needs import Place, needs
from plait.model.policy import PERSONAL, AddressEntry, AddressGroup, Group, Rule
from plait.model.routers import Peering, Router, RouterInterface
from plait.model.view import View
from plait.store import keys
from plait.store.api import Item, Store

E = TypeVar("E", bound=Entity)
_AT_ONCE = 32
"""Reads under way together."""


class Reading:
    """What has been read so far; a record that can't be read is left out."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._view = View("")
        self._places: dict[str, list[Place]] = {}
        self._hosts: dict[str, LiveHost] = {}
        self._networks: dict[str, Network] = {}
        self._subnets: dict[str, Subnet] = {}
        self._routers: dict[str, Router | None] = {}
        self._interfaces: dict[str, RouterInterface] = {}
        self._peerings: dict[str, Peering] = {}
        self._groups: dict[str, Group] = {}
        self._rules: dict[str, Rule] = {}
        self._entries: dict[str, AddressEntry] = {}
        self._address_groups: dict[str, AddressGroup] = {}
        self._ports: dict[str, Port] = {}
        self._claims: dict[str, Endpoint] = {}
        self._read: set[str] = set()

    def stored(self) -> Stored:
        """All of it."""
        return Stored(
            hosts=self._hosts,
            networks=self._networks,
            ports=self._ports,
            claims=tuple(self._claims.values()),
            subnets=self._subnets,
            routers={id: router for id, router in self._routers.items() if router is not None},
            interfaces=tuple(self._interfaces.values()),
            peerings=tuple(self._peerings.values()),
            groups=self._groups,
            rules=self._rules,
            entries=tuple(self._entries.values()),
            address_groups=self._address_groups,
        )

    async def hosts(self) -> None:
        """All that are alive."""
        found = await self._snapshot(keys.HOSTS)
        self._hosts |= {each.name: each for each in decoded(LiveHost, found)}

    async def surroundings(self, ports: Iterable[Port]) -> frozenset[str]:
        """The networks of `ports` with their routers, and where these lead; the ids of what is joined."""
        self._view.apply([Change(Port, port.id, port) for port in ports])
        while True:
            needed = needs(self._view, lambda network: self._places.get(network, ()))
            networks = needed.networks - self._places.keys()
            routers = needed.routers - self._routers.keys()
            if not networks and not routers:
                return needed.joined
            found = await asyncio.gather(*map(self._network, networks), *map(self._router, routers))
            # At once: what follows from routers is worked out anew with every change.
            self._view.apply([change for changes in found for change in changes])

    async def groups(self, ids: Iterable[str]) -> None:
        """Groups with their rules, the address groups that these refer to, and the names of other groups."""
        await asyncio.gather(*map(self._group, set(ids)))
        rules = self._rules.values()
        sets = {rule.address_group for rule in rules if rule.address_group is not None}
        others = {rule.remote_group for rule in rules if rule.remote_group is not None}
        await asyncio.gather(*map(self._address_group, sets), *map(self._group_name, others))

    async def endpoints(self, networks: Iterable[str]) -> None:
        """All ports of networks, and what hosts say of them."""
        await asyncio.gather(*map(self._endpoints, set(networks)))

    async def endpoint(self, port: Port) -> None:
        """One port, and what hosts say of it."""
        self._ports[port.id] = port
        found = await self._snapshot(keys.reach_of_port(port.network, port.id))
        self._claim(found)

    # -- one thing at a time

    async def _network(self, id: str) -> list[Change]:
        found = await self._snapshot(keys.network_prefix(id))
        changes: list[Change] = []
        for network in decoded(Network, _only(found, keys.network(id))):
            self._networks[id] = network
            changes.append(Change(Network, id, network))
        for subnet in decoded(Subnet, _below(found, keys.subnet_prefix(id))):
            self._subnets[subnet.id] = subnet
            changes.append(Change(Subnet, subnet.id, subnet))
        places = decoded(RouterInterface, _below(found, keys.routers_on_network_prefix(id)))
        self._places[id] = [Place(each.router, each.address) for each in places]
        return changes

    async def _router(self, id: str) -> list[Change]:
        found = await self._snapshot(keys.router_prefix(id))
        changes: list[Change] = []
        self._routers[id] = next(decoded(Router, _only(found, keys.router(id))), None)
        changes.append(Change(Router, id, self._routers[id]))
        for interface in decoded(RouterInterface, _below(found, keys.router_interface_prefix(id))):
            self._interfaces[interface.id] = interface
            changes.append(Change(RouterInterface, interface.id, interface))
        for peering in decoded(Peering, _below(found, keys.peering_prefix(id))):
            self._peerings[peering.id] = peering
            changes.append(Change(Peering, peering.id, peering))
        return changes

    async def _group(self, id: str) -> None:
        if not self._is_new(keys.group_prefix(id)):
            return
        found = await self._snapshot(keys.group_prefix(id))
        for group in decoded(Group, _only(found, keys.group(id))):
            self._groups[id] = group
        for rule in decoded(Rule, _below(found, keys.rule_prefix(id))):
            self._rules[rule.id] = rule

    async def _group_name(self, id: str) -> None:
        """Of a group that is a port's own, the port has the name."""
        if id in self._groups:
            return
        key = personal.port_key(id) if id.startswith(PERSONAL) else keys.group(id)
        found = (await self._store.get([key])).items
        if id.startswith(PERSONAL):
            self._ports |= {port.id: port for port in decoded(Port, found)}
        else:
            self._groups |= {group.id: group for group in decoded(Group, found)}

    async def _address_group(self, id: str) -> None:
        if self._is_new(keys.address_group_prefix(id)):
            found = await self._snapshot(keys.address_group_prefix(id))
            entries = decoded(AddressEntry, _below(found, keys.address_entry_prefix(id)))
            self._entries |= {each.id: each for each in entries}
            self._address_groups |= {
                each.id: each for each in decoded(AddressGroup, _only(found, keys.address_group(id)))
            }

    async def _endpoints(self, network: str) -> None:
        if self._is_new(keys.port_prefix(network)):
            found = await self._snapshot(keys.port_prefix(network))
            self._ports |= {port.id: port for port in decoded(Port, found)}
            self._claim(await self._snapshot(keys.reach_prefix(network)))

    def _claim(self, items: Mapping[str, Item]) -> None:
        for claim in decoded(Endpoint, items):
            self._claims[keys.reach(claim.network, claim.port, claim.host)] = claim

    def _is_new(self, prefix: str) -> bool:
        is_new = prefix not in self._read
        self._read.add(prefix)
        return is_new

    async def _snapshot(self, prefix: str) -> Mapping[str, Item]:
        async with self._turns:
            return (await self._store.snapshot(prefix)).items


def _only(items: Mapping[str, Item], key: str) -> Mapping[str, Item]:
    return {key: items[key]} if key in items else {}


def _below(items: Mapping[str, Item], prefix: str) -> Mapping[str, Item]:
    return {key: item for key, item in items.items() if key.startswith(prefix)}


def decoded(kind: type[E], items: Mapping[str, Item]) -> Iterator[E]:
    """The records that can be read."""
    for item in items.values():
        try:
            yield decode(kind, item.value)
        except Invalid:
            continue


async def read_of_host(store: Store, host: str) -> Stored:
    """What the agent of `host` follows: its ports, and whatever these are concerned by."""
    reading = Reading(store)
    own = list(decoded(Port, (await store.snapshot(keys.bound_prefix(host))).items))
    await reading.hosts()
    joined = await reading.surroundings(own)
    await reading.endpoints(joined)
    await reading.groups({group for port in own for group in port.groups})
    return reading.stored()
