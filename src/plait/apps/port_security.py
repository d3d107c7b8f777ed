"""A port of this host: which network it is in, and what it may send.

With security an endpoint sends from its own MAC and its own addresses only: IPv4, ARP, IPv6, its link-local
address, and what its address pairs allow. Besides, it may ask for an address before it has one. Without
security (a router, a bridge) anything goes in, and answers to ARP and ND come as for everybody.
"""

import ipaddress
from collections.abc import Iterator

from plait.apps.filtering import filter_of
from plait.flows.address_numbers import (
    ALL_NODES,
    ipv4_number,
    ipv6_number,
    link_local_number,
    mac_number,
)
from plait.flows.flow import Flow, flow
from plait.flows.pipeline import Table
from plait.flows.registers import NETWORK
from plait.model.facets import Station
from plait.model.lens import Lens
from plait.wire.internet import (
    ETH_ARP,
    ETH_IPV4,
    ETH_IPV6,
    ND_NEIGHBOUR_ADVERTISEMENT,
    ND_NEIGHBOUR_SOLICITATION,
    ND_ROUTER_SOLICITATION,
    PROTO_ICMPV6,
    PROTO_UDP,
)
from plait.wire.openflow.actions import apply, goto, instructions
from plait.wire.openflow.oxm import match

_TO_SECURITY = goto(Table.PORT_SECURITY)
_TO_RESOLVE = goto(Table.RESOLVE)
_ND = {"eth_type": ETH_IPV6, "ip_proto": PROTO_ICMPV6}


def station(lens: Lens, id: str) -> Iterator[Flow]:
    """Classification and admission of a port that is plugged in here."""
    station = lens.station(id)
    if station is None or station.ofport is None:
        return
    network, filter = lens.network(station.network), filter_of(lens, station)
    if network is None or filter is None:
        return
    port = station.ofport
    # A tenant's VLAN tag would not survive the way through the tunnel's tables: untagged frames only.
    yield flow(
        Table.CLASSIFY,
        100,
        match(in_port=port, vlan_vid=0),
        instructions(apply(NETWORK.set(network.vni), filter.marks), _TO_SECURITY),
    )
    if not station.security:
        yield flow(Table.PORT_SECURITY, 300, match(in_port=port), _TO_RESOLVE)
        return
    mac = mac_number(station.mac)
    speaks_v4 = speaks_v6 = False
    for address in station.ips:
        if ":" in address:
            speaks_v6 = True
            yield _admit_v6(port, mac, ipv6_number(address))
        else:
            speaks_v4 = True
            yield from _admit_v4(port, mac, ipv4_number(address))
    if speaks_v6:
        yield _admit_v6(port, mac, link_local_number(mac))
        yield from _admit_without_address(port, mac)
    if speaks_v4 and any(subnet.dhcp and subnet.version == 4 for subnet in lens.subnets(station.network)):
        yield _admit_dhcp(port, mac)
    for prefix, pair_mac in station.pairs:
        yield from _admit_pair(port, mac_number(pair_mac), prefix)
    yield from _admit_pairs_of_v6(station, port)


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


def _admit_without_address(port: int, mac: int) -> Iterator[Flow]:
    """What is asked from :: before there is an address: who else has it (RFC 4862, 5.4.2), who is a router
    (RFC 4861, 4.1)."""
    for icmpv6_type in (ND_NEIGHBOUR_SOLICITATION, ND_ROUTER_SOLICITATION):
        yield flow(
            Table.PORT_SECURITY,
            100,
            match(in_port=port, eth_src=mac, ipv6_src=0, icmpv6_type=icmpv6_type, **_ND),
            _TO_RESOLVE,
        )


def _admit_dhcp(port: int, mac: int) -> Flow:
    """A client's question, from no address or one that it has no more: it goes no further than the agent."""
    return flow(
        Table.PORT_SECURITY,
        100,
        match(in_port=port, eth_src=mac, eth_type=ETH_IPV4, ip_proto=PROTO_UDP, udp_src=68, udp_dst=67),
        _TO_RESOLVE,
    )


def _admit_pair(port: int, mac: int, prefix: str) -> Iterator[Flow]:
    """What an address pair allows; below the port's own addresses, which it may cover."""
    network = ipaddress.ip_network(prefix)
    addresses = int(network.network_address), int(network.netmask)
    if network.version == 4:
        admitted = {"in_port": port, "eth_src": mac}
        yield flow(
            Table.PORT_SECURITY,
            90,
            match(**admitted, eth_type=ETH_IPV4, ipv4_src=addresses),
            _TO_RESOLVE,
        )
        for sender in (addresses, (0, 0xFFFFFFFF)):
            yield flow(
                Table.PORT_SECURITY,
                90,
                match(**admitted, eth_type=ETH_ARP, arp_spa=sender, arp_sha=mac),
                _TO_RESOLVE,
            )
        return
    yield flow(
        Table.PORT_SECURITY,
        90,
        match(in_port=port, eth_src=mac, eth_type=ETH_IPV6, ipv6_src=addresses),
        _TO_RESOLVE,
    )


def _admit_pairs_of_v6(station: Station, port: int) -> Iterator[Flow]:
    """What belongs to IPv6 addresses of pairs: their MACs' link-local addresses, questions from ::, and the
    word of a single address that it is here now, said to all nodes (RFC 4861, 7.2.6)."""
    for mac in sorted({mac_number(mac) for prefix, mac in station.pairs if ":" in prefix}):
        yield _admit_v6(port, mac, link_local_number(mac))
        yield from _admit_without_address(port, mac)
    for prefix, pair_mac in station.pairs:
        if prefix.endswith("/128"):
            yield flow(
                Table.PORT_SECURITY,
                210,
                match(
                    in_port=port,
                    eth_src=mac_number(pair_mac),
                    ipv6_dst=ALL_NODES,
                    icmpv6_type=ND_NEIGHBOUR_ADVERTISEMENT,
                    nd_target=ipv6_number(prefix.removesuffix("/128")),
                    **_ND,
                ),
                _TO_RESOLVE,
            )
