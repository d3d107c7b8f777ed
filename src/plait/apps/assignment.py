"""Questions for addresses, and for who is a router, go to the agent of the sender's host; so does the word of
an endpoint that an address of its pairs is its own from now on.

The answers are in `services`. What goes to the agent goes nowhere else, not even where no answer comes.
"""

from collections.abc import Iterator

from plait.flows.address_numbers import ALL_NODES, ipv4_number, ipv6_number, mac_number
from plait.flows.flow import Flow, flow
from plait.flows.pipeline import Table
from plait.flows.punt import Punt, punt
from plait.flows.registers import NETWORK
from plait.model.entities import Ipv6Mode
from plait.model.lens import Lens
from plait.wire.dhcp import MAX_MESSAGE_BYTES
from plait.wire.internet import (
    ETH_ARP,
    ETH_IPV4,
    ETH_IPV6,
    ETHERNET_HEADER_BYTES,
    ND_NEIGHBOUR_ADVERTISEMENT,
    ND_NEIGHBOUR_SOLICITATION,
    ND_ROUTER_SOLICITATION,
    PROTO_ICMPV6,
    PROTO_UDP,
)
from plait.wire.openflow.actions import apply
from plait.wire.openflow.oxm import match

ALL_DHCP_SERVERS = 0xFF02 << 112 | 0x10002
"""ff02::1:2 (RFC 8415, section 7.1)."""

DATAGRAM_BYTES = ETHERNET_HEADER_BYTES + 60 + 8 + MAX_MESSAGE_BYTES
"""The longest question with the longest headers: longer ones are refused, so no more is handed over."""
DISCOVERY_BYTES = 256
"""The same of router solicitations and announcements."""

_ND = {"eth_type": ETH_IPV6, "ip_proto": PROTO_ICMPV6}
_DHCP = {"eth_type": ETH_IPV4, "ip_proto": PROTO_UDP, "udp_src": 68, "udp_dst": 67}
_DHCPV6 = {
    "eth_type": ETH_IPV6,
    "ip_proto": PROTO_UDP,
    "udp_src": 546,
    "udp_dst": 547,
    "ipv6_dst": ALL_DHCP_SERVERS,
}


def network(lens: Lens, id: str) -> Iterator[Flow]:
    """What a network's subnets have answered."""
    network = lens.network(id)
    if network is None:
        return
    subnets = lens.subnets(id)
    modes = {subnet.ipv6_mode for subnet in subnets if subnet.version == 6}
    here = NETWORK.is_(network.vni)
    if any(subnet.dhcp for subnet in subnets if subnet.version == 4):
        yield flow(Table.RESOLVE, 60, match(**here, **_DHCP), apply(punt(Punt.DHCP, DATAGRAM_BYTES)))
    if modes & {Ipv6Mode.STATEFUL, Ipv6Mode.STATELESS}:
        yield flow(Table.RESOLVE, 60, match(**here, **_DHCPV6), apply(punt(Punt.DHCPV6, DATAGRAM_BYTES)))
    if modes - {Ipv6Mode.OFF}:
        yield flow(
            Table.RESOLVE,
            60,
            match(**here, **_ND, icmpv6_type=ND_ROUTER_SOLICITATION),
            apply(punt(Punt.ROUTER_SOLICITATION, DISCOVERY_BYTES)),
        )


def station(lens: Lens, id: str) -> Iterator[Flow]:
    """What an endpoint says of the single addresses of its pairs."""
    station = lens.station(id)
    if station is None or station.ofport is None:
        return
    claim = apply(punt(Punt.CLAIM, DISCOVERY_BYTES))
    for prefix, mac in station.pairs:
        address, _, bits = prefix.partition("/")
        said = {"in_port": station.ofport, "eth_src": mac_number(mac)}
        if bits == "32":
            number = ipv4_number(address)
            # RFC 5227, section 2.3: an announcement asks for the address that it comes from.
            yield flow(
                Table.RESOLVE, 120, match(**said, eth_type=ETH_ARP, arp_spa=number, arp_tpa=number), claim
            )
        elif bits == "128":
            number = ipv6_number(address)
            advertised = {**_ND, "nd_target": number, "icmpv6_type": ND_NEIGHBOUR_ADVERTISEMENT}
            yield flow(Table.RESOLVE, 120, match(**said, **advertised, ipv6_dst=ALL_NODES), claim)
            # Whoever has the address now would answer this, and the endpoint would not take it over.
            probed = {**_ND, "nd_target": number, "icmpv6_type": ND_NEIGHBOUR_SOLICITATION}
            yield flow(Table.RESOLVE, 120, match(**said, **probed, ipv6_src=0), b"")
