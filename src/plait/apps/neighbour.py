"""The MAC of every address that a router can find on a network: what ARP would tell it."""

from collections.abc import Iterator

from plait.flows.address_numbers import ipv4_number, ipv6_number, mac_number
from plait.flows.flow import Flow, flow
from plait.flows.pipeline import Table
from plait.flows.registers import NETWORK, NEXT_HOP, NEXT_HOP_V6
from plait.model.lens import Lens
from plait.wire.openflow.actions import apply, goto, instructions, set_field
from plait.wire.openflow.oxm import match

_TO_L2 = goto(Table.L2)


def station(lens: Lens, id: str) -> Iterator[Flow]:
    """The addresses of a station, of the families that its network has a router for.

    Nothing while packets can't reach it, so that senders are told.
    """
    station = lens.station(id)
    if station is None:
        return
    versions = {interface.version for interface in lens.interfaces_on(station.network)}
    network = lens.network(station.network) if versions else None
    if network is None or (station.host is not None and lens.host(station.host) is None):
        return
    found = instructions(apply(set_field("eth_dst", mac_number(station.mac))), _TO_L2)
    for address in station.ips:
        if ":" not in address and 4 in versions:
            hop = NEXT_HOP.is_(ipv4_number(address))
        elif ":" in address and 6 in versions:
            hop = NEXT_HOP_V6.is_(ipv6_number(address))
        else:
            continue
        yield flow(Table.NEIGHBOUR, 100, match(**NETWORK.is_(network.vni), **hop), found)
