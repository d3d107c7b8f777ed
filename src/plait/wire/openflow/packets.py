"""Packets on their way to the controller and back.

Source: OpenFlow 1.4.0, 7.3.7 and 7.4.1; NXT_PACKET_IN2.
"""

from struct import Struct
from typing import Final

import msgspec

from plait.wire.errors import MalformedMessage
from plait.wire.openflow.framing import MessageType, frame
from plait.wire.openflow.layout import decoder, put_property, take_match, take_properties
from plait.wire.openflow.nicira import NICIRA
from plait.wire.openflow.ports import CONTROLLER, NO_BUFFER

NXT_SET_PACKET_IN_FORMAT: Final = 16
NXT_RESUME: Final = 28
NXT_PACKET_IN2: Final = 30
PACKET_IN2_FORMAT: Final = 2

_PACKET, _FULL_LEN, _BUFFER_ID, _TABLE, _COOKIE, _REASON, _METADATA, _USERDATA, _CONTINUATION = range(9)

_PACKET_IN: Final = Struct("!IHBBQ")
_PACKET_OUT: Final = Struct("!IIH6x")
EXPERIMENTER: Final = Struct("!II")


class PacketIn(msgspec.Struct, frozen=True, kw_only=True):
    """A packet that an action or a table miss sent to the controller.

    `size_bytes` is its whole length, `data` what was sent of it. `metadata` are OXM TLVs: in_port,
    registers and the like. `continuation` is set when the packet is paused and waits for `Resume`.
    """

    data: bytes
    size_bytes: int
    table: int
    cookie: int
    reason: int
    metadata: bytes
    userdata: bytes = b""
    continuation: bytes | None = None
    buffer_id: int = NO_BUFFER


class PacketOut(msgspec.Struct, frozen=True, kw_only=True):
    """Send a packet through actions, as if it had come in by `in_port`."""

    data: bytes
    actions: bytes
    in_port: int = CONTROLLER

    def encode(self, xid: int) -> bytes:
        head = _PACKET_OUT.pack(NO_BUFFER, self.in_port, len(self.actions))
        return frame(MessageType.PACKET_OUT, xid, head + self.actions + self.data)


class Resume(msgspec.Struct, frozen=True):
    """Let a paused packet go on, perhaps with another content (NXT_RESUME)."""

    packet: PacketIn

    def encode(self, xid: int) -> bytes:
        packet = self.packet
        if packet.continuation is None:
            raise ValueError(
                "this packet is not paused: only one that an action with `pause` sent can be resumed"
            )
        body = (
            EXPERIMENTER.pack(NICIRA, NXT_RESUME)
            + put_property(_PACKET, packet.data)
            + put_property(_REASON, bytes((packet.reason,)))
            + put_property(_METADATA, packet.metadata)
            + put_property(_CONTINUATION, b"\0\0\0\0" + packet.continuation)
        )
        return frame(MessageType.EXPERIMENTER, xid, body)


class SetPacketInFormat(msgspec.Struct, frozen=True):
    """Ask for packet-ins with userdata and continuation (NXT_PACKET_IN2)."""

    format: int = PACKET_IN2_FORMAT

    def encode(self, xid: int) -> bytes:
        body = EXPERIMENTER.pack(NICIRA, NXT_SET_PACKET_IN_FORMAT) + self.format.to_bytes(4, "big")
        return frame(MessageType.EXPERIMENTER, xid, body)


@decoder("packet_in")
def decode_packet_in(body: bytes) -> PacketIn:
    """OFPT_PACKET_IN, which the switch sends until it is asked for the other format."""
    buffer_id, size_bytes, reason, table, cookie = _PACKET_IN.unpack_from(body)
    metadata, offset = take_match(body, _PACKET_IN.size, len(body))
    return PacketIn(
        data=body[offset + 2 :],
        size_bytes=size_bytes,
        table=table,
        cookie=cookie,
        reason=reason,
        metadata=metadata,
        buffer_id=buffer_id,
    )


@decoder("packet_in2")
def decode_packet_in2(body: bytes) -> PacketIn:
    """NXT_PACKET_IN2 after its vendor and subtype; properties that aren't known are passed over."""
    values = dict(take_properties(body, 8))
    if _PACKET not in values and _BUFFER_ID not in values:
        raise MalformedMessage("packet_in2", 8, "neither a packet nor a buffer")
    data = values.get(_PACKET, b"")
    continuation = values.get(_CONTINUATION)
    return PacketIn(
        data=data,
        size_bytes=_number(values, _FULL_LEN, 4, len(data)),
        table=_number(values, _TABLE, 1, 0),
        cookie=_number(values, _COOKIE, 8, 0),
        reason=_number(values, _REASON, 1, 0),
        metadata=values.get(_METADATA, b""),
        userdata=values.get(_USERDATA, b""),
        continuation=None if continuation is None else continuation[4:],
        buffer_id=_number(values, _BUFFER_ID, 4, NO_BUFFER),
    )


def _number(values: dict[int, bytes], kind: int, size: int, default: int) -> int:
    """A number stands at the end of its property; before one of 8 bytes there are 4 of padding."""
    value = values.get(kind)
    if value is None:
        return default
    if len(value) < size:
        raise MalformedMessage("packet_in2", 0, f"property {kind} has {len(value)} bytes, {size} are needed")
    return int.from_bytes(value[-size:], "big")
