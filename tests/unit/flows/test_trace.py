"""The simulated switch does what OpenFlow says, one rule at a time."""

from collections.abc import Iterable

import pytest

from plait.flows.bits import read, write
from plait.flows.flow import Flow, Group, flow
from plait.flows.packet import Packet
from plait.flows.trace import (
    Answered,
    Delivered,
    Dropped,
    End,
    NotSimulated,
    Punted,
    Sent,
    Switch,
    Trace,
)
from plait.wire.errors import MalformedMessage
from plait.wire.openflow.actions import (
    CONTROLLER,
    IN_PORT,
    apply,
    check_pkt_larger,
    clone,
    controller,
    ct,
    goto,
    group,
    instructions,
    load,
    meter,
    move,
    nat,
    note,
    output,
    output_reg,
    push_vlan,
    resubmit,
    set_field,
)
from plait.wire.openflow.mods import GroupType, bucket
from plait.wire.openflow.nicira import Bits
from plait.wire.openflow.oxm import match

PACKET = Packet({"eth_src": 1, "eth_dst": 2}, 60)


def trace(
    flows: Iterable[Flow], groups: Iterable[Group] = (), *, tunnels: Iterable[int] = (), in_port: int = 1
) -> Trace:
    return Switch(flows, groups, tunnels).trace(PACKET, in_port)


def ends(*actions: bytes, groups: Iterable[Group] = (), tunnels: Iterable[int] = ()) -> tuple[End, ...]:
    return trace([flow(0, 1, match(), apply(*actions))], groups, tunnels=tunnels).ends


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        pytest.param([output(7)], [Delivered(7, PACKET)], id="out of a port"),
        pytest.param([output(7), output(8)], [Delivered(7, PACKET), Delivered(8, PACKET)], id="out of two"),
        pytest.param([output(IN_PORT)], [Answered(PACKET)], id="back, when a flow says so"),
        pytest.param(
            [output(1)],
            [Dropped(0, "it would leave by the port that it came in by")],
            id="not back by itself",
        ),
        pytest.param(
            [set_field("reg1", 9), output_reg("reg1", 0, 16)], [Delivered(9, PACKET)], id="by register"
        ),
        pytest.param(
            [load("reg1", 4, 4, 9), output_reg("reg1", 4, 4)], [Delivered(9, PACKET)], id="by some bits"
        ),
        pytest.param([output(CONTROLLER)], [Punted(b"", PACKET)], id="to the controller"),
        pytest.param(
            [controller(userdata=b"why")], [Punted(b"why", PACKET)], id="to the controller with a reason"
        ),
        pytest.param(
            [move("eth_src", "eth_dst", 48), output(7)],
            [Delivered(7, Packet({"eth_src": 1, "eth_dst": 1}, 60))],
            id="changed by a move",
        ),
        pytest.param(
            [clone(set_field("eth_dst", 9), output(7)), output(8)],
            [Delivered(7, Packet({"eth_src": 1, "eth_dst": 9}, 60)), Delivered(8, PACKET)],
            id="a clone is a copy",
        ),
        pytest.param([note(b"hm"), output(7)], [Delivered(7, PACKET)], id="a note does nothing"),
        pytest.param(
            [check_pkt_larger(60, "reg1", 3), output_reg("reg1", 0, 16)],
            [Delivered(0, PACKET)],
            id="not larger",
        ),
        pytest.param(
            [check_pkt_larger(59, "reg1", 3), output_reg("reg1", 0, 16)], [Delivered(8, PACKET)], id="larger"
        ),
    ],
)
def test_an_action_does_what_it_says(actions: list[bytes], expected: list[End]) -> None:
    assert list(ends(*actions)) == expected


def test_a_tunnel_port_takes_the_far_end_from_the_packet() -> None:
    to_v4 = ends(set_field("tun_id", 5), set_field("tun_dst", 6), output(100), tunnels=[100])
    to_v6 = ends(set_field("tun_id", 5), set_field("tun_ipv6_dst", 6), output(100), tunnels=[100])
    assert to_v4 == (Sent(100, 5, 6, False, PACKET),)
    assert to_v6 == (Sent(100, 5, 6, True, PACKET),)


def test_what_a_bucket_changes_is_seen_by_no_other_and_by_nothing_after_the_group() -> None:
    buckets = bucket(set_field("eth_dst", 9), output(7)) + bucket(output(8))
    changed = Packet({"eth_src": 1, "eth_dst": 9}, 60)
    assert ends(group(4), output(6), groups=[Group(4, GroupType.ALL, buckets)]) == (
        Delivered(7, changed),
        Delivered(8, PACKET),
        Delivered(6, PACKET),
    )


@pytest.mark.parametrize("kind", [GroupType.SELECT, GroupType.INDIRECT])
def test_only_one_bucket_of_other_groups_counts(kind: GroupType) -> None:
    buckets = bucket(output(7), weight=1) + bucket(output(8), weight=1)
    assert ends(group(4), groups=[Group(4, kind, buckets)]) == (Delivered(7, PACKET),)


@pytest.mark.parametrize("groups", [[], [Group(4, GroupType.ALL, b"")]])
def test_a_group_without_buckets_drops(groups: list[Group]) -> None:
    assert ends(group(4), groups=groups) == (Dropped(0, "group 4 has no buckets"),)


def test_a_resubmit_comes_back_and_a_goto_does_not() -> None:
    flows = [
        flow(0, 1, match(), instructions(apply(resubmit(3), output(6)), goto(4))),
        flow(3, 1, match(), apply(set_field("reg0", 5), output(7))),
        flow(4, 1, match(reg0=5), apply(output(8))),
    ]
    seen = trace(flows)
    assert [end.ofport for end in seen.ends if isinstance(end, Delivered)] == [7, 6, 8]
    assert [step.table for step in seen.steps] == [0, 3, 4]


def test_a_resubmit_may_pretend_another_port() -> None:
    flows = [
        flow(0, 1, match(), apply(resubmit(3, in_port=9))),
        flow(3, 1, match(in_port=9), apply(output(1))),
    ]
    assert trace(flows).ends == (Delivered(1, PACKET),)


def test_a_table_without_a_matching_flow_drops() -> None:
    seen = trace([flow(0, 1, match(), goto(30)), flow(30, 1, match(eth_dst=77), apply(output(1)))])
    assert seen.drop == Dropped(30, "table l2 has no flow for it")
    assert seen.steps[-1].flow is None


def test_a_switch_without_flows_drops() -> None:
    assert trace([]).drop == Dropped(0, "table classify has no flow for it")


def test_a_copy_that_goes_on_is_no_loss() -> None:
    buckets = bucket(output(1)) + bucket(output(8))
    seen = trace([flow(0, 1, match(), apply(group(4)))], [Group(4, GroupType.ALL, buckets)])
    assert seen.drop is None
    assert seen.arrivals == (Delivered(8, PACKET),)


@pytest.mark.parametrize(("ip_frag", "ofport"), [(0, 7), (1, 7), (3, 8)], ids=["whole", "first", "later"])
def test_a_later_fragment_has_no_ports_that_a_match_could_see(ip_frag: int, ofport: int) -> None:
    fields = {"eth_type": 0x0800, "ip_proto": 17, "udp_dst": 53, "ip_frag": ip_frag}
    wanted = match(eth_type=0x0800, ip_proto=17, udp_dst=53)
    switch = Switch([flow(0, 2, wanted, apply(output(7))), flow(0, 1, match(), apply(output(8)))], [])
    assert [end.ofport for end in switch.trace(Packet(fields, 60), 1).ends if isinstance(end, Delivered)] == [
        ofport
    ]


def test_flows_that_lead_in_a_circle_are_found_out() -> None:
    with pytest.raises(NotSimulated, match="circle"):
        trace([flow(0, 1, match(), apply(resubmit(0)))])


@pytest.mark.parametrize("does", [apply(ct(nat())), apply(push_vlan()), meter(1)])
def test_what_is_not_simulated_is_said(does: bytes) -> None:
    with pytest.raises(NotSimulated, match="not simulated"):
        trace([flow(0, 1, match(), does)])


@pytest.mark.parametrize("buckets", [b"\0", b"\0\0\0\0", bucket(output(1))[:-1]])
def test_broken_buckets_are_malformed(buckets: bytes) -> None:
    with pytest.raises(MalformedMessage):
        ends(group(4), groups=[Group(4, GroupType.ALL, buckets)])


def test_wide_registers_are_made_of_narrow_ones() -> None:
    fields: dict[str, int] = {}
    write(fields, Bits("xreg3", 0, 48), 0x0123456789AB)
    assert fields == {"reg6": 0x0123, "reg7": 0x456789AB}
    assert read(fields, Bits("xreg3", 0, 48)) == 0x0123456789AB
    write(fields, Bits("xxreg1", 32, 8), 0xFF)
    assert fields["reg6"] == 0x01FF
    write(fields, Bits("reg7", 8, 8), 0)
    assert fields["reg7"] == 0x456700AB
