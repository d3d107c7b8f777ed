"""Matches: keyword arguments <-> the OXM TLVs that Open vSwitch 3.1 prints back.

A match of a known shape (which fields, which of them masked) is one big integer: a template that holds all
headers, with the values shifted to their places. Shapes are few, so templates are computed once each; this
makes a match of three fields cost about a microsecond.
"""

from collections.abc import Callable, ValuesView
from typing import Final

from plait.wire.errors import MalformedMessage
from plait.wire.openflow.fields import FIELDS, Field

__all__ = ["FIELDS", "Field", "decode_match", "field_of", "match"]

Exact = int | bytes
Value = Exact | tuple[Exact, Exact]
Encoder = Callable[[ValuesView[Value]], bytes | None]

_PARTS: Final = {
    **{f"xreg{i}": (f"reg{2 * i}", f"reg{2 * i + 1}") for i in range(8)},
    **{f"xxreg{i}": tuple(f"reg{4 * i + j}" for j in range(4)) for i in range(4)},
}
_encoders: dict[tuple[object, ...], Encoder] = {}


def match(**fields: Value) -> bytes:
    """The TLVs of a match, without ofp_match header and padding, as the switch prints them back.

    A value is an int or big-endian bytes of the field's size, or `(value, mask)`. Full masks become exact
    matches, empty ones vanish, value bits outside the mask are cleared, `xreg` and `xxreg` become
    registers. Raises ValueError for an unknown field, a value that does not fit, a mask on a field without,
    or a missing prerequisite. Source: OpenFlow 1.4.0, 7.2.2.
    """
    key = (*fields, *map(type, fields.values()))
    encode = _encoders.get(key)
    if encode is None:
        encode = _encoders[key] = _encoder(fields)
    try:
        encoded = encode(fields.values())
    except ValueError as error:
        raise _explain(fields) from error
    return match(**_canonical(fields)) if encoded is None else encoded


def field_of(name: str) -> Field:
    """The field of that name; raises ValueError with the way out for a name that doesn't exist."""
    try:
        return FIELDS[name]
    except KeyError:
        raise ValueError(f"no OpenFlow field is called {name!r}: see ovs-fields(7)") from None


def _encoder(fields: dict[str, Value]) -> Encoder:
    """Compile the shape of `fields`: a function from values, in the order given, to bytes.

    It returns None where a mask turns out full or empty, because then the shape is another one.
    """
    for name in fields:
        if name in _PARTS:
            return lambda _: None
    chosen = [field_of(name) for name in fields]
    _check(chosen, fields)
    place: dict[str, int] = {}
    template = size = 0
    for field in sorted(chosen, key=lambda field: -(field.rank or 0)):
        place[field.name] = size * 8
        has_mask = field.is_always_masked or isinstance(fields[field.name], tuple)
        if has_mask and not isinstance(fields[field.name], tuple):
            template |= field.ones << size * 8
            place[field.name] += field.size * 8
        size += field.size * (2 if has_mask else 1)
        header = field.masked_header if has_mask else field.header
        template |= int.from_bytes(header, "big") << size * 8
        size += len(header)
    if all(isinstance(value, int) for value in fields.values()):
        return _exact_encoder(template, size, tuple((place[f.name], f.bits) for f in chosen))
    return _masked_encoder(template, size, tuple((place[f.name], f) for f in chosen))


def _exact_encoder(template: int, size: int, slots: tuple[tuple[int, int], ...]) -> Encoder:
    def encode(values: ValuesView[int]) -> bytes:
        number = template
        for value, (shift, bits) in zip(values, slots, strict=True):
            if value >> bits:
                raise ValueError
            number |= value << shift
        return number.to_bytes(size, "big")

    return encode  # type: ignore[return-value]


def _masked_encoder(template: int, size: int, slots: tuple[tuple[int, Field], ...]) -> Encoder:
    plan = tuple(
        (shift, f.bits, f.size, f.size * 8, 0 if f.is_always_masked else f.ones) for shift, f in slots
    )

    def encode(values: ValuesView[Value]) -> bytes | None:
        number = template
        for value, (shift, bits, length, width, ones) in zip(values, plan, strict=True):
            if isinstance(value, tuple):
                part, mask = value
                if isinstance(mask, bytes):
                    mask = _number(mask, length)
                if isinstance(part, bytes):
                    part = _number(part, length)
                if mask >> bits or part >> bits:
                    raise ValueError
                if mask in (0, ones):
                    return None
                number |= (part & mask) << width + shift | mask << shift
            else:
                part = _number(value, length) if isinstance(value, bytes) else value
                if part >> bits:
                    raise ValueError
                number |= part << shift
        return number.to_bytes(size, "big")

    return encode


def _number(value: bytes, size: int) -> int:
    if len(value) != size:
        raise ValueError
    return int.from_bytes(value, "big")


def _canonical(fields: dict[str, Value]) -> dict[str, Value]:
    """The same match in the one shape that stands for it."""
    result: dict[str, Value] = {}
    for name, value in fields.items():
        field = field_of(name)
        exact, mask = value if isinstance(value, tuple) else (value, field.ones)
        part, bits = (int.from_bytes(v, "big") if isinstance(v, bytes) else v for v in (exact, mask))
        if part >> field.bits or bits >> field.bits:
            raise _explain({name: value})
        for piece, piece_value, piece_mask in _split(field, part, bits):
            if piece in result or (piece != name and piece in fields):
                raise ValueError(f"{name} and {piece} are the same bits: match one of them")
            if piece_mask == FIELDS[piece].ones:
                result[piece] = piece_value
            elif piece_mask:
                result[piece] = (piece_value, piece_mask)
    return result


def _split(field: Field, value: int, mask: int) -> list[tuple[str, int, int]]:
    parts = _PARTS.get(field.name)
    if parts is None:
        return [(field.name, value, mask)]
    shifts = range(32 * (len(parts) - 1), -1, -32)
    return [
        (part, value >> shift & 0xFFFFFFFF, mask >> shift & 0xFFFFFFFF)
        for part, shift in zip(parts, shifts, strict=True)
    ]


def _check(chosen: list[Field], fields: dict[str, Value]) -> None:
    for field in chosen:
        if field.rank is None:
            raise ValueError(f"{field.name} can't be matched: the switch would print other fields back")
        value = fields[field.name]
        if not isinstance(value, int | bytes | tuple):
            raise ValueError(
                f"{field.name}={value!r} is a {type(value).__name__}: give an int or packed bytes"
            )
        if isinstance(value, tuple) and not field.is_maskable:
            raise ValueError(f"{field.name} takes no mask: match the whole value")
        for needed, values in field.prerequisites:
            if needed not in fields:
                wanted = " or ".join(f"{value:#x}" for value in values) or "any value"
                raise ValueError(f"{field.name} needs a match on {needed} ({wanted}) beside it")


def _explain(fields: dict[str, Value]) -> ValueError:
    """Which value does not fit: looked for only after the fast path stumbled over it."""
    for name, value in fields.items():
        field = field_of(name)
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, bytes) and len(part) != field.size:
                return ValueError(f"{name}={part.hex(':')} has {len(part)} bytes: {field.size} are needed")
            number = int.from_bytes(part, "big") if isinstance(part, bytes) else part
            if number >> field.bits:
                return ValueError(f"{name}={number:#x} does not fit {field.bits} bits")
    return ValueError(f"match {fields!r} can't be encoded")


def _headers() -> dict[bytes, tuple[Field, bool]]:
    known: dict[bytes, tuple[Field, bool]] = {}
    for field in FIELDS.values():
        for header in (field.header, field.action_header):
            known.setdefault(header, (field, False))
        known.setdefault(field.masked_header, (field, True))
    return known


HEADERS: Final = _headers()
"""Every header that is understood: its field, and whether a mask follows the value."""


def decode_match(data: bytes) -> dict[str, int | tuple[int, int]]:
    """The fields of a match, in their order; a field that is always masked comes with its mask.

    A well-formed field that this codec does not know is called `oxm_<header in hex>`. Raises
    MalformedMessage.
    """
    fields: dict[str, int | tuple[int, int]] = {}
    offset, end = 0, len(data)
    while offset < end:
        if end - offset < 4:
            raise MalformedMessage("match", offset, f"{end - offset} bytes left, an OXM header has 4")
        length = data[offset + 3]
        stop = offset + 4 + length
        if stop > end:
            raise MalformedMessage("match", offset, f"OXM of {length} bytes, {end - offset - 4} are left")
        head = 8 if data[offset] == 0xFF and data[offset + 1] == 0xFF else 4
        if offset + head > stop:
            raise MalformedMessage("match", offset, "experimenter OXM without its experimenter")
        header = bytes(data[offset : offset + head])
        field, has_mask = HEADERS.get(header, (None, header[2] & 1 == 1))
        name = f"oxm_{header.hex()}" if field is None else field.name
        if name in fields:
            raise MalformedMessage("match", offset, f"{name} comes twice")
        middle = offset + head + (stop - offset - head) // 2 if has_mask else stop
        value = int.from_bytes(data[offset + head : middle], "big")
        fields[name] = (value, int.from_bytes(data[middle:stop], "big")) if has_mask else value
        offset = stop
    return fields
