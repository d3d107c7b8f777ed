"""Questions for addresses go to the agent and nowhere else; who says that an address is its own is heard."""

import pytest

from plait.compile import compile_all
from plait.flows import packet as packets
from plait.flows.address_numbers import ALL_NODES_MAC, ipv6_number, mac_number
from plait.flows.flow import Flow
from plait.flows.packet import BROADCAST_MAC, PROTO_UDP, Packet
from plait.flows.pipeline import check
from plait.flows.punt import Punt
from plait.flows.trace import Answered, Delivered, Punted, Switch, Trace
from plait.model.entities import AddressPair, FixedAddress, Ipv6Mode, Port, Subnet, Transport
from plait.model.facets import Change, Claim
from plait.model.numbering import renumber
from plait.wire.internet import PROTO_ICMPV6

from .scene import TUNNELS, A, B, C, R, Station, switch, world

VIP, VIP6 = "10.0.0.200", "fd00::200"
ALL_SERVERS_MAC, ALL_ROUTERS_MAC = 0x333300010002, 0x333300000002
SUBNETS = (
    Subnet(id="red4", name="red4", network="red", prefix="10.0.0.0/24"),
    Subnet(id="red6", name="red6", network="red", prefix="fd00::/64", ipv6_mode=Ipv6Mode.STATELESS),
    Subnet(id="blue4", name="blue4", network="blue", prefix="10.0.0.0/24", dhcp=False),
    Subnet(id="blue6", name="blue6", network="blue", prefix="fd00::/64", ipv6_mode=Ipv6Mode.OFF),
)
"""Red is told everything, blue nothing."""


def paired(station: Station, *pairs: str) -> Change:
    port = Port(
        id=station.name,
        name=station.name,
        network=station.network,
        mac=station.mac,
        addresses=(FixedAddress("v4", station.ip), FixedAddress("v6", station.ip6)),
        host="h1",
        address_pairs=tuple(AddressPair(pair) for pair in pairs),
    )
    return Change(Port, station.name, port)


def told(*changes: Change) -> Switch:
    """The switch of the scene, with its subnets and these changes."""
    view = world()
    more = [*(Change(Subnet, subnet.id, subnet) for subnet in SUBNETS), *changes]
    view.apply(renumber(view, view.apply(more)))
    compiler = compile_all(view)
    for key, entry in compiler.flows.items():
        check(Flow(key, entry.instructions))
    return switch(compiler)


def send(simulated: Switch, station: Station, packet: Packet) -> Trace:
    assert station.ofport is not None
    return simulated.trace(packet, station.ofport)


def reason(simulated: Switch, station: Station, packet: Packet) -> Punt | None:
    """Why the agent is handed the packet; None if it is not. Nobody else gets it either way."""
    trace = send(simulated, station, packet)
    reasons = [Punt(end.userdata[0]) for end in trace.ends if isinstance(end, Punted)]
    assert len(trace.arrivals) == len(reasons) <= 1
    return reasons[0] if reasons else None


def dhcp(station: Station, source: str = "0.0.0.0", mac: str | None = None) -> Packet:
    return packets.ip(
        mac_number(mac or station.mac),
        BROADCAST_MAC,
        source,
        "255.255.255.255",
        proto=PROTO_UDP,
        fields={"udp_src": 68, "udp_dst": 67},
    )


def dhcpv6(station: Station) -> Packet:
    return packets.ip(
        mac_number(station.mac),
        ALL_SERVERS_MAC,
        station.link_local,
        "ff02::1:2",
        proto=PROTO_UDP,
        fields={"udp_src": 546, "udp_dst": 547},
    )


def solicitation(station: Station, source: str = "::") -> Packet:
    return packets.ip(
        mac_number(station.mac),
        ALL_ROUTERS_MAC,
        source,
        "ff02::2",
        proto=PROTO_ICMPV6,
        fields={"icmpv6_type": 133, "nw_ttl": 255},
    )


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (dhcp(A), Punt.DHCP),
        (dhcp(A, source=A.ip), Punt.DHCP),
        (dhcp(A, source="10.0.0.99"), Punt.DHCP),
        (dhcpv6(A), Punt.DHCPV6),
        (solicitation(A), Punt.ROUTER_SOLICITATION),
        (solicitation(A, A.link_local), Punt.ROUTER_SOLICITATION),
        (dhcp(A, mac=B.mac), None),
        (solicitation(A, B.link_local), None),
    ],
    ids=[
        "DHCP without an address",
        "DHCP with the own address",
        "DHCP with an address of before",
        "DHCPv6",
        "router solicitation without an address",
        "router solicitation",
        "another's MAC",
        "another's link-local address",
    ],
)
def test_a_question_goes_to_the_agent(packet: Packet, expected: Punt | None) -> None:
    assert reason(told(), A, packet) == expected


@pytest.mark.parametrize("packet", [dhcp(C), dhcpv6(C), solicitation(C)], ids=["DHCP", "DHCPv6", "RS"])
def test_where_nothing_is_told_nobody_is_asked(packet: Packet) -> None:
    assert reason(told(), C, packet) is None


def arp(station: Station, sender: str, asked: str) -> Packet:
    return packets.arp_request(station.mac, sender, asked)


def advertised(station: Station, address: str) -> Packet:
    return packets.ip(
        mac_number(station.mac),
        ALL_NODES_MAC,
        address,
        "ff02::1",
        proto=PROTO_ICMPV6,
        fields={"icmpv6_type": 136, "nd_target": ipv6_number(address), "nw_ttl": 255},
    )


PAIRS = (f"{VIP}/32", f"{VIP6}/128")


@pytest.mark.parametrize(
    "packet",
    [arp(A, VIP, VIP), advertised(A, VIP6)],
    ids=["gratuitous ARP", "unsolicited advertisement"],
)
def test_the_word_of_an_endpoint_that_may_have_an_address_is_heard(packet: Packet) -> None:
    assert reason(told(paired(A, *PAIRS)), A, packet) is Punt.CLAIM
    assert reason(told(paired(B, *PAIRS)), A, packet) is None
    assert reason(told(paired(A, "10.0.0.128/25", "fd00::/120")), A, packet) is None


def test_a_prefix_of_addresses_may_be_sent_from_and_no_more() -> None:
    simulated = told(paired(A, "10.0.0.128/25"))
    ends = mac_number(A.mac), mac_number(B.mac)
    inside, outside = (packets.udp(*ends, source, B.ip, 2000) for source in ("10.0.0.130", "10.0.0.127"))
    assert send(simulated, A, inside).arrivals == (Delivered(B.ofport or 0, inside),)
    assert send(simulated, A, outside).arrivals == ()


def test_who_claimed_an_address_is_found_by_it() -> None:
    simulated = told(paired(A, *PAIRS), Change(Claim, "a", Claim("a", (VIP, VIP6))))
    (answered,) = send(simulated, B, arp(B, B.ip, VIP)).arrivals
    assert isinstance(answered, Answered)
    assert answered.packet.fields["arp_sha"] == mac_number(A.mac)
    # Nobody tells its holder that it is another's.
    assert send(simulated, A, arp(A, "0.0.0.0", VIP)).arrivals == ()


def test_a_claim_that_no_pair_allows_any_more_means_nothing() -> None:
    simulated = told(paired(A), Change(Claim, "a", Claim("a", (VIP,))))
    assert send(simulated, B, arp(B, B.ip, VIP)).arrivals == ()


def test_dhcp_out_of_a_tunnel_is_no_question() -> None:
    assert not told().trace(dhcp(R), TUNNELS[Transport.VXLAN], tun_id=100).arrivals
