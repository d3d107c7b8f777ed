"""What the agents of some networks see, from the store alone: for traces and for looking from afar.

A port is plugged in where its host has announced it, since that is told when its flows are in place. The
numbers of ports and tunnels are the switch's own affair and not in the store: others stand in for them.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeVar

import msgspec

from plait.model.checks import Invalid
from plait.model.codec import decode
from plait.model.entities import Endpoint, LiveHost, Network, Port, Transport
from plait.model.facets import Attachment, Change, Subscription, Tunnels
from plait.model.numbering import renumber
from plait.model.view import View
from plait.reach.records import Records
from plait.store import keys
from plait.store.api import Item, Store

FIRST_TUNNEL: Final = 0xFE01
"""The number of the first tunnel port; own ports count from 1."""

E = TypeVar("E", Endpoint, LiveHost, Port)

TUNNEL_OFPORTS: Mapping[Transport, int] = {each: FIRST_TUNNEL + i for i, each in enumerate(Transport)}


class Stored(msgspec.Struct, frozen=True):
    """All living hosts, and some networks with their ports and what hosts say of these, by their ids."""

    hosts: Mapping[str, LiveHost]
    networks: Mapping[str, Network]
    ports: Mapping[str, Port]
    claims: tuple[Endpoint, ...]

    def name_of(self, kind: str, id: str) -> str:
        """What people call an owner of flows; the id itself if it is known no more, "" for the switch."""
        if kind == "network":
            return self.networks[id].name if id in self.networks else id
        return self.ports[id].name if id in self.ports else id

    def view(self, host: str) -> View:
        """What the agent of `host` sees of these networks."""
        view = View(host)
        changes = [Change(LiveHost, name, record) for name, record in self.hosts.items()]
        changes += [Change(Network, id, network) for id, network in self.networks.items()]
        if host in self.hosts:
            ofports = tuple(sorted((each, TUNNEL_OFPORTS[each]) for each in self.hosts[host].transports))
            changes.append(Change(Tunnels, "", Tunnels(ofports)))
        changes += self._own_ports(host)
        changes += [Change(Endpoint, each.port, each) for each in self._winners()]
        view.apply(renumber(view, view.apply(changes)))
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

    def _winners(self) -> Iterator[Endpoint]:
        records = Records()
        for host in self.hosts:
            records.host_up(host)
        for claim in self.claims:
            records.put(claim)
        for network in self.networks:
            yield from records.winners(network)


async def read(store: Store, networks: Iterable[str]) -> Stored:
    """What stands of `networks` (ids) and of all living hosts; a record that can't be read is left out."""
    hosts = {each.name: each for each in _decoded(LiveHost, (await store.snapshot(keys.HOSTS)).items)}
    known: dict[str, Network] = {}
    ports: dict[str, Port] = {}
    claims: list[Endpoint] = []
    for id in sorted(set(networks)):
        info = (await store.get([keys.network(id)])).items.get(keys.network(id))
        if info is not None:
            known[id] = decode(Network, info.value)
        ports |= {
            each.id: each for each in _decoded(Port, (await store.snapshot(keys.port_prefix(id))).items)
        }
        claims += _decoded(Endpoint, (await store.snapshot(keys.reach_prefix(id))).items)
    return Stored(hosts, known, ports, tuple(claims))


async def read_of_host(store: Store, host: str) -> Stored:
    """What the agent of `host` follows: the networks of its ports."""
    bound = (await store.snapshot(keys.bound_prefix(host))).items
    return await read(store, {port.network for port in _decoded(Port, bound)})


def _decoded(kind: type[E], items: Mapping[str, Item]) -> Iterator[E]:
    for item in items.values():
        try:
            yield decode(kind, item.value)
        except Invalid:
            continue
