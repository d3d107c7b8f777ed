"""Actions and instructions as ovs-ofctl prints them."""

from collections.abc import Iterator
from functools import singledispatch
from ipaddress import ip_address
from typing import Final

from plait.wire.openflow import learning, parsed
from plait.wire.openflow.conntrack import NO_RECIRC
from plait.wire.openflow.decode import decode_instructions
from plait.wire.openflow.fields import CLASS_NAMES, FIELDS
from plait.wire.openflow.match_text import value_text
from plait.wire.openflow.nicira import Bits
from plait.wire.openflow.ports import CONTROLLER, PORT_NAMES

_REASONS: Final = ("no_match", "action", "invalid_ttl", "action_set", "group", "packet_out")
_HELPERS: Final = {21: "ftp", 69: "tftp"}

_SET_NAMES: Final = {
    "ipv4_src": "ip_src",
    "ipv4_dst": "ip_dst",
    "ip_ecn": "nw_ecn",
    "ip_proto": "nw_proto",
    "icmpv4_type": "icmp_type",
    "icmpv4_code": "icmp_code",
}
_NXM_NAMES: Final = {
    "ipv4_src": "IP_SRC",
    "ipv4_dst": "IP_DST",
    "nw_ttl": "IP_TTL",
    "nw_tos": "IP_TOS",
    "icmpv4_type": "ICMP_TYPE",
    "icmpv4_code": "ICMP_CODE",
    "tun_src": "TUN_IPV4_SRC",
    "tun_dst": "TUN_IPV4_DST",
    "in_port_oxm": "IN_PORT",
    "nd_reserved": "ICMPV6_ND_RESERVED",
    "nd_options_type": "ICMPV6_ND_OPTIONS_TYPE",
    **{f"xreg{i}": f"PKT_REG{i}" for i in range(8)},
}
_LONG_CLASSES: Final = {0x4F4E4600: "ONFOXM_ET", 0x005AD650: "NXOXM"}


def instructions_text(instructions: bytes) -> str:
    """What a flow does; `drop` when that is nothing."""
    return ",".join(map(_instruction_text, decode_instructions(instructions))) or "drop"


def actions_text(actions: tuple[parsed.Action, ...]) -> str:
    """A list of actions; `drop` when it is empty."""
    return ",".join(map(action_text, actions)) or "drop"


def bits_text(where: Bits) -> str:
    """Some bits of a field, by its NXM or OXM name: NXM_NX_REG0[0..15]."""
    field = FIELDS[where.field]
    header = field.action_header
    if header[:2] == b"\xff\xff":
        prefix = _LONG_CLASSES[int.from_bytes(header[4:8], "big")]
    else:
        prefix = CLASS_NAMES[int.from_bytes(header[:2], "big")]
    name = f"{prefix}_{_NXM_NAMES.get(where.field, where.field.upper())}"
    if where.bits == field.action_bits:
        return f"{name}[]"
    if where.bits == 1:
        return f"{name}[{where.ofs}]"
    return f"{name}[{where.ofs}..{where.ofs + where.bits - 1}]"


def _instruction_text(instruction: parsed.Instruction) -> str:
    match instruction:
        case parsed.ApplyActions(actions):
            return actions_text(actions)
        case parsed.WriteActions(actions):
            return f"write_actions({actions_text(actions)})"
        case parsed.ClearActions():
            return "clear_actions"
        case parsed.GotoTable(table):
            return f"goto_table:{table}"
        case parsed.Meter(number):
            return f"meter:{number}"
        case parsed.WriteMetadata(value, mask):
            return f"write_metadata:{_hex(value)}" + ("" if mask == (1 << 64) - 1 else f"/{mask:#x}")
        case parsed.UnknownInstruction(data):
            return f"unknown:{data.hex()}"


def _hex(value: int) -> str:
    return hex(value) if value else "0"


@singledispatch
def action_text(action: object) -> str:
    """One action; one that isn't known as its bytes."""
    raise TypeError(f"{action!r} is no action")


@action_text.register
def _(action: parsed.Output) -> str:
    if action.port == CONTROLLER:
        return f"CONTROLLER:{action.max_len}"
    return PORT_NAMES.get(action.port) or f"output:{action.port}"


@action_text.register
def _(action: parsed.OutputReg) -> str:
    return f"output:{bits_text(action.source)}"


@action_text.register
def _(action: parsed.Group) -> str:
    return f"group:{action.number}"


@action_text.register
def _(action: parsed.SetField) -> str:
    name = _SET_NAMES.get(action.field, action.field)
    return f"set_field:{value_text(action.field, action.value)}->{name}"


@action_text.register
def _(action: parsed.Load) -> str:
    return f"load:{_hex(action.value)}->{bits_text(action.target)}"


@action_text.register
def _(action: parsed.Move) -> str:
    return f"move:{bits_text(action.source)}->{bits_text(action.target)}"


@action_text.register
def _(action: parsed.Resubmit) -> str:
    in_port = "" if action.in_port is None else str(action.in_port)
    if in_port and action.table == 0xFF:
        return f"resubmit:{in_port}"
    return f"resubmit({in_port},{'' if action.table == 0xFF else action.table})"


@action_text.register
def _(action: parsed.Controller) -> str:
    parts = []
    if action.reason != 1:
        is_known = action.reason < len(_REASONS)
        parts.append(f"reason={_REASONS[action.reason] if is_known else action.reason}")
    if action.max_len != 0xFFFF:
        parts.append(f"max_len={action.max_len}")
    if action.controller_id:
        parts.append(f"id={action.controller_id}")
    if action.userdata:
        parts.append(f"userdata={action.userdata.hex('.')}")
    if action.pause:
        parts.append("pause")
    if action.meter_id is not None:
        parts.append(f"meter_id={action.meter_id}")
    return f"controller({','.join(parts)})" if parts else "CONTROLLER:65535"


@action_text.register
def _(action: parsed.Ct) -> str:
    parts = [word for word, is_set in (("commit", action.commit), ("force", action.force)) if is_set]
    if action.table is not None and action.table != NO_RECIRC:
        parts.append(f"table={action.table}")
    if isinstance(action.zone, Bits):
        parts.append(f"zone={bits_text(action.zone)}")
    elif action.zone:
        parts.append(f"zone={action.zone}")
    inner = action.actions
    if inner and isinstance(inner[0], parsed.Nat):
        parts.append(action_text(inner[0]))
        inner = inner[1:]
    if inner:
        parts.append(f"exec({actions_text(inner)})")
    if action.alg:
        parts.append(f"alg={_HELPERS.get(action.alg, action.alg)}")
    return f"ct({','.join(parts)})"


@action_text.register
def _(action: parsed.Nat) -> str:
    if action.direction is None:
        return "nat"
    span = _span_text(action)
    parts = [f"{action.direction}={span}" if span else action.direction]
    if action.persistent:
        parts.append("persistent")
    if action.algorithm:
        parts.append(action.algorithm)
    return f"nat({','.join(parts)})"


def _span_text(action: parsed.Nat) -> str:
    in_brackets = bool(action.first_port) and len(action.first) == 16
    ends = (action.first, action.last) if action.last not in (b"", action.first) else (action.first,)
    addresses = [str(ip_address(end)) for end in ends if end]
    span = "-".join(f"[{address}]" if in_brackets else address for address in addresses)
    if action.first_port:
        span += f":{action.first_port}"
        if action.last_port not in (None, action.first_port):
            span += f"-{action.last_port}"
    return span


@action_text.register
def _(_: parsed.CtClear) -> str:
    return "ct_clear"


@action_text.register
def _(action: parsed.Learn) -> str:
    parts = [f"table={action.table}"]
    numbers = {
        "idle_timeout": action.idle_timeout_s,
        "hard_timeout": action.hard_timeout_s,
        "fin_idle_timeout": action.fin_idle_timeout_s,
        "fin_hard_timeout": action.fin_hard_timeout_s,
        "priority": 0 if action.priority == 0x8000 else action.priority,
    }
    parts.extend(f"{name}={value}" for name, value in numbers.items() if value)
    if action.flags & learning.SEND_FLOW_REM:
        parts.append("send_flow_rem")
    if action.flags & learning.DELETE_LEARNED:
        parts.append("delete_learned")
    if action.cookie:
        parts.append(f"cookie={action.cookie:#x}")
    if action.limit:
        parts.append(f"limit={action.limit}")
    if action.result is not None:
        parts.append(f"result_dst={bits_text(action.result)}")
    parts.extend(_learned_text(action.parts))
    return f"learn({','.join(parts)})"


def _learned_text(parts: tuple[parsed.LearnedPart, ...]) -> Iterator[str]:
    for part in parts:
        source = bits_text(part.source) if isinstance(part.source, Bits) else _hex(part.source)
        if part.target is None:
            yield f"output:{source}"
        elif part.kind == "load":
            yield f"load:{source}->{bits_text(part.target)}"
        elif part.source == part.target:
            yield source
        elif isinstance(part.source, int) and part.bits == FIELDS[part.target.field].action_bits:
            name = part.target.field
            yield f"{_SET_NAMES.get(name, name)}={value_text(name, part.source)}"
        else:
            yield f"{bits_text(part.target)}={source}"


@action_text.register
def _(action: parsed.Conjunction) -> str:
    return f"conjunction({action.number},{action.clause}/{action.n_clauses})"


@action_text.register
def _(action: parsed.CheckPktLarger) -> str:
    return f"check_pkt_larger({action.size_bytes})->{bits_text(action.target)}"


@action_text.register
def _(action: parsed.Multipath) -> str:
    numbers = f"{action.basis},{action.algorithm},{action.n_links},{action.argument}"
    return f"multipath({action.fields},{numbers},{bits_text(action.target)})"


@action_text.register
def _(_: parsed.DecTtl) -> str:
    return "dec_ttl"


@action_text.register
def _(action: parsed.PushVlan) -> str:
    return f"push_vlan:{action.ethertype:#06x}"


@action_text.register
def _(_: parsed.PopVlan) -> str:
    return "pop_vlan"


@action_text.register
def _(action: parsed.SetQueue) -> str:
    return f"set_queue:{action.number}"


@action_text.register
def _(action: parsed.Note) -> str:
    return f"note:{action.data.hex('.')}"


@action_text.register
def _(action: parsed.Clone) -> str:
    return f"clone({actions_text(action.actions)})"


@action_text.register
def _(action: parsed.UnknownAction) -> str:
    return f"unknown:{action.data.hex()}"
