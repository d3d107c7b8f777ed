"""What becomes of whose packets: the pipeline's behaviour, not its flows. The world is `scene`'s."""

from ipaddress import ip_address

import pytest

from plait.flows import packet as packets
from plait.flows import reasons
from plait.flows.address_numbers import ipv4_number, ipv6_number, mac_number, multicast_mac
from plait.flows.flow import Flow
from plait.flows.packet import BROADCAST_MAC, PROTO_UDP, Packet
from plait.flows.pipeline import Table
from plait.flows.trace import Answered, Delivered, Dropped, Punted, Sent, Trace
from plait.wire.internet import PROTO_ICMPV6
from plait.wire.openflow.decode import decode_instructions

from .scene import TUNNELS, VTEPS, A, B, C, D, R, S, Station, T, U, compiled, switch

COMPILER = compiled()
SWITCH = switch(COMPILER)
VNI = {"red": 100, "blue": 200, "green": 300}
TUNNEL_OF = dict(zip(("red", "blue", "green"), TUNNELS.values(), strict=True))
V4, V6 = "v4", "v6"
both = pytest.mark.parametrize("version", [V4, V6])


def address(station: Station, version: str) -> str:
    return station.ip if version == V4 else station.ip6


def ping(source: Station, target: Station, version: str, size_bytes: int | None = None) -> Packet:
    ends = mac_number(source.mac), mac_number(target.mac), address(source, version), address(target, version)
    return packets.echo_request(*ends, size_bytes=size_bytes)


def changed(packet: Packet, **fields: int) -> Packet:
    return Packet({**packet.fields, **fields}, packet.size_bytes)


def send(source: Station, packet: Packet) -> Trace:
    """As the station does: from its port, or out of its network's tunnel."""
    if source.ofport is not None:
        return SWITCH.trace(packet, source.ofport)
    return SWITCH.trace(packet, TUNNEL_OF[source.network], tun_id=VNI[source.network])


def dropped_in(trace: Trace) -> str:
    assert trace.drop is not None, trace.arrivals
    return Table(trace.drop.table).name


@both
@pytest.mark.parametrize(("source", "target"), [(A, B), (B, A), (R, A), (S, B), (T, C), (U, D)])
def test_a_packet_for_a_port_here_is_delivered_to_it(source: Station, target: Station, version: str) -> None:
    packet = ping(source, target, version)
    assert send(source, packet).arrivals == (Delivered(target.ofport or 0, packet),)


@both
@pytest.mark.parametrize(("source", "target"), [(A, R), (B, S), (C, T), (D, U)])
def test_a_packet_for_a_port_elsewhere_goes_to_its_host_by_its_networks_tunnel(
    source: Station, target: Station, version: str
) -> None:
    packet = ping(source, target, version)
    vtep = ip_address(VTEPS[target.host])
    ofport, vni = TUNNEL_OF[target.network], VNI[target.network]
    assert send(source, packet).arrivals == (Sent(ofport, vni, int(vtep), vtep.version == 6, packet),)


@both
@pytest.mark.parametrize(("source", "target"), [(A, D), (A, U), (D, A), (R, D), (T, R), (U, C)])
def test_another_networks_port_is_not_reached(source: Station, target: Station, version: str) -> None:
    assert dropped_in(send(source, ping(source, target, version))) == "L2"


@both
def test_the_same_address_in_another_network_is_another_station(version: str) -> None:
    assert A.ip == C.ip
    assert send(A, ping(A, B, version)).arrivals[0] != send(C, ping(C, T, version)).arrivals[0]
    assert send(C, ping(C, B, version)).arrivals == (
        Sent(TUNNEL_OF["blue"], 200, int(ip_address(VTEPS["h2"])), False, ping(C, B, version)),
    )


@both
def test_a_packet_from_a_wrong_mac_is_dropped(version: str) -> None:
    assert dropped_in(send(A, changed(ping(A, B, version), eth_src=mac_number(R.mac)))) == "PORT_SECURITY"


@both
def test_a_packet_from_a_wrong_address_is_dropped(version: str) -> None:
    spoofed = {"ipv4_src": ipv4_number(R.ip)} if version == V4 else {"ipv6_src": ipv6_number(R.ip6)}
    assert dropped_in(send(A, changed(ping(A, B, version), **spoofed))) == "PORT_SECURITY"


@pytest.mark.parametrize("field", ["arp_spa", "arp_sha", "eth_src"])
def test_arp_in_somebody_elses_name_is_dropped(field: str) -> None:
    value = ipv4_number(R.ip) if field == "arp_spa" else mac_number(R.mac)
    for operation in (1, 2):
        lie = changed(packets.arp_request(A.mac, A.ip, B.ip), arp_op=operation, **{field: value})
        assert dropped_in(send(A, lie)) == "PORT_SECURITY"


def test_neighbour_solicitations_in_somebody_elses_name_are_dropped() -> None:
    asked = packets.neighbour_solicitation(A.mac, A.ip6, B.ip6)
    assert dropped_in(send(A, changed(asked, ipv6_src=ipv6_number(R.ip6)))) == "PORT_SECURITY"
    assert dropped_in(send(A, changed(asked, eth_src=mac_number(R.mac)))) == "PORT_SECURITY"


@both
def test_without_port_security_a_port_sends_from_any_address(version: str) -> None:
    packet = changed(ping(R, U, version), eth_src=mac_number(R.mac))
    assert isinstance(send(D, packet).arrivals[0], Sent)


@pytest.mark.parametrize("asked", [B, R, S])
def test_arp_is_answered_on_the_senders_host(asked: Station) -> None:
    (end,) = send(A, packets.arp_request(A.mac, A.ip, asked.ip)).ends
    assert isinstance(end, Answered)
    answer = {
        "eth_src": mac_number(asked.mac),
        "eth_dst": mac_number(A.mac),
        "eth_type": 0x0806,
        "arp_op": 2,
        "arp_spa": ipv4_number(asked.ip),
        "arp_sha": mac_number(asked.mac),
        "arp_tpa": ipv4_number(A.ip),
        "arp_tha": mac_number(A.mac),
    }
    assert end.packet.fields == answer


@pytest.mark.parametrize("asked", [B, R, S])
@pytest.mark.parametrize("of_link", [False, True])
def test_nd_is_answered_on_the_senders_host(asked: Station, of_link: bool) -> None:
    target = asked.link_local if of_link else asked.ip6
    (end,) = send(A, packets.neighbour_solicitation(A.mac, A.ip6, target)).ends
    assert isinstance(end, Answered)
    answer = end.packet.fields
    assert (answer["icmpv6_type"], answer["nd_reserved"], answer["nw_ttl"]) == (136, 0x60000000, 255)
    assert (answer["nd_target"], answer["nd_tll"]) == (ipv6_number(target), mac_number(asked.mac))
    assert (answer["ipv6_src"], answer["ipv6_dst"]) == (ipv6_number(target), ipv6_number(A.ip6))
    assert (answer["eth_src"], answer["eth_dst"]) == (mac_number(asked.mac), mac_number(A.mac))


@both
def test_whoever_probes_a_taken_address_is_told(version: str) -> None:
    """RFC 5227, 2.1.1; RFC 4862, 5.4: somebody else has the address."""
    (end,) = send(A, probe(A, R, version)).ends
    assert isinstance(end, Answered)
    if version == V6:
        assert (end.packet.fields["ipv6_dst"], end.packet.fields["nd_reserved"]) == (
            ipv6_number("ff02::1"),
            0x20000000,
        )


@both
def test_who_probes_its_own_address_hears_nothing(version: str) -> None:
    trace = send(A, probe(A, A, version))
    assert dropped_in(trace) == "RESOLVE"
    assert trace.drop is not None
    assert "its own address" in trace.drop.reason


def probe(source: Station, asked: Station, version: str) -> Packet:
    sender = "0.0.0.0" if version == V4 else "::"
    return packets.request(source.mac, sender, address(asked, version))


@both
def test_a_question_about_an_address_that_nobody_has_goes_nowhere(version: str) -> None:
    asked = "10.0.0.99" if version == V4 else "fd00::99"
    trace = send(A, packets.request(A.mac, address(A, version), asked))
    assert dropped_in(trace) == "RESOLVE"


@both
def test_a_question_about_another_networks_address_goes_nowhere(version: str) -> None:
    asked = packets.request(A.mac, address(A, version), address(U, version))
    assert dropped_in(send(A, asked)) == "RESOLVE"


def test_a_solicitation_from_off_the_link_is_ignored() -> None:
    """RFC 4861, 7.1.1: the hop limit must be 255."""
    asked = changed(packets.neighbour_solicitation(A.mac, A.ip6, B.ip6), nw_ttl=254)
    assert dropped_in(send(A, asked)) == "RESOLVE"


@pytest.mark.parametrize("source", [A, D, R])
def test_broadcast_goes_nowhere(source: Station) -> None:
    packet = packets.udp(mac_number(source.mac), BROADCAST_MAC, source.ip, "255.255.255.255", 68)
    assert dropped_in(send(source, packet)) == "L2"


@both
def test_unknown_unicast_goes_nowhere(version: str) -> None:
    assert dropped_in(send(A, changed(ping(A, B, version), eth_dst=0x02FFFFFFFFFF))) == "L2"


@pytest.mark.parametrize("icmpv6_type", [134, 136, 137])
def test_router_advertisements_redirects_and_neighbour_advertisements_are_refused(icmpv6_type: int) -> None:
    fields = {"icmpv6_type": icmpv6_type}
    ends = mac_number(A.mac), mac_number(B.mac), A.link_local, B.link_local
    assert dropped_in(send(A, packets.ip(*ends, proto=PROTO_ICMPV6, fields=fields))) == "PORT_SECURITY"


@both
def test_dhcp_servers_are_refused(version: str) -> None:
    ports = {"udp_src": 67, "udp_dst": 68} if version == V4 else {"udp_src": 547, "udp_dst": 546}
    ends = mac_number(A.mac), mac_number(B.mac), address(A, version), address(B, version)
    assert dropped_in(send(A, packets.ip(*ends, proto=PROTO_UDP, fields=ports))) == "PORT_SECURITY"


@pytest.mark.parametrize("group", ["239.1.1.1", "ff05::1:1"])
def test_multicast_goes_to_subscribers_here_and_once_to_each_host_that_has_some(group: str) -> None:
    trace = send(A, multicast(A, group))
    vteps = {end.vtep for end in trace.arrivals if isinstance(end, Sent)}
    assert vteps == {int(ip_address(VTEPS["h2"])), int(ip_address(VTEPS["h3"]))}
    assert [end.ofport for end in trace.arrivals if isinstance(end, Delivered)] == [B.ofport]


@pytest.mark.parametrize("group", ["239.1.1.1", "ff05::1:1"])
def test_a_subscriber_does_not_hear_itself(group: str) -> None:
    assert not any(isinstance(end, Delivered) for end in send(B, multicast(B, group)).ends)


@pytest.mark.parametrize("group", ["239.1.1.1", "ff05::1:1"])
def test_multicast_from_another_host_reaches_subscribers_here_and_no_tunnel(group: str) -> None:
    trace = send(R, multicast(R, group))
    assert [type(end) for end in trace.arrivals] == [Delivered]
    assert {Table(end.table).name for end in trace.ends if isinstance(end, Dropped)} == {"TRANSPORT"}


@pytest.mark.parametrize("group", ["239.1.1.2", "ff02::1", "ff05::2"])
def test_multicast_without_subscribers_goes_nowhere(group: str) -> None:
    assert dropped_in(send(A, multicast(A, group))) == "L2"


@pytest.mark.parametrize("group", ["239.1.1.1", "ff05::1:1"])
def test_multicast_stays_in_its_network(group: str) -> None:
    assert dropped_in(send(C, multicast(C, group))) == "L2"


@pytest.mark.parametrize("icmpv6_type", [None, 131, 132, 143])
def test_memberships_are_told_to_the_agent_and_go_no_further(icmpv6_type: int | None) -> None:
    """IGMP (protocol 2) and MLD reports."""
    group = "239.1.1.1" if icmpv6_type is None else "ff05::1:1"
    sender = A.ip if icmpv6_type is None else A.link_local
    proto, fields = (2, {}) if icmpv6_type is None else (PROTO_ICMPV6, {"icmpv6_type": icmpv6_type})
    report = packets.ip(mac_number(A.mac), multicast_mac(group), sender, group, proto=proto, fields=fields)
    (end,) = send(A, report).ends
    assert isinstance(end, Punted)
    assert "takes note" in reasons.of_punt(end.userdata)


def multicast(source: Station, group: str) -> Packet:
    sender = source.ip6 if ":" in group else source.ip
    return packets.udp(mac_number(source.mac), multicast_mac(group), sender, group, 5000)


@both
@pytest.mark.parametrize("target", [R, S])
def test_what_came_from_another_host_never_leaves_for_one(version: str, target: Station) -> None:
    assert dropped_in(send(R, ping(R, target, version))) == "TRANSPORT"


@pytest.mark.parametrize("source", [T, U])
def test_a_vni_of_another_transport_is_not_let_in(source: Station) -> None:
    trace = SWITCH.trace(ping(source, B, V4), TUNNELS[next(iter(TUNNELS))], tun_id=VNI[source.network])
    assert dropped_in(trace) == "CLASSIFY"


def test_a_vni_without_a_part_here_is_not_let_in() -> None:
    assert dropped_in(SWITCH.trace(ping(R, A, V4), TUNNEL_OF["red"], tun_id=999)) == "CLASSIFY"


def test_a_tagged_packet_is_dropped() -> None:
    assert dropped_in(send(A, changed(ping(A, B, V4), vlan_vid=0x1005))) == "CLASSIFY"


@both
def test_what_fits_leaves_and_what_is_larger_is_told_to_the_sender(version: str) -> None:
    # h3 is reached over IPv6, so that is what the network's MTU leaves room for: 1500 - 70.
    assert isinstance(send(A, ping(A, R, version, 1430)).arrivals[0], Sent)
    (end,) = send(A, ping(A, R, version, 1431)).ends
    assert isinstance(end, Punted)
    assert "larger than the network's MTU" in reasons.of_punt(end.userdata)


def test_the_mtu_of_a_network_counts() -> None:
    assert isinstance(send(D, ping(D, U, V4, 1400)).arrivals[0], Sent)
    assert isinstance(send(D, ping(D, U, V4, 1401)).arrivals[0], Punted)


def test_an_oversize_packet_that_is_not_ip_is_dropped() -> None:
    packet = Packet({"eth_src": mac_number(D.mac), "eth_dst": mac_number(U.mac), "eth_type": 0x88B5}, 9000)
    assert dropped_in(send(D, packet)) == "ENCAPSULATE"


def test_fragments_reach_where_whole_packets_do() -> None:
    assert isinstance(send(A, changed(ping(A, R, V4), ip_frag=1)).arrivals[0], Sent)
    assert isinstance(send(A, changed(ping(A, R, V4), ip_frag=3)).arrivals[0], Sent)


def test_a_packet_to_oneself_does_not_come_back() -> None:
    assert dropped_in(send(A, ping(A, A, V4))) == "DELIVER"


def test_every_drop_has_a_reason_of_its_own() -> None:
    general = {"drop", ""}
    for key, entry in COMPILER.flows.items():
        flow = Flow(key, entry.instructions)
        if not decode_instructions(flow.instructions):
            reason = reasons.of_drop(flow.table, flow)
            assert flow.table in (Table.ANSWER, Table.ANSWER_ND) or reason not in general, flow
            assert not reason.startswith("a flow of table"), flow
