"""Bytes -> actions and instructions as values. Raises MalformedMessage for what breaks the format.

What is well formed but not known (another program's flow) becomes UnknownAction or UnknownInstruction.
"""

from collections.abc import Callable, Iterator
from struct import Struct, unpack_from
from struct import error as StructError  # noqa: N812 - a class of that name
from typing import Final

from plait.wire.errors import MalformedMessage
from plait.wire.openflow import conntrack as ct
from plait.wire.openflow import instructions as ins
from plait.wire.openflow import learning, parsed
from plait.wire.openflow.fields import FIELDS
from plait.wire.openflow.nicira import NICIRA, Bits
from plait.wire.openflow.oxm import HEADERS

_DEPTH_MAX: Final = 16
"""How deep ct and clone may nest; Open vSwitch itself stops at 64 resubmits."""

_HEAD: Final = Struct("!HH")
_LEARN: Final = Struct("!HHHQHBxHH")


def decode_instructions(data: bytes) -> tuple[parsed.Instruction, ...]:
    """The instructions of a flow, in their order."""
    return tuple(_instruction(kind, body) for kind, _, body in _items(bytes(data), "instruction", 4))


def decode_actions(data: bytes) -> tuple[parsed.Action, ...]:
    """A list of actions."""
    return _actions(bytes(data), _DEPTH_MAX)


def _items(data: bytes, name: str, smallest: int) -> Iterator[tuple[int, int, bytes]]:
    """Type, offset and bytes of every item of a list of things that begin with type and length."""
    offset, end = 0, len(data)
    while offset < end:
        if end - offset < 4:
            raise MalformedMessage(name, offset, f"{end - offset} bytes left, a header has 4")
        kind, length = _HEAD.unpack_from(data, offset)
        if length < smallest or length % 8 or offset + length > end:
            raise MalformedMessage(name, offset, f"length {length} with {end - offset} bytes left")
        yield kind, offset, data[offset : offset + length]
        offset += length


def _instruction(kind: int, data: bytes) -> parsed.Instruction:
    match kind, len(data):
        case ins.APPLY_ACTIONS, _:
            return parsed.ApplyActions(_actions(data[8:], _DEPTH_MAX))
        case ins.WRITE_ACTIONS, _:
            return parsed.WriteActions(_actions(data[8:], _DEPTH_MAX))
        case ins.CLEAR_ACTIONS, 8:
            return parsed.ClearActions()
        case ins.GOTO_TABLE, 8:
            return parsed.GotoTable(data[4])
        case ins.METER, 8:
            return parsed.Meter(int.from_bytes(data[4:8], "big"))
        case ins.WRITE_METADATA, 24:
            return parsed.WriteMetadata(*unpack_from("!QQ", data, 8))
    if kind <= ins.METER:
        raise MalformedMessage("instruction", 0, f"type {kind} can't have {len(data)} bytes")
    return parsed.UnknownInstruction(data)


class _UnknownFieldError(Exception):
    """An action speaks of a field that this codec does not know."""


def _actions(data: bytes, depth: int) -> tuple[parsed.Action, ...]:
    if not depth:
        raise MalformedMessage("action", 0, f"actions nest deeper than {_DEPTH_MAX}")
    return tuple(_action(kind, offset, body, depth) for kind, offset, body in _items(data, "action", 8))


def _action(kind: int, offset: int, data: bytes, depth: int) -> parsed.Action:
    try:
        if kind != 0xFFFF:
            return _STANDARD.get(kind, parsed.UnknownAction)(data)
        if len(data) < 16 or unpack_from("!I", data, 4)[0] != NICIRA:
            return parsed.UnknownAction(data)
        (subtype,) = unpack_from("!H", data, 8)
        if subtype == 35:
            return _ct(data, depth)
        if subtype == 42:
            return parsed.Clone(_actions(data[16:], depth - 1))
        return _NICIRA.get(subtype, parsed.UnknownAction)(data)
    except (StructError, IndexError):
        raise MalformedMessage("action", offset, f"type {kind:#x} is too short: {len(data)} bytes") from None
    except _UnknownFieldError:
        return parsed.UnknownAction(data)


def _action_headers() -> dict[bytes, str]:
    names = {field.action_header: field.name for field in FIELDS.values()}
    for field in FIELDS.values():
        names.setdefault(field.header, field.name)
    return names


_ACTION_FIELDS: Final = _action_headers()


def _field_at(data: bytes, offset: int) -> tuple[str, int]:
    """The field whose header is at `offset`, and the offset after the header."""
    end = offset + (8 if data[offset : offset + 2] == b"\xff\xff" else 4)
    name = _ACTION_FIELDS.get(data[offset:end])
    if name is None:
        raise _UnknownFieldError
    return name, end


def _bits(name: str, ofs_nbits: int) -> Bits:
    return Bits(name, ofs_nbits >> 6, (ofs_nbits & 63) + 1)


def _set_field(data: bytes) -> parsed.Action:
    start = 12 if data[4:6] == b"\xff\xff" else 8
    field, is_masked = HEADERS.get(data[4:start], (None, False))
    if field is None or is_masked:
        raise _UnknownFieldError
    size = data[7] - (start - 8)
    if start + size > len(data):
        raise MalformedMessage("set_field", 0, f"{field.name} of {size} bytes in an action of {len(data)}")
    return parsed.SetField(field.name, int.from_bytes(data[start : start + size], "big"))


def _output(data: bytes) -> parsed.Action:
    return parsed.Output(*unpack_from("!IH6x", data, 4))


def _output_reg(data: bytes) -> parsed.Action:
    ofs_nbits, max_len = unpack_from("!H4xH6x", data, 10)
    return parsed.OutputReg(_bits(_field_at(data, 12)[0], ofs_nbits), max_len)


def _load(data: bytes) -> parsed.Action:
    ofs_nbits, value = unpack_from("!H4xQ", data, 10)
    return parsed.Load(_bits(_field_at(data, 12)[0], ofs_nbits), value)


def _move(data: bytes) -> parsed.Action:
    bits, source_ofs, target_ofs = unpack_from("!HHH8x", data, 10)
    source, offset = _field_at(data, 16)
    target, _ = _field_at(data, offset)
    return parsed.Move(Bits(source, source_ofs, bits), Bits(target, target_ofs, bits))


def _resubmit(data: bytes) -> parsed.Action:
    in_port, table = unpack_from("!HB3x", data, 10)
    return parsed.Resubmit(None if in_port == 0xFFF8 else in_port, table)


def _controller(data: bytes) -> parsed.Action:
    max_len, reason, number, userdata, pause, meter_id = 0xFFFF, 1, 0, b"", False, None
    offset = 16
    while offset < len(data):
        kind, length = _HEAD.unpack_from(data, offset)
        if length < 4 or offset + length > len(data):
            raise MalformedMessage("controller", offset, f"property of {length} bytes in {len(data)}")
        match kind:
            case 0:
                (max_len,) = unpack_from("!H", data, offset + 4)
            case 1:
                (number,) = unpack_from("!H", data, offset + 4)
            case 2:
                reason = data[offset + 4]
            case 3:
                userdata = data[offset + 4 : offset + length]
            case 4:
                pause = True
            case 5:
                (meter_id,) = unpack_from("!I", data, offset + 4)
            case _:
                return parsed.UnknownAction(data)
        offset += length + 7 & ~7
    return parsed.Controller(
        max_len=max_len,
        reason=reason,
        controller_id=number,
        userdata=userdata,
        pause=pause,
        meter_id=meter_id,
    )


def _ct(data: bytes, depth: int) -> parsed.Action:
    flags, source, immediate, table, alg = unpack_from("!HIHB3xH", data, 10)
    zone = _bits(_field_at(data, 12)[0], immediate) if source else immediate
    return parsed.Ct(
        commit=bool(flags & ct.COMMIT),
        force=bool(flags & ct.FORCE),
        zone=zone,
        table=None if table == ct.NO_RECIRC else table,
        alg=alg,
        actions=_actions(data[24:], depth - 1),
    )


def _nat(data: bytes) -> parsed.Action:
    flags, present = unpack_from("!HH", data, 12)
    offset = 16

    def take(size: int) -> bytes:
        nonlocal offset
        piece = data[offset : offset + size]
        if len(piece) != size:
            raise MalformedMessage("nat", offset, f"a range of flags {present:#x} in {len(data)} bytes")
        offset += size
        return piece

    first = take(4) if present & ct.RANGE_IPV4_MIN else b""
    last = take(4) if present & ct.RANGE_IPV4_MAX else b""
    first = take(16) if present & ct.RANGE_IPV6_MIN else first
    last = take(16) if present & ct.RANGE_IPV6_MAX else last
    first_port = int.from_bytes(take(2), "big") if present & ct.RANGE_PORT_MIN else None
    last_port = int.from_bytes(take(2), "big") if present & ct.RANGE_PORT_MAX else None
    return parsed.Nat(
        direction="src" if flags & ct.NAT_SRC else "dst" if flags & ct.NAT_DST else None,
        first=first,
        last=last,
        first_port=first_port,
        last_port=last_port,
        persistent=bool(flags & ct.NAT_PERSISTENT),
        algorithm="hash" if flags & ct.NAT_HASH else "random" if flags & ct.NAT_RANDOM else None,
    )


def _learn(data: bytes) -> parsed.Action:
    idle, hard, priority, cookie, flags, table, fin_idle, fin_hard = _LEARN.unpack_from(data, 10)
    offset, limit, result = 32, 0, None
    if data[9] == 45:
        limit, result_ofs = unpack_from("!IH", data, 32)
        offset = 40
        if flags & learning.WRITE_RESULT:
            name, offset = _field_at(data, offset)
            result = Bits(name, result_ofs, 1)
    return parsed.Learn(
        table=table,
        priority=priority,
        cookie=cookie,
        idle_timeout_s=idle,
        hard_timeout_s=hard,
        fin_idle_timeout_s=fin_idle,
        fin_hard_timeout_s=fin_hard,
        flags=flags,
        limit=limit,
        result=result,
        parts=tuple(_learned_parts(data, offset)),
    )


def _learned_parts(data: bytes, offset: int) -> Iterator[parsed.LearnedPart]:
    while len(data) - offset >= 2:
        (head,) = unpack_from("!H", data, offset)
        if not head:
            return
        offset += 2
        bits, target_kind = head & 0x7FF, head & 3 << 11
        source: int | Bits
        if head & learning.IMMEDIATE:
            size = (bits + 15) // 16 * 2
            if offset + size > len(data):
                raise MalformedMessage("learn", offset, f"a value of {size} bytes in {len(data)}")
            source = int.from_bytes(data[offset : offset + size], "big")
            offset += size
        else:
            source, offset = _place(data, offset, bits)
        if target_kind == learning.TO_OUTPUT:
            yield parsed.LearnedPart("output", source, None, bits)
            continue
        if target_kind not in (learning.TO_MATCH, learning.TO_LOAD):
            raise _UnknownFieldError
        target, offset = _place(data, offset, bits)
        yield parsed.LearnedPart(
            "match" if target_kind == learning.TO_MATCH else "load", source, target, bits
        )


def _place(data: bytes, offset: int, bits: int) -> tuple[Bits, int]:
    name, offset = _field_at(data, offset)
    (ofs,) = unpack_from("!H", data, offset)
    return Bits(name, ofs, bits), offset + 2


def _conjunction(data: bytes) -> parsed.Action:
    clause, n_clauses, number = unpack_from("!BBI", data, 10)
    return parsed.Conjunction(number, clause + 1, n_clauses)


def _check_pkt_larger(data: bytes) -> parsed.Action:
    size_bytes, ofs = unpack_from("!HH4x", data, 10)
    return parsed.CheckPktLarger(size_bytes, Bits(_field_at(data, 14)[0], ofs, 1))


_HASH_FIELDS: Final = (
    "eth_src",
    "symmetric_l4",
    "symmetric_l3l4",
    "symmetric_l3l4+udp",
    "nw_src",
    "nw_dst",
    "symmetric_l3",
)
_LINK_ALGORITHMS: Final = ("modulo_n", "hash_threshold", "hrw", "iter_hash")


def _multipath(data: bytes) -> parsed.Action:
    fields, basis, algorithm, last, argument, ofs_nbits = unpack_from("!HH2xHHI2xH", data, 10)
    if fields >= len(_HASH_FIELDS) or algorithm >= len(_LINK_ALGORITHMS):
        return parsed.UnknownAction(data)
    target = _bits(_field_at(data, 28)[0], ofs_nbits)
    return parsed.Multipath(
        _HASH_FIELDS[fields], basis, _LINK_ALGORITHMS[algorithm], last + 1, argument, target
    )


_STANDARD: Final[dict[int, Callable[[bytes], parsed.Action]]] = {
    0: _output,
    17: lambda data: parsed.PushVlan(*unpack_from("!H", data, 4)),
    18: lambda _: parsed.PopVlan(),
    21: lambda data: parsed.SetQueue(*unpack_from("!I", data, 4)),
    22: lambda data: parsed.Group(*unpack_from("!I", data, 4)),
    24: lambda _: parsed.DecTtl(),
    25: _set_field,
}

_NICIRA: Final[dict[int, Callable[[bytes], parsed.Action]]] = {
    6: _move,
    7: _load,
    8: lambda data: parsed.Note(data[10:]),
    10: _multipath,
    14: _resubmit,
    15: _output_reg,
    16: _learn,
    34: _conjunction,
    36: _nat,
    37: _controller,
    43: lambda _: parsed.CtClear(),
    45: _learn,
    49: _check_pkt_larger,
}
