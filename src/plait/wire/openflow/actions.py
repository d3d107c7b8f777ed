"""Actions as bytes, each in the form in which Open vSwitch 3.1 prints it back.

A list of actions is their concatenation; `instructions(apply(...), goto(...))` is what a flow does. To drop
is to do nothing: no instruction at all. Instructions, connection tracking, learning and the way back from
bytes have their own modules and are offered here too.
Source: OpenFlow 1.4.0, 7.2.5; Nicira's extensions: ovs-actions(7).
"""

from struct import Struct
from typing import Final

from plait.wire.openflow.conntrack import ct, ct_clear, nat
from plait.wire.openflow.decode import decode_actions, decode_instructions
from plait.wire.openflow.instructions import (
    apply,
    clear_actions,
    goto,
    instructions,
    meter,
    write_actions,
    write_metadata,
)
from plait.wire.openflow.learning import learn, learned_load, learned_match, learned_output
from plait.wire.openflow.nicira import NICIRA, Bits, checked_header, nicira, short_header
from plait.wire.openflow.oxm import field_of
from plait.wire.openflow.ports import (
    ALL,
    ANY,
    CONTROLLER,
    FLOOD,
    IN_PORT,
    LOCAL,
    NORMAL,
    TABLE,
    WHOLE_PACKET,
)

__all__ = [
    "ALL",
    "ANY",
    "CONTROLLER",
    "FLOOD",
    "IN_PORT",
    "LOCAL",
    "NORMAL",
    "TABLE",
    "WHOLE_PACKET",
    "Bits",
    "apply",
    "check_pkt_larger",
    "clear_actions",
    "clone",
    "conjunction",
    "controller",
    "ct",
    "ct_clear",
    "dec_ttl",
    "decode_actions",
    "decode_instructions",
    "goto",
    "group",
    "instructions",
    "learn",
    "learned_load",
    "learned_match",
    "learned_output",
    "load",
    "meter",
    "move",
    "multipath",
    "nat",
    "note",
    "output",
    "output_reg",
    "pop_vlan",
    "push_vlan",
    "resubmit",
    "set_field",
    "set_queue",
    "write_actions",
    "write_metadata",
]

ACTION_REASON: Final = 1
"""OFPR_ACTION: why a packet-in comes, when an action sent it."""

SYMMETRIC_L3L4_UDP: Final = 3
HIGHEST_RANDOM_WEIGHT: Final = 2
"""NX_HASH_FIELDS_* and NX_MP_ALG_*: the ones that `multipath` uses."""

_OUTPUT: Final = Struct("!HHIH6x")
_SET_FIELD: Final = Struct("!HH")
_NUMBER: Final = Struct("!HHI")
_LOAD: Final = Struct("!HHIHH4sQ")
_RESUBMIT: Final = Struct("!HHIHHB3x")
_OUTPUT_REG: Final = Struct("!H4sH6x")
_MULTIPATH: Final = Struct("!HH2xHHI2xH4s")
_PRESENT: Final = 0x1000


def output(port: int, max_len: int | None = None) -> bytes:
    """Send the packet out of a port; `max_len` bounds what CONTROLLER gets, in bytes (none: all of it)."""
    if max_len is None:
        max_len = WHOLE_PACKET if port == CONTROLLER else 0
    return _OUTPUT.pack(0, 16, port, max_len)


def output_reg(field: str, ofs: int, bits: int) -> bytes:
    """Send the packet out of the port whose number is in these bits of a field."""
    where = Bits(field, ofs, bits)
    return nicira(15, _OUTPUT_REG.pack(where.ofs_nbits, short_header(where), WHOLE_PACKET))


def group(number: int) -> bytes:
    """Process the packet through a group."""
    return _NUMBER.pack(22, 8, number)


def set_field(name: str, value: int | bytes, mask: int | None = None) -> bytes:
    """Set a field, or the bits of it that `mask` names.

    Under a mask the switch prints one load for each run of ones, lowest first, and so does this. A VLAN id
    needs 0x1000, "there is a tag", in it. Raises ValueError when the value does not fit or the mask is
    empty.
    """
    field = field_of(name)
    number = int.from_bytes(value, "big") if isinstance(value, bytes) else value
    bits = field.bits if mask is None else field.action_bits
    if number >> bits or (mask is not None and mask >> bits):
        raise ValueError(f"set_field({name!r}, {number:#x}, {mask}) does not fit {bits} bits")
    if mask is not None and mask != field.ones:
        return _masked_set(name, number, mask)
    if name == "in_port":
        return _SET_FIELD.pack(25, 16) + field.action_header + number.to_bytes(2, "big") + b"\0\0\0\0\0\0"
    if name == "vlan_vid" and not number & _PRESENT:
        raise ValueError(f"set_field('vlan_vid', {number:#x}): add 0x1000, or pop_vlan() to remove the tag")
    body = field.header + number.to_bytes(field.size, "big")
    length = len(body) + 11 & ~7
    return _SET_FIELD.pack(25, length) + body.ljust(length - 4, b"\0")


def _masked_set(name: str, value: int, mask: int) -> bytes:
    if not mask:
        raise ValueError(f"set_field({name!r}) with an empty mask sets nothing: leave it out")
    loads, ofs = [], 0
    while mask >> ofs:
        if not mask >> ofs & 1:
            ofs += 1
            continue
        bits = 1
        while bits < 64 and mask >> ofs + bits & 1:
            bits += 1
        loads.append(load(name, ofs, bits, value >> ofs & (1 << bits) - 1))
        ofs += bits
    return b"".join(loads)


def load(field: str, ofs: int, bits: int, value: int) -> bytes:
    """Set at most 64 bits of a field to a number."""
    if not 1 <= bits <= 64 or value >> bits:
        raise ValueError(f"load() of {value:#x} into {field}[{ofs}..{ofs + bits - 1}]: 1-64 bits that fit")
    where = Bits(field, ofs, bits)
    return _LOAD.pack(0xFFFF, 24, NICIRA, 7, where.ofs_nbits, short_header(where), value)


def move(src: str, dst: str, bits: int, *, src_ofs: int = 0, dst_ofs: int = 0) -> bytes:
    """Copy bits from one field into another."""
    head = (bits << 32 | src_ofs << 16 | dst_ofs).to_bytes(6, "big")
    source, target = Bits(src, src_ofs, bits), Bits(dst, dst_ofs, bits)
    return nicira(6, head + checked_header(source) + checked_header(target))


def resubmit(table: int = 0xFF, in_port: int | None = None) -> bytes:
    """Look the packet up in another table (0xff: this one), as if it came by `in_port` (none: as it did)."""
    return _RESUBMIT.pack(0xFFFF, 16, NICIRA, 14, IN_PORT & 0xFFFF if in_port is None else in_port, table)


def controller(
    *,
    max_len: int = WHOLE_PACKET,
    reason: int = ACTION_REASON,
    controller_id: int = 0,
    userdata: bytes = b"",
    pause: bool = False,
    meter_id: int | None = None,
) -> bytes:
    """Send the packet to a controller with `userdata` to tell why (NXAST_CONTROLLER2).

    A packet that is paused waits for the controller's resume message. `meter_id` bounds the rate.
    """
    properties = []
    if max_len != WHOLE_PACKET:
        properties.append(b"\x00\x00\x00\x08" + max_len.to_bytes(2, "big") + b"\0\0")
    if controller_id:
        properties.append(b"\x00\x01\x00\x08" + controller_id.to_bytes(2, "big") + b"\0\0")
    if reason != ACTION_REASON:
        properties.append(b"\x00\x02\x00\x05" + reason.to_bytes(1, "big") + b"\0\0\0")
    if userdata:
        padding = b"\0" * (-(len(userdata) + 4) % 8)
        properties.append(b"\x00\x03" + (len(userdata) + 4).to_bytes(2, "big") + userdata + padding)
    if pause:
        properties.append(b"\x00\x04\x00\x04\0\0\0\0")
    if meter_id is not None:
        properties.append(b"\x00\x05\x00\x08" + meter_id.to_bytes(4, "big"))
    return nicira(37, b"\0\0\0\0\0\0" + b"".join(properties))


def conjunction(number: int, clause: int, n_clauses: int) -> bytes:
    """This flow is one clause, 1 to `n_clauses`, of the conjunction `number`, which `conj_id` matches."""
    if not 1 <= clause <= n_clauses <= 64 or n_clauses < 2:
        raise ValueError(f"conjunction({number}, {clause}/{n_clauses}): there are 2 to 64 clauses, from 1 on")
    return nicira(34, bytes((clause - 1, n_clauses)) + number.to_bytes(4, "big"))


def check_pkt_larger(size_bytes: int, field: str, ofs: int) -> bytes:
    """Set one bit of a field to whether the packet, with its Ethernet header, is larger than `size_bytes`."""
    body = size_bytes.to_bytes(2, "big") + ofs.to_bytes(2, "big") + short_header(Bits(field, ofs, 1))
    return nicira(49, body + b"\0" * 6)


def multipath(n_links: int, field: str, ofs: int, bits: int) -> bytes:
    """Set bits of a field to one of 0 to `n_links` - 1, the same for all packets of a connection.

    Both directions come to the same: the hash is over addresses, protocol and ports, and symmetric. By
    highest random weight (RFC 2992), so that another number of links moves few connections.
    """
    where = Bits(field, ofs, bits)
    if not 1 <= n_links <= min(1 << bits, 1 << 16):
        raise ValueError(f"multipath() over {n_links} links: 1 to {min(1 << bits, 1 << 16)} fit {bits} bits")
    body = _MULTIPATH.pack(
        SYMMETRIC_L3L4_UDP, 0, HIGHEST_RANDOM_WEIGHT, n_links - 1, 0, where.ofs_nbits, short_header(where)
    )
    return nicira(10, body)


def dec_ttl() -> bytes:
    """Decrement the TTL or hop limit; a packet for which it runs out goes no further."""
    return b"\x00\x18\x00\x08\0\0\0\0"


def push_vlan(ethertype: int = 0x8100) -> bytes:
    """Add a VLAN tag; set_field("vlan_vid", 0x1000 | vlan) follows."""
    return b"\x00\x11\x00\x08" + ethertype.to_bytes(2, "big") + b"\0\0"


def pop_vlan() -> bytes:
    """Remove the outer VLAN tag."""
    return b"\x00\x12\x00\x08\0\0\0\0"


def set_queue(number: int) -> bytes:
    """Send what follows through a queue."""
    return _NUMBER.pack(21, 8, number)


def note(data: bytes) -> bytes:
    """Do nothing, and carry `data` along: its length becomes 6, 14, 22, … by zeros at the end."""
    return nicira(8, data)


def clone(*actions: bytes) -> bytes:
    """Do these actions to a copy of the packet."""
    return nicira(42, b"\0" * 6 + b"".join(actions))
