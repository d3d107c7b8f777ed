"""Bits of fields, read and written as actions address them: wide registers are made of narrow ones."""

from collections.abc import Mapping
from functools import lru_cache

from plait.wire.openflow.nicira import Bits


def read(fields: Mapping[str, int], bits: Bits) -> int:
    """Some bits of a field; `xreg` and `xxreg` are read from the registers that they are made of."""
    parts = _registers(bits.field)
    value = 0
    for part in parts:
        value = value << 32 | fields.get(part, 0)
    if not parts:
        value = fields.get(bits.field, 0)
    return value >> bits.ofs & (1 << bits.bits) - 1


def write(fields: dict[str, int], bits: Bits, value: int) -> None:
    """Replace some bits of a field."""
    mask = (1 << bits.bits) - 1
    parts = _registers(bits.field)
    whole = read(fields, Bits(bits.field, 0, 32 * len(parts) or 128))
    whole = whole & ~(mask << bits.ofs) | (value & mask) << bits.ofs
    for part in reversed(parts):
        fields[part] = whole & 0xFFFFFFFF
        whole >>= 32
    if not parts:
        fields[bits.field] = whole


def whole(name: str) -> Bits:
    """All bits of a field; of one that is no wide register at least as many as it has."""
    return Bits(name, 0, 32 * len(_registers(name)) or 128)


@lru_cache(maxsize=256)
def _registers(name: str) -> tuple[str, ...]:
    """The 32-bit registers of an `xreg` or `xxreg`, the highest first; none for any other field."""
    count = 4 if name.startswith("xxreg") else 2 if name.startswith("xreg") else 0
    first = int(name.lstrip("xreg")) * count if count else 0
    return tuple(f"reg{first + i}" for i in range(count))
