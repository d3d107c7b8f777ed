"""What the agents of some hosts see, from the store alone: for traces and for looking from afar.

A port is plugged in where its host has announced it, since that is told when its flows are in place. The
numbers of ports and tunnels are the switch's own affair and not in the store: others stand in for them.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from plait.model.entities import Endpoint, LiveHost, Network, Port, Subnet, Transport
from plait.model.facets import Attachment, Change, Claim, Key, Subscription, Tunnels
from plait.model.needs import Needs, Place, needs
from plait.model.numbering import renumber
from plait.model.policy import PERSONAL, AddressEntry, AddressGroup, Group, Rule
from plait.model.routers import Peering, Router, RouterInterface
from plait.model.view import View
from plait.reach.records import Records

FIRST_TUNNEL: Final = 0xFE01
"""The number of the first tunnel port; own ports count from 1."""

TUNNEL_OFPORTS: Mapping[Transport, int] = {each: FIRST_TUNNEL + i for i, each in enumerate(Transport)}


class Stored(msgspec.Struct, frozen=True):
    """All living hosts, and of everything else a part: by ids, or as many as were read."""

    hosts: Mapping[str, LiveHost]
    networks: Mapping[str, Network]
    ports: Mapping[str, Port]
    claims: tuple[Endpoint, ...]
    subnets: Mapping[str, Subnet] = {}
    routers: Mapping[str, Router] = {}
    interfaces: tuple[RouterInterface, ...] = ()
    peerings: tuple[Peering, ...] = ()
    groups: Mapping[str, Group] = {}
    rules: Mapping[str, Rule] = {}
    entries: tuple[AddressEntry, ...] = ()
    address_groups: Mapping[str, AddressGroup] = {}

    def name_of(self, kind: str, id: str) -> str:
        """What people call an owner of flows; the id itself if it is known no more, "" for the switch."""
        match kind:
            case "network":
                return self.networks[id].name if id in self.networks else id
            case "router":
                return self.routers[id].name if id in self.routers else id
            case "interface":
                return self._interface_name(id)
            case "group":
                return self._group_name(id)
            case "address group":
                return self.address_groups[id].name if id in self.address_groups else id
            case "policy":
                return ",".join(map(self._group_name, id.split(",")))
            case "rule":
                return self.rules[id].name if id in self.rules else id
        return self.ports[id].name if id in self.ports else id

    def _interface_name(self, id: str) -> str:
        router, _, subnet = id.partition("/")
        name = self.subnets[subnet].name if subnet in self.subnets else subnet
        return f"{self.name_of('router', router)}/{name}"

    def _group_name(self, id: str) -> str:
        """A group that is a port's own goes by the port's name."""
        if id.startswith(PERSONAL):
            return self.name_of("station", id.removeprefix(PERSONAL))
        return self.groups[id].name if id in self.groups else id

    def view(self, host: str) -> View:
        """What the agent of `host` sees of all this: what it needs, and no more."""
        view = View(host)
        changes = [Change(LiveHost, name, record) for name, record in self.hosts.items()]
        if host in self.hosts:
            ofports = tuple(sorted((each, TUNNEL_OFPORTS[each]) for each in self.hosts[host].transports))
            changes.append(Change(Tunnels, "", Tunnels(ofports)))
        changes += self._own_ports(host)
        dirty = view.apply(changes)
        joined = self._surround(view, dirty)
        changes = [Change(Endpoint, each.port, each) for each in self._winners(joined)]
        changes += self._policies(view)
        dirty |= view.apply(changes)
        view.apply(renumber(view, dirty))
        return view

    def _own_ports(self, host: str) -> Iterator[Change]:
        said = {each.port: each for each in self.claims if each.host == host}
        own = sorted(id for id, port in self.ports.items() if port.host == host)
        for id in own:
            yield Change(Port, id, self.ports[id])
        plugged_in = [id for id in own if id in said and said[id].sequence == self.ports[id].sequence]
        for ofport, id in enumerate(plugged_in, 1):
            yield Change(Attachment, id, Attachment(id, ofport))
            yield Change(Subscription, id, Subscription(id, said[id].multicast))
            claimed = tuple(sorted(set(said[id].ips) - set(self.ports[id].ips)))
            if claimed:
                yield Change(Claim, id, Claim(id, claimed))

    def _surround(self, view: View, dirty: set[Key]) -> frozenset[str]:
        """Routers and networks that the host needs; the ids of the networks that it meets endpoints of."""
        known: Needs | None = None
        while True:
            needed = needs(view, self.places)
            if needed == known:
                return needed.joined
            known = needed
            changes = [Change(Network, id, self.networks.get(id)) for id in needed.networks]
            changes += [
                Change(Subnet, id, subnet)
                for id, subnet in self.subnets.items()
                if subnet.network in needed.networks
            ]
            changes += [Change(Router, id, self.routers.get(id)) for id in needed.routers]
            changes += [
                Change(RouterInterface, each.id, each)
                for each in self.interfaces
                if each.router in needed.routers
            ]
            changes += [
                Change(Peering, each.id, each) for each in self.peerings if each.router in needed.routers
            ]
            dirty |= view.apply(changes)

    def places(self, network: str) -> Iterator[Place]:
        """Which routers are on a network."""
        return (Place(each.router, each.address) for each in self.interfaces if each.network == network)

    def _policies(self, view: View) -> Iterator[Change]:
        """The groups of own ports with their rules, and what these refer to."""
        wanted = {group for port in view.all(Port) for group in port.groups}
        yield from (Change(Group, id, group) for id, group in self.groups.items() if id in wanted)
        rules = [rule for rule in self.rules.values() if rule.group in wanted]
        yield from (Change(Rule, rule.id, rule) for rule in rules)
        sets = {rule.address_group for rule in rules}
        yield from (Change(AddressEntry, each.id, each) for each in self.entries if each.group in sets)

    def _winners(self, networks: frozenset[str]) -> Iterator[Endpoint]:
        records = Records()
        for host in self.hosts:
            records.host_up(host)
        for claim in self.claims:
            records.put(claim)
        for network in sorted(networks):
            yield from records.winners(network)
