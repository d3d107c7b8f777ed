"""A port of this host: which network it is in, and what it may send.

With security an endpoint sends from its own MAC and its own addresses only: IPv4, ARP, IPv6 and its
link-local address. Without it (a router, a bridge) anything goes in, and answers to ARP and ND come as for
everybody.
"""

from collections.abc import Iterator

from plait.flows.address_numbers import ipv4_number, ipv6_number, link_local_number, mac_number
from plait.flows.flow import Flow, flow
from plait.flows.pipeline import Table
from plait.flows.registers import NETWORK
from plait.model.lens import Lens
from plait.wire.internet import ETH_ARP, ETH_IPV4, ETH_IPV6, ND_NEIGHBOUR_SOLICITATION, PROTO_ICMPV6
from plait.wire.openflow.actions import apply, goto, instructions
from plait.wire.openflow.oxm import match

_TO_SECURITY = goto(Table.PORT_SECURITY)
_TO_RESOLVE = goto(Table.RESOLVE)


def station(lens: Lens, id: str) -> Iterator[Flow]:
    """Classification and admission of a port that is plugged in here."""
    station = lens.station(id)
    if station is None or station.ofport is None:
        return
    network = lens.network(station.network)
    if network is None:
        return
    port = station.ofport
    # A tenant's VLAN tag would not survive the way through the tunnel's tables: untagged frames only.
    yield flow(
        Table.CLASSIFY,
        100,
        match(in_port=port, vlan_vid=0),
        instructions(apply(NETWORK.set(network.vni)), _TO_SECURITY),
    )
    if not station.security:
        yield flow(Table.PORT_SECURITY, 300, match(in_port=port), _TO_RESOLVE)
        return
    mac = mac_number(station.mac)
    speaks_v6 = False
    for address in station.ips:
        if ":" in address:
            speaks_v6 = True
            yield _admit_v6(port, mac, ipv6_number(address))
        else:
            yield from _admit_v4(port, mac, ipv4_number(address))
    if speaks_v6:
        yield _admit_v6(port, mac, link_local_number(mac))
        # Duplicate address detection asks from :: (RFC 4862, 5.4.2).
        yield flow(
            Table.PORT_SECURITY,
            100,
            match(
                in_port=port,
                eth_src=mac,
                eth_type=ETH_IPV6,
                ipv6_src=0,
                ip_proto=PROTO_ICMPV6,
                icmpv6_type=ND_NEIGHBOUR_SOLICITATION,
            ),
            _TO_RESOLVE,
        )


def _admit_v4(port: int, mac: int, address: int) -> Iterator[Flow]:
    """IPv4 and ARP with the port's own addresses; also probes, which ask as 0.0.0.0 (RFC 5227, 2.1.1)."""
    yield flow(
        Table.PORT_SECURITY,
        100,
        match(in_port=port, eth_src=mac, eth_type=ETH_IPV4, ipv4_src=address),
        _TO_RESOLVE,
    )
    for sender in (address, 0):
        yield flow(
            Table.PORT_SECURITY,
            100,
            match(in_port=port, eth_src=mac, eth_type=ETH_ARP, arp_spa=sender, arp_sha=mac),
            _TO_RESOLVE,
        )


def _admit_v6(port: int, mac: int, address: int) -> Flow:
    """IPv6 from one of the port's own addresses."""
    return flow(
        Table.PORT_SECURITY,
        100,
        match(in_port=port, eth_src=mac, eth_type=ETH_IPV6, ipv6_src=address),
        _TO_RESOLVE,
    )
