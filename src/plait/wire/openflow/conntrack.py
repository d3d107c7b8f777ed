"""Connection tracking: ct, nat and ct_clear, as Open vSwitch 3.1 prints them back.

Source: ovs-actions(7), "ct".
"""

from struct import Struct
from typing import Final, Literal

from plait.wire.openflow.nicira import Bits, nicira, short_header

COMMIT: Final = 1
FORCE: Final = 2

NAT_SRC: Final = 1
NAT_DST: Final = 2
NAT_PERSISTENT: Final = 4
NAT_HASH: Final = 8
NAT_RANDOM: Final = 16

RANGE_IPV4_MIN: Final = 0x01
RANGE_IPV4_MAX: Final = 0x02
RANGE_IPV6_MIN: Final = 0x04
RANGE_IPV6_MAX: Final = 0x08
RANGE_PORT_MIN: Final = 0x10
RANGE_PORT_MAX: Final = 0x20

NO_RECIRC: Final = 0xFF

_DIRECTIONS: Final = {None: 0, "src": NAT_SRC, "dst": NAT_DST}
_ALGORITHMS: Final = {None: 0, "hash": NAT_HASH, "random": NAT_RANDOM}
_FAMILIES: Final = {0: 0, 4: RANGE_IPV4_MIN, 16: RANGE_IPV6_MIN}

_CT: Final = Struct("!HIHB3xH")
_NAT: Final = Struct("!2xHH")


def ct(
    *actions: bytes,
    commit: bool = False,
    force: bool = False,
    table: int | None = None,
    zone: int | Bits = 0,
    alg: int = 0,
) -> bytes:
    """Send the packet through the connection tracker, and recirculate it to `table` if one is given.

    `actions` run inside: `nat(...)`, and `set_field`, `load` or `move` into ct_mark and ct_label. `zone` is
    a number or 16 bits of a field; `alg` is the port of the protocol whose helper is wanted (21 for FTP, 69
    for TFTP).
    """
    if isinstance(zone, Bits):
        if zone.bits != 16:
            raise ValueError(f"a zone has 16 bits, {zone.field} gives {zone.bits}")
        source, immediate = int.from_bytes(short_header(zone), "big"), zone.ofs_nbits
    else:
        source, immediate = 0, zone
    flags = (COMMIT if commit else 0) | (FORCE if force else 0)
    head = _CT.pack(flags, source, immediate, NO_RECIRC if table is None else table, alg)
    return nicira(35, head + b"".join(actions))


def nat(
    direction: Literal["src", "dst"] | None = None,
    *,
    first: bytes = b"",
    last: bytes = b"",
    first_port: int | None = None,
    last_port: int | None = None,
    persistent: bool = False,
    algorithm: Literal["hash", "random"] | None = None,
) -> bytes:
    """Translate addresses, inside `ct`: from `first` to `last`, packed addresses of 4 or 16 bytes.

    Without a direction, packets of a translated connection are translated as its first one was.
    Raises ValueError for a range without beginning, or of two families.
    """
    if (first_port is None and last_port is not None) or (last and not first):
        raise ValueError("a range of nat() begins with `first` and `first_port`")
    if direction is None and (first or first_port is not None or persistent or algorithm):
        raise ValueError("nat() translates to a range only with a direction: 'src' or 'dst'")
    if last and len(last) != len(first):
        raise ValueError("`first` and `last` of nat() are of two families")
    flags = _DIRECTIONS[direction]
    flags |= _ALGORITHMS[algorithm]
    flags |= NAT_PERSISTENT if persistent else 0
    lowest = _FAMILIES[len(first)]
    present = lowest | (lowest << 1 if last else 0)
    ports = b""
    if first_port is not None:
        present |= RANGE_PORT_MIN
        ports = first_port.to_bytes(2, "big")
    if last_port is not None:
        present |= RANGE_PORT_MAX
        ports += last_port.to_bytes(2, "big")
    return nicira(36, _NAT.pack(flags, present) + first + last + ports)


def ct_clear() -> bytes:
    """Forget the connection of the packet: ct_state and the rest become zero."""
    return nicira(43, b"")
