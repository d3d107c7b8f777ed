"""ARP and ND: every address of a network is known, so the sender's own host answers.

request for a station's address --> put its MAC into eth_dst --> ANSWER turns the packet around
its owner asking for itself (a probe, RFC 5227; DAD, RFC 4862, 5.4) --> drop: nobody else has it
"""

from collections.abc import Iterator

from plait.flows.address_numbers import ipv4_number, ipv6_number, link_local_number, mac_number
from plait.flows.flow import Flow, flow
from plait.flows.pipeline import Table
from plait.flows.registers import NETWORK
from plait.model.lens import Lens
from plait.wire.internet import ARP_REQUEST, ETH_ARP, ETH_IPV6, ND_NEIGHBOUR_SOLICITATION, PROTO_ICMPV6
from plait.wire.openflow.actions import apply, goto, instructions, set_field
from plait.wire.openflow.oxm import match

_TO_ANSWER = goto(Table.ANSWER)


def station(lens: Lens, id: str) -> Iterator[Flow]:
    """Answers for every address of a station, here or elsewhere, as long as packets can reach it."""
    station = lens.station(id)
    if station is None:
        return
    network = lens.network(station.network)
    if network is None or (station.host is not None and lens.host(station.host) is None):
        return
    mac = mac_number(station.mac)
    answer = instructions(apply(set_field("eth_dst", mac)), _TO_ANSWER)
    here = station.ofport is not None
    speaks_v6 = False
    for address in station.ips:
        if ":" in address:
            speaks_v6 = True
            yield from resolve_v6(network.vni, ipv6_number(address), mac, answer, here=here)
        else:
            yield from resolve_v4(network.vni, ipv4_number(address), mac, answer, here=here)
    if speaks_v6:
        yield from resolve_v6(network.vni, link_local_number(mac), mac, answer, here=here)


def resolve_v4(vni: int, address: int, mac: int, answer: bytes, *, here: bool) -> Iterator[Flow]:
    """Requests for `address` (RFC 826) get `answer`, but not those of its owner, if that is `here`."""
    asked = {**NETWORK.is_(vni), "eth_type": ETH_ARP, "arp_op": ARP_REQUEST, "arp_tpa": address}
    yield flow(Table.RESOLVE, 100, match(**asked), answer)
    if here:
        yield flow(Table.RESOLVE, 110, match(**asked, arp_sha=mac), b"")


def resolve_v6(vni: int, address: int, mac: int, answer: bytes, *, here: bool) -> Iterator[Flow]:
    """The same for solicitations (RFC 4861, 7.2.4)."""
    asked = {
        **NETWORK.is_(vni),
        "eth_type": ETH_IPV6,
        "ip_proto": PROTO_ICMPV6,
        "icmpv6_type": ND_NEIGHBOUR_SOLICITATION,
        "icmpv6_code": 0,
        # RFC 4861, 7.1.1: a solicitation with another hop limit came from off the link and MUST be ignored.
        "nw_ttl": 255,
        "nd_target": address,
    }
    yield flow(Table.RESOLVE, 100, match(**asked), answer)
    if here:
        yield flow(Table.RESOLVE, 110, match(**asked, eth_src=mac), b"")
