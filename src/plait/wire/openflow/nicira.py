"""What Nicira's actions have in common: their header, and the way they address some bits of a field."""

from functools import lru_cache
from struct import Struct
from typing import Final, NamedTuple

from plait.wire.openflow.oxm import field_of

NICIRA: Final = 0x00002320
_HEADER: Final = Struct("!HHIH")


class Bits(NamedTuple):
    """`bits` bits of a field, `ofs` bits above its lowest: `Bits("reg0", 0, 16)` is `NXM_NX_REG0[0..15]`."""

    field: str
    ofs: int
    bits: int

    @property
    def ofs_nbits(self) -> int:
        """Both numbers as Nicira packs them: 10 bits of offset, 6 of width - 1."""
        return self.ofs << 6 | self.bits - 1


def nicira(subtype: int, body: bytes) -> bytes:
    """An action of Nicira's: type, length, vendor, subtype, the body, zeros up to a multiple of 8."""
    length = len(body) + 17 & ~7
    return _HEADER.pack(0xFFFF, length, NICIRA, subtype) + body.ljust(length - 10, b"\0")


@lru_cache(maxsize=4096)
def checked_header(where: Bits) -> bytes:
    """The header of a field in Nicira's actions; raises ValueError unless the bits are inside the field."""
    field = field_of(where.field)
    if where.ofs < 0 or where.bits < 1 or where.ofs + where.bits > field.action_bits:
        raise ValueError(
            f"{where.field}[{where.ofs}..{where.ofs + where.bits - 1}] is not inside its "
            f"{field.action_bits} bits"
        )
    return field.action_header


def short_header(where: Bits) -> bytes:
    """The same, for actions whose layout has room for a header of 4 bytes only."""
    header = checked_header(where)
    if len(header) != 4:
        raise ValueError(f"{where.field} has a long OXM header that this action can't carry: use move()")
    return header
