"""Multicast goes to subscribers and nobody else: for each group with some, there is a group of the switch.

The sender's host sends one copy to every subscriber of its own and one to every other host that has some;
those hand it to their own only, because what came from a tunnel never leaves for one. A copy for a filtered
port has to pass its policy like anything else. Without subscribers there is no flow: a drop.
"""

from collections.abc import Iterator

from plait.apps.filtering import UNFILTERED, Filter, filter_of, way_into
from plait.flows.address_numbers import ipv4_number, ipv6_number, multicast_mac
from plait.flows.flow import Flow, Group, flow
from plait.flows.pipeline import Table
from plait.flows.registers import NETWORK
from plait.flows.vtep import tunnel_to
from plait.model.lens import Lens
from plait.wire.internet import ETH_IPV4, ETH_IPV6
from plait.wire.openflow.actions import apply, group, output, resubmit
from plait.wire.openflow.mods import GroupType, bucket
from plait.wire.openflow.oxm import match


def network(lens: Lens, id: str) -> Iterator[Flow | Group]:
    """The groups of one network that have subscribers, and the flows that lead to them."""
    network = lens.network(id)
    if network is None:
        return
    for address, members in lens.subscribers(id):
        number = lens.group_number(id, address)
        if number is None:
            continue
        here: dict[int, Filter] = {}
        there: set[str] = set()
        for member in members:
            station = lens.station(member)
            if station is None:
                continue
            if station.ofport is not None:
                if (filter := filter_of(lens, station)) is not None:
                    here[station.ofport] = filter
            elif station.host is not None and (host := lens.host(station.host)) is not None:
                there.add(host.vtep)
        copies = [
            bucket(output(port) if filter == UNFILTERED else way_into(port, filter))
            for port, filter in sorted(here.items())
        ]
        copies += [bucket(tunnel_to(vtep) + resubmit(Table.TRANSPORT)) for vtep in sorted(there)]
        yield Group(number, GroupType.ALL, b"".join(copies))
        destination = (
            {"eth_type": ETH_IPV6, "ipv6_dst": ipv6_number(address)}
            if ":" in address
            else {"eth_type": ETH_IPV4, "ipv4_dst": ipv4_number(address)}
        )
        yield flow(
            Table.L2,
            100,
            match(**NETWORK.is_(network.vni), eth_dst=multicast_mac(address), **destination),
            apply(group(number)),
        )
