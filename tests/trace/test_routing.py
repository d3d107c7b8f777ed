"""What becomes of routed packets. The world is `routed_scene`'s: r1 joins web and db, and is joined to r2."""

from ipaddress import ip_address

import pytest

from plait.compile import Compiler
from plait.flows import packet as packets
from plait.flows import reasons
from plait.flows.address_numbers import ipv6_number, link_local_number, mac_number, multicast_mac
from plait.flows.flow import Flow
from plait.flows.packet import Packet
from plait.flows.pipeline import Table, check
from plait.flows.punt import Punt
from plait.flows.trace import Answered, Delivered, Punted, Sent, Switch, Trace
from plait.model.entities import Endpoint, Transport
from plait.model.facets import Attachment, Change, Key
from plait.model.routers import Peering, Router, RouterInterface, StaticRoute
from plait.wire.openflow import parsed
from plait.wire.openflow.decode import decode_instructions

from .routed_scene import A2, B2, F2, VNI, X2, A, B, F, M, N, Routed, X, compiled, gateway_mac, routes
from .scene import TUNNELS, VTEPS, switch

V4, V6 = 4, 6
both = pytest.mark.parametrize("version", [V4, V6])
SWITCH = switch(compiled())
NETWORK_VNI = {"web": 100, "db": 200, "far": 300, "twin": 400}
TUNNEL_OF = {
    "web": TUNNELS[Transport.VXLAN],
    "db": TUNNELS[Transport.GENEVE],
    "far": TUNNELS[Transport.GRE],
    "twin": TUNNELS[Transport.VXLAN],
}


def address(station: Routed, version: int) -> str:
    return station.ip if version == V4 else station.ip6


def gateway(network: str, version: int) -> str:
    third = {"web": 1, "db": 2, "far": 3, "twin": 1}[network]
    return f"10.{third}.0.1" if version == V4 else f"fd00:{third}::1"


def ping(source: Routed, target: str, *, size_bytes: int | None = None, sender: str | None = None) -> Packet:
    """To the source's gateway, whomever it is for."""
    version = V6 if ":" in target else V4
    macs = mac_number(source.mac), mac_number(gateway_mac(source.network, version))
    return packets.echo_request(*macs, sender or address(source, version), target, size_bytes=size_bytes)


def changed(packet: Packet, **fields: int) -> Packet:
    return Packet({**packet.fields, **fields}, packet.size_bytes)


def send(source: Routed, packet: Packet, through: Switch = SWITCH) -> Trace:
    assert source.ofport is not None
    return through.trace(packet, source.ofport)


def routed(packet: Packet, target: Routed, version: int) -> Packet:
    """As it arrives: from the gateway of the network where it ends, its TTL one less."""
    return changed(
        packet,
        eth_src=mac_number(gateway_mac(target.network, version)),
        eth_dst=mac_number(target.mac),
        nw_ttl=packet.fields["nw_ttl"] - 1,
    )


def reason_of(trace: Trace) -> Punt:
    (end,) = trace.ends
    assert isinstance(end, Punted), end
    return Punt(end.userdata[0])


def dropped_in(trace: Trace) -> str:
    assert trace.drop is not None, trace.arrivals
    return Table(trace.drop.table).name


@both
@pytest.mark.parametrize(("source", "target"), [(A, B), (B, A), (A, F), (F, A), (B, F), (M, B)])
def test_a_packet_for_another_subnet_is_delivered_by_its_gateway(
    source: Routed, target: Routed, version: int
) -> None:
    packet = ping(source, address(target, version))
    assert send(source, packet).arrivals == (Delivered(target.ofport or 0, routed(packet, target, version)),)


@both
@pytest.mark.parametrize(("source", "target"), [(A, B2), (B, A2), (A, F2), (F, B2), (M, B2)])
def test_it_goes_straight_to_the_other_host_in_the_network_where_it_ends(
    source: Routed, target: Routed, version: int
) -> None:
    packet = ping(source, address(target, version))
    vtep = ip_address(VTEPS[target.host])
    assert send(source, packet).arrivals == (
        Sent(
            TUNNEL_OF[target.network],
            NETWORK_VNI[target.network],
            int(vtep),
            vtep.version == 6,
            routed(packet, target, version),
        ),
    )


@both
@pytest.mark.parametrize("target", [X, X2])
def test_the_same_addresses_of_another_tenant_are_not_met(target: Routed, version: int) -> None:
    assert target.ip in (A.ip, A2.ip)
    seen = [end.ofport for end in send(B, ping(B, address(target, version))).arrivals]  # type: ignore[union-attr]
    assert seen == [A.ofport if target is X else TUNNEL_OF["web"]]


@both
def test_a_router_that_says_it_is_joined_is_not_until_the_other_says_so_too(version: int) -> None:
    packet = ping(X, address(B, version))
    assert reason_of(send(X, packet)) is Punt.NO_ROUTE
    agreed = switch(compiled(Change(Peering, "r1/r3", Peering(router="r1", peer="r3"))))
    assert [type(end) for end in send(X, packet, agreed).arrivals] == [Delivered]
    withdrawn = switch(compiled(Change(Peering, "r1/r2", None)))
    assert reason_of(send(A, ping(A, address(F, version)), withdrawn)) is Punt.NO_ROUTE


@both
@pytest.mark.parametrize("network", ["web", "db", "far"])
def test_every_address_of_the_router_and_of_joined_ones_answers_pings(network: str, version: int) -> None:
    packet = ping(A, gateway(network, version))
    (end,) = send(A, packet).ends
    assert isinstance(end, Answered)
    family = "ipv4" if version == V4 else "ipv6"
    answer = end.packet.fields
    assert answer[f"{family}_src"] == packet.fields[f"{family}_dst"]
    assert answer[f"{family}_dst"] == packet.fields[f"{family}_src"]
    assert (answer["eth_src"], answer["eth_dst"]) == (packet.fields["eth_dst"], packet.fields["eth_src"])
    assert answer.get("icmpv4_type", 0) == 0
    assert answer.get("icmpv6_type", 129) == 129
    assert answer["nw_ttl"] == 64


@both
def test_another_router_on_a_subnet_answers_too(version: int) -> None:
    asked, prefix = ("10.2.0.2", "10.2.0.0/24") if version == V4 else ("fd00:2::2", "fd00:2::/64")
    second = RouterInterface(
        router="r4",
        network="db",
        subnet=f"db{version}",
        prefix=prefix,
        address=asked,
        mac="02:99:00:00:77:77",
    )
    assert reason_of(send(A, ping(A, asked))) is Punt.NO_HOST
    with_second = switch(
        compiled(
            Change(Router, "r4", Router(id="r4", name="r4", vni=1004)),
            Change(RouterInterface, second.id, second),
        )
    )
    for source in (A, B, F):
        (end,) = send(source, ping(source, asked), with_second).ends
        assert isinstance(end, Answered)


def test_the_link_local_address_of_an_interface_answers_on_its_own_network_only() -> None:
    mac = mac_number(gateway_mac("web", V6))
    target = str(ip_address(link_local_number(mac)))
    (end,) = send(A, ping(A, target, sender=A.link_local)).ends
    assert isinstance(end, Answered)
    assert dropped_in(send(B, ping(B, target, sender=B.link_local))) == "ROUTE"


@both
def test_another_tenants_router_does_not_answer(version: int) -> None:
    assert reason_of(send(X, ping(X, gateway("db", version)))) is Punt.NO_ROUTE


@both
@pytest.mark.parametrize("ttl", [0, 1])
def test_the_gateway_answers_whatever_the_ttl(version: int, ttl: int) -> None:
    (end,) = send(A, changed(ping(A, gateway("web", version)), nw_ttl=ttl)).ends
    assert isinstance(end, Answered)


@both
@pytest.mark.parametrize("ttl", [0, 1])
def test_a_ttl_that_runs_out_is_told_and_one_of_two_is_enough(version: int, ttl: int) -> None:
    packet = ping(A, address(B, version))
    assert reason_of(send(A, changed(packet, nw_ttl=ttl))) is Punt.TTL_EXPIRED
    assert [type(end) for end in send(A, changed(packet, nw_ttl=2)).arrivals] == [Delivered]


@both
def test_inside_a_subnet_no_ttl_is_looked_at(version: int) -> None:
    macs = mac_number(A.mac), mac_number(A2.mac)
    packet = changed(packets.echo_request(*macs, address(A, version), address(A2, version)), nw_ttl=1)
    assert send(A, packet).arrivals[0].packet.fields["nw_ttl"] == 1  # type: ignore[union-attr]


@both
def test_the_sender_is_told_what_is_not_there(version: int) -> None:
    no_route, no_host, no_hop = (
        ("10.99.0.1", "10.2.0.99", "10.8.0.1") if version == V4 else ("fd00:99::1", "fd00:2::99", "fd00:8::1")
    )
    assert reason_of(send(A, ping(A, no_route))) is Punt.NO_ROUTE
    assert reason_of(send(A, ping(A, no_host))) is Punt.NO_HOST
    assert reason_of(send(A, ping(A, no_hop))) is Punt.NO_HOST


@both
def test_what_is_for_the_router_itself_and_no_ping_is_told_that_nobody_listens(version: int) -> None:
    macs = mac_number(A.mac), mac_number(gateway_mac("web", version))
    for build, port in ((packets.tcp, 22), (packets.udp, 33434)):
        packet = build(*macs, address(A, version), gateway("web", version), port)
        assert reason_of(send(A, packet)) is Punt.NO_PORT
        assert reason_of(send(A, changed(packet, nw_ttl=1))) is Punt.NO_PORT


@both
def test_icmp_that_is_no_question_gets_no_answer(version: int) -> None:
    types = {"icmpv4_type": 3} if version == V4 else {"icmpv6_type": 1}
    assert dropped_in(send(A, changed(ping(A, gateway("web", version)), **types))) == "LOCAL"


@both
def test_all_fragments_of_a_ping_come_back(version: int) -> None:
    packet = ping(A, gateway("web", version))
    for fragment in (1, 3):
        # What Open vSwitch takes for the protocol of later fragments of IPv6.
        proto = 44 if version == V6 and fragment == 3 else packet.fields["ip_proto"]
        (end,) = send(A, changed(packet, ip_frag=fragment, ip_proto=proto)).ends
        assert isinstance(end, Answered)


@both
@pytest.mark.parametrize("end", ["src", "dst"])
def test_local_addresses_are_not_routed(version: int, end: str) -> None:
    local = ("169.254.1.1", "127.0.0.1", "224.0.0.5", "255.255.255.255", "0.0.0.0")
    if version == V6:
        local = ("fe80::1", "::1", "ff0e::1", "::", "fe80:1::1")
    name = f"ipv{version}_{end}"
    for each in local:
        packet = changed(ping(M, address(B, version)), **{name: int(ip_address(each))})
        for ttl in (1, 64):
            assert dropped_in(send(M, changed(packet, nw_ttl=ttl))) == "ROUTE"


@both
def test_a_multicast_packet_is_not_taken_for_the_routers(version: int) -> None:
    group = "239.9.9.9" if version == V4 else "ff05::9"
    packet = packets.udp(mac_number(A.mac), multicast_mac(group), address(A, version), group, 5000)
    assert dropped_in(send(A, packet)) == "L2"


@both
def test_a_route_leads_to_its_next_hop(version: int) -> None:
    packet = ping(B, "10.7.0.1" if version == V4 else "fd00:7::1")
    assert send(B, packet).arrivals == (Delivered(M.ofport or 0, routed(packet, M, version)),)


@both
def test_several_next_hops_share_connections_and_one_that_is_gone_leaves_its_share_to_the_others(
    version: int,
) -> None:
    prefix = "10.9.0.0/16" if version == V4 else "fd00:9::/64"
    everything = links(compiled(), prefix)
    assert len(everything) == 8
    ways = [way(link) for link in everything]
    assert ways == [M.network, N.network] * 4
    third = Routed("o", "web", 30, host="h2")
    with_three = Router(id="r1", name="r1", vni=VNI["r1"], routes=routes((M, third, N)))
    one_of_three_gone = compiled(Change(Router, "r1", with_three))
    ways = [way(link) for link in links(one_of_three_gone, prefix)]
    assert ways == ["web", "web", "db", "web", "db", "db", "web", "web", "db", "web", "db", "db"]


@both
def test_the_last_next_hop_takes_everything_without_a_hash(version: int) -> None:
    packet = ping(A, "10.9.0.1" if version == V4 else "fd00:9::1")
    (end,) = send(A, packet).ends
    assert end == Delivered(M.ofport or 0, routed(packet, M, version))
    without = compiled(Change(Endpoint, "n", None))
    assert not links(without, "10.9.0.0/16" if version == V4 else "fd00:9::/64")
    assert send(B, ping(B, address(A, version)), switch(without)).arrivals
    assert send(A, packet, switch(without)).arrivals == (end,)


def links(compiler: Compiler, prefix: str) -> list[Flow]:
    """The flows of NEXT_HOP for a prefix, by link."""
    flows = (Flow(key, entry.instructions) for key, entry in compiler.flows.items())
    of_prefix = [each for each in flows if each.table == Table.NEXT_HOP and prefix in str(each)]
    return sorted(of_prefix, key=lambda each: int(str(each).partition("reg11=")[2].split(",")[0], 0))


def way(link: Flow) -> str:
    """The network that a link leads into."""
    (applied, _) = decode_instructions(link.instructions)
    assert isinstance(applied, parsed.ApplyActions)
    vni = next(
        action.value
        for action in applied.actions
        if isinstance(action, parsed.SetField) and action.field == "reg0"
    )
    return next(name for name, number in NETWORK_VNI.items() if number == vni)


@both
@pytest.mark.parametrize("target", [B, B2])
def test_what_does_not_fit_into_the_next_network_is_told_here_and_elsewhere(
    target: Routed, version: int
) -> None:
    fits, too_large = (ping(A, address(target, version), size_bytes=size) for size in (1300, 1301))
    assert isinstance(send(A, fits).arrivals[0], (Delivered, Sent))
    trace = send(A, too_large)
    assert reason_of(trace) is Punt.TOO_BIG
    assert Table(trace.steps[-1].table) is Table.NEIGHBOUR


def test_only_ways_into_smaller_networks_look_at_the_size() -> None:
    looking = [
        key[0]
        for key, entry in compiled().flows.items()
        for part in decode_instructions(entry.instructions)
        if isinstance(part, parsed.ApplyActions)
        and any(isinstance(action, parsed.CheckPktLarger) for action in part.actions)
    ]
    # Into db by r1, into web (VXLAN) and db by r2 from far (GRE), of both families; the links by n, in db.
    assert looking.count(Table.ROUTE) == 6
    assert looking.count(Table.NEXT_HOP) == 8
    assert looking.count(Table.NEIGHBOUR) == 0


@both
def test_no_wider_route_takes_packets_of_a_subnet_that_is_not_known_yet(version: int) -> None:
    target = "10.4.0.9" if version == V4 else "fd00:4::9"
    everywhere = Router(
        id="r1",
        name="r1",
        vni=VNI["r1"],
        routes=(*routes(), StaticRoute("0.0.0.0/0", (M.ip,)), StaticRoute("::/0", (M.ip6,))),
    )
    trace = send(A, ping(A, target), switch(compiled(Change(Router, "r1", everywhere))))
    assert dropped_in(trace) == "ROUTE"
    assert trace.drop is not None
    assert "not known here yet" in trace.drop.reason


@both
@pytest.mark.parametrize("asked_by_probe", [False, True])
def test_the_gateways_mac_is_told_on_every_host_and_that_it_is_a_router(
    version: int, asked_by_probe: bool
) -> None:
    sender = address(A, version)
    if asked_by_probe:
        sender = "0.0.0.0" if version == V4 else "::"
    (end,) = send(A, packets.request(A.mac, sender, gateway("web", version))).ends
    assert isinstance(end, Answered)
    mac = mac_number(gateway_mac("web", version))
    if version == V4:
        assert (end.packet.fields["arp_sha"], end.packet.fields["eth_src"]) == (mac, mac)
    else:
        flags = 0xA0000000 if asked_by_probe else 0xE0000000
        assert (end.packet.fields["nd_tll"], end.packet.fields["nd_reserved"]) == (mac, flags)


def test_the_link_local_address_of_the_gateway_is_resolved() -> None:
    mac = mac_number(gateway_mac("web", V6))
    asked = str(ip_address(link_local_number(mac)))
    (end,) = send(A, packets.neighbour_solicitation(A.mac, A.ip6, asked)).ends
    assert isinstance(end, Answered)
    assert end.packet.fields["nd_target"] == ipv6_number(asked)


def test_a_neighbour_that_is_no_router_does_not_say_it_is_one() -> None:
    (end,) = send(A, packets.neighbour_solicitation(A.mac, A.ip6, A2.ip6)).ends
    assert isinstance(end, Answered)
    assert end.packet.fields["nd_reserved"] == 0x60000000


@both
def test_the_gateway_of_one_family_takes_no_packet_of_the_other(version: int) -> None:
    other = mac_number(gateway_mac("web", V6 if version == V4 else V4))
    assert dropped_in(send(A, changed(ping(A, address(B, version)), eth_dst=other))) == "L2"


@both
def test_what_comes_from_another_host_is_not_routed_again(version: int) -> None:
    packet = ping(A2, address(B, version))
    assert dropped_in(SWITCH.trace(packet, TUNNEL_OF["web"], tun_id=100)) == "L2"


@both
def test_a_routed_packet_from_another_host_is_delivered_in_the_network_where_it_ends(version: int) -> None:
    packet = routed(ping(A2, address(B, version)), B, version)
    assert SWITCH.trace(packet, TUNNEL_OF["db"], tun_id=200).arrivals == (Delivered(B.ofport or 0, packet),)


def test_every_flow_does_only_what_its_table_declares_and_every_drop_and_punt_has_a_reason() -> None:
    for key, entry in compiled().flows.items():
        flow = Flow(key, entry.instructions)
        check(flow)
        if not decode_instructions(flow.instructions):
            assert not reasons.of_drop(flow.table, flow).startswith("a flow of table"), flow
    for punt in (Punt.TTL_EXPIRED, Punt.NO_ROUTE, Punt.NO_HOST, Punt.NO_PORT, Punt.TOO_BIG):
        assert "is told" in reasons.of_punt(bytes((punt,)))


def test_a_router_is_here_only_while_a_port_of_its_networks_is() -> None:
    without_far = compiled(Change(Attachment, "f", None), Change(Attachment, "b", None))
    owners = {entry.owner for entry in without_far.flows.values()}
    assert Key("router", "r1") in owners
    assert Key("router", "r2") not in owners
    interfaces = {key.id for key in owners if key.kind == "interface"}
    assert interfaces == {"r1/web4", "r1/web6", "r3/twin4", "r3/twin6"}
    # What begins here is routed as before.
    for version in (V4, V6):
        assert [type(end) for end in send(A, ping(A, address(B2, version)), switch(without_far)).ends] == [
            Sent
        ]


def test_no_two_owners_claim_a_flow() -> None:
    assert not compiled().conflicts()
