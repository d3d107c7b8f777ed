"""Flows for `test_canonical.py`: every field, masked and not, and every action in the forms that it has."""

from collections.abc import Iterator
from typing import Any

from plait.wire.openflow.actions import (
    ALL,
    CONTROLLER,
    FLOOD,
    IN_PORT,
    LOCAL,
    NORMAL,
    Bits,
    apply,
    check_pkt_larger,
    clear_actions,
    clone,
    conjunction,
    controller,
    ct,
    ct_clear,
    dec_ttl,
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
    note,
    output,
    output_reg,
    pop_vlan,
    push_vlan,
    resubmit,
    set_field,
    set_queue,
    write_actions,
    write_metadata,
)
from plait.wire.openflow.oxm import FIELDS, Field, match

Case = tuple[str, bytes, bytes]

EXAMPLES = {"vlan_vid": 0x1005, "in_port": 1, "tcp_flags": 0x12, "eth_type": 0x800}
NEEDED = {"vlan_vid": 0x1005, "ct_state": (0x21, 0x21)}

IP: dict[str, Any] = {"eth_type": 0x0800}
IP6: dict[str, Any] = {"eth_type": 0x86DD}
TCP: dict[str, Any] = {"eth_type": 0x0800, "ip_proto": 6}
TCP6: dict[str, Any] = {"eth_type": 0x86DD, "ip_proto": 6}
VLAN: dict[str, Any] = {"vlan_vid": (0x1000, 0x1000)}
ARP: dict[str, Any] = {"eth_type": 0x0806}
NS: dict[str, Any] = {"eth_type": 0x86DD, "ip_proto": 58, "icmpv6_type": 135}
NA: dict[str, Any] = {**NS, "icmpv6_type": 136}


def beside(field: Field) -> dict[str, Any]:
    """The matches that a match on `field` needs beside it."""
    return {name: values[0] if values else NEEDED[name] for name, values in field.prerequisites}


def field_cases() -> Iterator[Case]:
    for name, field in FIELDS.items():
        if field.rank is None:
            continue
        needed = beside(field)
        values: list[Any] = [EXAMPLES.get(name, 1)]
        if field.bits > 1:
            values.append((EXAMPLES.get(name, field.ones) & field.ones) if name in EXAMPLES else field.ones)
        if field.is_maskable:
            values += [
                (0, 1),
                (field.ones, field.ones),
                (field.ones, field.ones & 0x5555),
                (0, field.ones ^ 1),
            ]
        for value in values:
            if name in ("arp_op", "in_port", "ct_zone", "nsh_mdtype") and value not in (0, 1):
                continue
            yield f"{name}={value}", match(**needed, **{name: value}), b""


WIDE_MATCHES: list[dict[str, Any]] = [
    {},
    {"xreg0": 5, "xxreg1": (1 << 96, 3 << 96), "reg14": (5, 7), "metadata": (0xAB << 56, 0xFF << 56)},
    {
        "conj_id": 5,
        "in_port": 3,
        "eth_src": 5,
        "eth_dst": (1 << 40, 1 << 40),
        **TCP,
        "vlan_vid": 0x1007,
        "vlan_pcp": 3,
        "ipv4_src": 0x0A000001,
        "ipv4_dst": (0x0A000000, 0xFFFFFF00),
        "ip_dscp": 8,
        "ip_ecn": 2,
        "nw_ttl": 5,
        "ip_frag": 0,
        "tcp_src": 80,
        "tcp_dst": (80, 0xFFF0),
        "tcp_flags": (2, 0x12),
        "tun_id": 7,
        "tun_flags": 1,
        "tun_src": 0x01020304,
        "tun_dst": 0x01020305,
        "tun_ipv6_src": 1,
        "tun_ipv6_dst": 2,
        "tun_gbp_id": 3,
        "tun_gbp_flags": 1,
        "reg0": 1,
        "reg15": (1, 1),
        "xreg1": 9,
        "pkt_mark": (7, 0xFF),
        "actset_output": 3,
        "ct_state": (0x21, 0x27),
        "ct_zone": 7,
        "ct_mark": 5,
        "ct_label": 6,
        "ct_nw_src": 1,
        "ct_nw_dst": 2,
        "ct_nw_proto": 6,
        "ct_tp_src": 5,
        "ct_tp_dst": 6,
        "metadata": 5,
    },
    {
        "metadata": 5,
        **IP6,
        "ip_proto": 17,
        "ipv6_src": 1,
        "ipv6_dst": (1 << 127, 1 << 127),
        "ipv6_label": (5, 0xFF),
        "udp_src": 5,
        "udp_dst": (6, 0xFFFE),
        "ip_frag": (1, 1),
        "ct_state": (0x22, 0x22),
        "ct_ipv6_src": 4,
        "ct_ipv6_dst": (0, 1),
        "ct_nw_proto": 17,
        "ct_tp_src": (2, 2),
    },
    {
        **NS,
        "icmpv6_code": 0,
        "nd_target": 7,
        "nd_sll": 5,
        "nd_reserved": 3,
        "nd_options_type": 1,
        "ipv6_src": 8,
    },
    {
        **NA,
        "icmpv6_code": 0,
        "nd_target": (1, 0xFF),
        "nd_tll": (5, 7),
        "nd_reserved": 3,
        "nd_options_type": 2,
    },
    {
        **ARP,
        "arp_op": 1,
        "arp_spa": 1,
        "arp_tpa": (2, 0xFF),
        "arp_sha": 3,
        "arp_tha": (4, 0xFF),
        "eth_dst": 9,
    },
    {**IP, "ip_proto": 1, "icmpv4_type": 8, "icmpv4_code": 0},
    {**IP, "ip_proto": 132, "sctp_src": 1, "sctp_dst": 2},
    {**IP, "ip_proto": 47, "ip_frag": (1, 1)},
    {**IP, "ip_frag": (2, 2)},
    {**IP, "ip_frag": 3},
    {"eth_type": 0x8847, "mpls_label": 5, "mpls_tc": 1, "mpls_bos": 1, "mpls_ttl": 4},
    {
        "eth_type": 0x894F,
        "nsh_flags": 1,
        "nsh_spi": 3,
        "nsh_si": 4,
        "nsh_mdtype": 1,
        "nsh_np": 2,
        "nsh_c1": (1, 3),
    },
    {"vlan_vid": 0},
    {"vlan_vid": (0x1005, 0x100F), "vlan_pcp": 5},
    {"vlan_vid": 0x1005, "vlan_pcp": 5},
    {"eth_type": 0x88CC},
    {"eth_type": 0x05FF},
    {"eth_type": 0x8035},
    {"eth_src": b"\x02\x00\x00\x00\x00\x01", **IP, "ipv4_src": (b"\x0a\x00\x00\x00", b"\xff\x00\x00\x00")},
]

LEARNED = (
    learned_match(Bits("vlan_tci", 0, 12), Bits("vlan_tci", 0, 12)),
    learned_match(Bits("eth_dst", 0, 48), Bits("eth_src", 0, 48)),
    learned_match(Bits("metadata", 0, 64), 7),
    learned_match(Bits("eth_type", 0, 16), 0x86DD),
    learned_load(Bits("reg0", 0, 16), Bits("in_port", 0, 16)),
    learned_load(Bits("reg1", 3, 5), 9),
    learned_output(Bits("in_port", 0, 16)),
)

ACTIONS: list[tuple[dict[str, Any], bytes]] = [
    *(
        ({}, set_field(name, value))
        for name, value in {
            "eth_src": 5,
            "eth_dst": b"\x02\0\0\0\0\x01",
            "metadata": 5,
            "reg0": 1,
            "reg15": 2,
            "xreg3": 1,
            "xxreg1": 1 << 100,
            "tun_id": 5,
            "tun_src": 1,
            "tun_dst": 2,
            "tun_ipv6_src": 1,
            "tun_ipv6_dst": 3,
            "tun_gbp_id": 3,
            "tun_gbp_flags": 1,
            "tun_flags": 1,
            "pkt_mark": 1,
            "in_port": 1,
        }.items()
    ),
    (IP, set_field("ipv4_src", 1)),
    (IP, set_field("ipv4_dst", 1, 0xFF)),
    (IP, set_field("ip_dscp", 3) + set_field("ip_ecn", 1) + set_field("nw_ttl", 1) + set_field("nw_tos", 8)),
    (IP, set_field("ip_ecn", 1, 1)),
    (TCP, set_field("tcp_src", 1) + set_field("tcp_dst", 0xF0, 0xF0)),
    ({**IP, "ip_proto": 17}, set_field("udp_src", 1) + set_field("udp_dst", 2)),
    ({**IP, "ip_proto": 1}, set_field("icmpv4_type", 0) + set_field("icmpv4_code", 0)),
    ({}, set_field("xxreg0", 5, (1 << 90) - 1)),
    ({}, set_field("reg0", 0x505, 0xF0F)),
    ({}, set_field("metadata", 5 << 32, 0xFF << 32)),
    ({}, set_field("eth_dst", 0, 1 << 40)),
    ({}, set_field("eth_dst", (1 << 48) - 1, (1 << 48) - 1)),
    (IP6, set_field("ipv6_src", 5, 0xFFFF) + set_field("ipv6_dst", 5) + set_field("ipv6_label", 5)),
    (IP6, load("ipv6_label", 0, 20, 5)),
    (
        ARP,
        set_field("arp_op", 2)
        + set_field("arp_tha", 2, 0xFF)
        + set_field("arp_sha", 7)
        + set_field("arp_spa", 3),
    ),
    (VLAN, set_field("vlan_vid", 0x1005)),
    (VLAN, set_field("vlan_vid", 5, 0xFFF)),
    (VLAN, set_field("vlan_vid", 5, 0xF)),
    ({}, push_vlan() + set_field("vlan_vid", 0x1005) + set_field("vlan_pcp", 5) + pop_vlan()),
    ({}, load("vlan_tci", 0, 16, 0x1005) + set_field("vlan_tci", 5) + load("xreg1", 3, 7, 5)),
    ({}, load("in_port", 0, 16, 0) + load("tun_id", 0, 24, 5)),
    (
        {},
        move("eth_src", "eth_dst", 48)
        + move("reg0", "reg1", 16, src_ofs=16)
        + move("in_port", "reg0", 16, dst_ofs=16)
        + move("in_port_oxm", "reg0", 32)
        + move("tun_id", "metadata", 32)
        + move("actset_output", "reg0", 32)
        + move("xxreg0", "xxreg1", 128),
    ),
    (TCP, move("tcp_flags", "reg0", 12)),
    (ARP, move("arp_sha", "arp_tha", 48) + move("arp_spa", "arp_tpa", 32) + move("eth_src", "arp_sha", 48)),
    ({}, resubmit(5) + resubmit(7, 3) + resubmit(0xFF, 3)),
    (
        {},
        controller()
        + controller(userdata=b"\1\2\3")
        + controller(max_len=99, reason=2, controller_id=3, userdata=b"123456789", pause=True, meter_id=5),
    ),
    ({}, output(1) + output(IN_PORT) + output(LOCAL) + output(NORMAL) + output(ALL) + output(FLOOD)),
    ({}, output(CONTROLLER) + output(CONTROLLER, 5)),
    ({}, output_reg("reg15", 0, 32) + output_reg("reg0", 4, 16) + output_reg("metadata", 0, 32)),
    (IP, dec_ttl()),
    (
        {},
        set_queue(5)
        + note(b"hello!")
        + note(b"")
        + note(b"1234567")
        + clone(output(1), set_field("reg0", 1)),
    ),
    ({}, check_pkt_larger(1400, "reg0", 5) + check_pkt_larger(1400, "metadata", 63)),
    ({}, multipath(1, "reg11", 0, 32) + multipath(64, "metadata", 8, 6)),
    (IP, conjunction(5, 1, 2)),
    (IP, conjunction(5, 1, 2) + conjunction(6, 2, 3)),
    (TCP, ct() + ct_clear() + ct(commit=True, force=True, table=5, zone=7, alg=21)),
    (TCP, ct(zone=Bits("reg1", 0, 16)) + ct(zone=Bits("metadata", 16, 16), table=0)),
    (TCP, ct(nat(), table=3) + ct(nat("src"), commit=True)),
    (
        TCP,
        ct(
            nat(
                "src",
                first=b"\1\1\1\1",
                last=b"\1\1\1\2",
                first_port=1,
                last_port=5,
                persistent=True,
                algorithm="hash",
            ),
            set_field("ct_mark", 1),
            set_field("ct_mark", 1, 0xF),
            set_field("ct_label", 1),
            load("ct_label", 3, 1, 1),
            set_field("ct_label", 5 << 64, 7 << 64),
            move("reg0", "ct_mark", 32),
            commit=True,
        ),
    ),
    (TCP, ct(set_field("ct_mark", 1), nat("dst", first=b"\1\1\1\1", first_port=1), commit=True)),
    (TCP, ct(nat("dst", first=b"\1" * 4, last=b"\1" * 4), commit=True)),
    (TCP6, ct(nat("dst", first=b"\1" * 16, algorithm="random"), commit=True)),
    (TCP6, ct(nat("src", first=b"\1" * 16, last=b"\2" * 16, first_port=5, last_port=6), commit=True)),
    (
        {"in_port": 1},
        learn(
            *LEARNED,
            table=5,
            priority=9,
            cookie=4,
            idle_timeout_s=3,
            hard_timeout_s=5,
            fin_idle_timeout_s=4,
            fin_hard_timeout_s=6,
            flags=3,
        ),
    ),
    ({}, learn(table=5)),
    ({}, learn(LEARNED[1], table=5, limit=4)),
    ({}, learn(LEARNED[1], table=5, limit=4, result=Bits("reg0", 4, 1))),
    ({}, learn(table=5, result=Bits("reg0", 4, 1))),
    (
        NS,
        set_field("icmpv6_type", 136)
        + set_field("nd_reserved", 0xE0000000)
        + set_field("nd_target", 5)
        + set_field("nd_options_type", 2)
        + load("nd_reserved", 0, 32, 5),
    ),
    (NS, set_field("nd_sll", 1)),
    (NA, set_field("nd_tll", 1)),
    ({}, group(5)),
]

INSTRUCTIONS: list[bytes] = [
    b"",
    apply(),
    goto(5),
    clear_actions(),
    write_metadata(5),
    write_metadata(0xFF, 0xF0),
    meter(5),
    write_actions(group(5), output(2), dec_ttl(), set_field("reg0", 1), push_vlan()),
    instructions(apply(output(1)), goto(7)),
    instructions(
        goto(5),
        apply(output(1)),
        meter(5),
        write_metadata(5, 0xFF),
        write_actions(output(1)),
        clear_actions(),
    ),
]

CASES: list[Case] = [
    *field_cases(),
    *((f"match {fields}", match(**fields), b"") for fields in WIDE_MATCHES),
    *((f"actions {decode_instructions(apply(a))}", match(**fields), apply(a)) for fields, a in ACTIONS),
    *((f"instructions {decode_instructions(i)}", match(**IP), i) for i in INSTRUCTIONS),
]
