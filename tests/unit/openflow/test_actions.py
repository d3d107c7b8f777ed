"""Actions and instructions: what is built means what it says, and what can't be is refused."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.wire.errors import MalformedMessage
from plait.wire.openflow import parsed
from plait.wire.openflow.actions import (
    Bits,
    apply,
    check_pkt_larger,
    clone,
    conjunction,
    controller,
    ct,
    dec_ttl,
    decode_actions,
    decode_instructions,
    goto,
    group,
    instructions,
    learn,
    learned_load,
    learned_match,
    learned_output,
    load,
    meter,
    move,
    multipath,
    nat,
    output,
    output_reg,
    resubmit,
    set_field,
    set_queue,
    write_metadata,
)

SIMPLE = [
    output(7),
    output_reg("reg1", 0, 16),
    group(3),
    set_field("eth_dst", 0x0200_0000_0001),
    load("metadata", 8, 16, 0xABCD),
    move("reg0", "reg1", 8, src_ofs=4, dst_ofs=12),
    resubmit(9),
    resubmit(9, 4),
    controller(userdata=b"abc", pause=True, meter_id=4),
    nat("src", first=b"\x0a\0\0\1"),
    conjunction(77, 2, 3),
    check_pkt_larger(1450, "reg3", 31),
    multipath(3, "reg11", 4, 8),
    dec_ttl(),
    set_queue(1),
    learn(
        learned_match(Bits("eth_dst", 0, 48), Bits("eth_src", 0, 48)),
        learned_load(Bits("reg0", 0, 16), 7),
        learned_output(Bits("in_port", 0, 16)),
        table=4,
    ),
]
MEANINGS = [
    parsed.Output(7, 0),
    parsed.OutputReg(Bits("reg1", 0, 16), 0xFFFF),
    parsed.Group(3),
    parsed.SetField("eth_dst", 0x0200_0000_0001),
    parsed.Load(Bits("metadata", 8, 16), 0xABCD),
    parsed.Move(Bits("reg0", 4, 8), Bits("reg1", 12, 8)),
    parsed.Resubmit(None, 9),
    parsed.Resubmit(4, 9),
    parsed.Controller(max_len=0xFFFF, reason=1, controller_id=0, userdata=b"abc", pause=True, meter_id=4),
    parsed.Nat(
        direction="src",
        first=b"\x0a\0\0\1",
        last=b"",
        first_port=None,
        last_port=None,
        persistent=False,
        algorithm=None,
    ),
    parsed.Conjunction(77, 2, 3),
    parsed.CheckPktLarger(1450, Bits("reg3", 31, 1)),
    parsed.Multipath("symmetric_l3l4+udp", 0, "hrw", 3, 0, Bits("reg11", 4, 8)),
    parsed.DecTtl(),
    parsed.SetQueue(1),
    parsed.Learn(
        table=4,
        priority=0x8000,
        cookie=0,
        idle_timeout_s=0,
        hard_timeout_s=0,
        fin_idle_timeout_s=0,
        fin_hard_timeout_s=0,
        flags=0,
        limit=0,
        result=None,
        parts=(
            parsed.LearnedPart("match", Bits("eth_src", 0, 48), Bits("eth_dst", 0, 48), 48),
            parsed.LearnedPart("load", 7, Bits("reg0", 0, 16), 16),
            parsed.LearnedPart("output", Bits("in_port", 0, 16), None, 16),
        ),
    ),
]


@given(st.lists(st.integers(0, len(SIMPLE) - 1), max_size=6))
def test_a_list_of_actions_comes_back_as_what_it_means(chosen: list[int]) -> None:
    assert decode_actions(b"".join(SIMPLE[i] for i in chosen)) == tuple(MEANINGS[i] for i in chosen)


@given(st.lists(st.integers(0, len(SIMPLE) - 1), max_size=3))
def test_nested_actions_come_back_too(chosen: list[int]) -> None:
    inner = [SIMPLE[i] for i in chosen]
    meant = tuple(MEANINGS[i] for i in chosen)

    (cloned, tracked) = decode_actions(clone(*inner) + ct(*inner, zone=5, table=3, commit=True))

    assert cloned == parsed.Clone(meant)
    assert tracked == parsed.Ct(commit=True, force=False, zone=5, table=3, alg=0, actions=meant)


@given(
    st.sampled_from(["metadata", "reg3", "xxreg1", "ct_label", "eth_dst"]),
    st.integers(0, (1 << 128) - 1),
    st.integers(1, (1 << 128) - 1),
)
def test_setting_under_a_mask_sets_exactly_those_bits(name: str, value: int, mask: int) -> None:
    width = {"metadata": 64, "reg3": 32, "xxreg1": 128, "ct_label": 128, "eth_dst": 48}[name]
    ones = (1 << width) - 1
    value, mask = value & ones, mask & ones or 1
    before = 0x5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A & ones

    after = before
    for action in decode_actions(set_field(name, value, mask)):
        match action:
            case parsed.Load(target, loaded):
                bits = (1 << target.bits) - 1 << target.ofs
                after = after & ~bits | loaded << target.ofs
            case parsed.SetField(_, loaded):
                after = loaded
            case _:
                pytest.fail(f"{action} sets nothing")

    assert after == before & ~mask | value & mask


def test_instructions_come_in_the_order_of_the_switch() -> None:
    assert decode_instructions(instructions(goto(5), write_metadata(1, 3), apply(output(1)), meter(2))) == (
        parsed.Meter(2),
        parsed.ApplyActions((parsed.Output(1, 0),)),
        parsed.WriteMetadata(1, 3),
        parsed.GotoTable(5),
    )


def test_nothing_to_apply_is_no_instruction() -> None:
    assert instructions(apply(), goto(3)) == goto(3)
    assert instructions() == b""


@pytest.mark.parametrize(
    ("build", "complaint"),
    [
        (lambda: set_field("reg99", 1), "no OpenFlow field is called 'reg99'"),
        (lambda: set_field("reg0", 1 << 32), "does not fit 32 bits"),
        (lambda: set_field("reg0", 1, 0), "empty mask"),
        (lambda: set_field("vlan_vid", 5), "add 0x1000"),
        (lambda: load("reg0", 30, 4, 1), "reg0[30..33] is not inside its 32 bits"),
        (lambda: load("reg0", 0, 4, 16), "1-64 bits that fit"),
        (lambda: load("nsh_spi", 0, 4, 1), "long OXM header"),
        (lambda: move("reg0", "eth_dst", 33), "reg0[0..32] is not inside"),
        (lambda: ct(zone=Bits("reg0", 0, 8)), "a zone has 16 bits"),
        (lambda: nat("src", last=b"\1\2\3\4"), "begins with `first`"),
        (lambda: nat(first=b"\1\2\3\4"), "only with a direction"),
        (lambda: nat("src", first=b"\1" * 4, last=b"\1" * 16), "two families"),
        (lambda: conjunction(1, 3, 2), "2 to 64 clauses"),
        (lambda: multipath(0, "reg0", 0, 4), "over 0 links: 1 to 16 fit"),
        (lambda: multipath(17, "reg0", 0, 4), "over 17 links: 1 to 16 fit"),
        (lambda: instructions(goto(1), goto(2)), "comes twice"),
        (lambda: learned_match(Bits("reg0", 0, 8), 256), "does not fit the 8 bits"),
        (lambda: learned_match(Bits("reg0", 0, 8), Bits("reg1", 0, 9)), "copies 9 bits"),
    ],
)
def test_what_can_not_be_is_refused_with_the_way_out(build: Callable[[], bytes], complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        build()


def test_nesting_is_bounded() -> None:
    action = output(1)
    for _ in range(40):
        action = clone(action)
    with pytest.raises(MalformedMessage, match="nest deeper"):
        decode_actions(action)


def test_somebody_elses_action_is_kept_as_it_is() -> None:
    push_mpls = bytes.fromhex("0013000888470000")
    fin_timeout = bytes.fromhex("ffff0010000023200013000500060000")
    foreign_hash = bytes.fromhex("ffff002000002320000a00630000000000020001000000000000001f00010004")
    load_of_unknown_field = bytes.fromhex("ffff001800002320000700070001fe040000000000000001")

    for action in (push_mpls, fin_timeout, foreign_hash, load_of_unknown_field):
        assert decode_actions(action) == (parsed.UnknownAction(action),)
