"""The other messages, and the one door through which received messages are decoded.

What is sent has `encode(xid)`. What comes goes through `decode(type, body)`, which raises MalformedMessage
and nothing else. Source: OpenFlow 1.4.0, 7.3-7.5.
"""

from collections.abc import Callable
from enum import IntEnum
from struct import Struct
from struct import error as StructError  # noqa: N812 - a class of that name
from typing import Final

import msgspec

from plait.wire.errors import MalformedMessage
from plait.wire.openflow import bundle, multipart, packets
from plait.wire.openflow.framing import VERSION, MessageType, frame
from plait.wire.openflow.layout import PAIR, put_property, take_match
from plait.wire.openflow.mods import Mod, decode_flow_mod, decode_group_mod, decode_meter_mod
from plait.wire.openflow.multipart import PortDesc, decode_port
from plait.wire.openflow.nicira import NICIRA
from plait.wire.openflow.packets import PacketIn
from plait.wire.openflow.refusals import error_name

_FEATURES: Final = Struct("!QIBB2xI4x")
_CONFIG: Final = Struct("!HH")
_ROLE: Final = Struct("!I4xQ")
_FLOW_REMOVED: Final = Struct("!QHBBIIHHQQ")


class Hello(msgspec.Struct, frozen=True):
    """`versions` are wire numbers: 5 is OpenFlow 1.4."""

    versions: frozenset[int] = frozenset({VERSION})

    def encode(self, xid: int) -> bytes:
        bitmap = sum(1 << version for version in self.versions)
        return frame(MessageType.HELLO, xid, put_property(1, bitmap.to_bytes(4, "big")))


class OpenFlowError(msgspec.Struct, frozen=True):
    """The switch refuses a message; `data` is the beginning of that message."""

    type: int
    code: int
    data: bytes = b""
    experimenter: int = 0

    @property
    def text(self) -> str:
        """The name of the error in the specification, as the tools of Open vSwitch print it."""
        return error_name(self.type, self.code, self.experimenter)


class Echo(msgspec.Struct, frozen=True):
    """Are you there? A reply carries the request's data."""

    data: bytes = b""
    is_reply: bool = False

    def encode(self, xid: int) -> bytes:
        return frame(MessageType.ECHO_REPLY if self.is_reply else MessageType.ECHO_REQUEST, xid, self.data)


class Plain(msgspec.Struct, frozen=True):
    """A message without a body: FEATURES_REQUEST, GET_CONFIG_REQUEST, BARRIER_REQUEST, …"""

    type: int

    def encode(self, xid: int) -> bytes:
        return frame(self.type, xid)


class Features(msgspec.Struct, frozen=True):
    """Who the switch is.

    0 8 datapath id, 8 4 buffers, 12 1 tables, 13 1 auxiliary id, 16 4 capabilities (OpenFlow 1.4.0, 7.3.1).
    """

    datapath_id: int
    n_buffers: int
    n_tables: int
    auxiliary_id: int
    capabilities: int


class Fragments(IntEnum):
    """How the switch matches fragments.

    NORMAL takes ports and ICMP types of fragments for 0, so that they pass any rule about these; with
    NX_MATCH, Open vSwitch's own, the first fragment has its true ones. Source: ovs-ofctl(8), set-frags.
    """

    NORMAL = 0
    DROP = 1
    REASSEMBLE = 2
    NX_MATCH = 3


class Config(msgspec.Struct, frozen=True):
    """How the bridge handles fragments, and how many bytes of a packet a table miss sends.

    A `miss_send_len` other than 0 is what makes a local connection get packet-ins.
    0 2 flags, 2 2 miss_send_len (OpenFlow 1.4.0, 7.3.2).
    """

    flags: int = Fragments.NORMAL
    miss_send_len: int = 0xFFFF

    def encode(self, xid: int) -> bytes:
        return frame(MessageType.SET_CONFIG, xid, _CONFIG.pack(self.flags, self.miss_send_len))


class RoleKind(IntEnum):
    """OFPCR_ROLE_*; OpenFlow 1.4.0, 7.3.8."""

    NOCHANGE = 0
    EQUAL = 1
    MASTER = 2
    SLAVE = 3


class Role(msgspec.Struct, frozen=True):
    """What this controller is to the switch, asked for or answered; a master's `generation` only rises.

    0 4 role, 8 8 generation (OpenFlow 1.4.0, 7.3.8).
    """

    role: int
    generation: int = 0

    def encode(self, xid: int) -> bytes:
        return frame(MessageType.ROLE_REQUEST, xid, _ROLE.pack(self.role, self.generation))


class AsyncConfig(msgspec.Struct, frozen=True):
    """Which messages the switch may send by itself: a bit mask of reasons for each kind."""

    packet_in: int = 0b111111
    port_status: int = 0b111
    flow_removed: int = 0b111111
    requestforward: int = 0b11

    def encode(self, xid: int) -> bytes:
        # Each kind has two properties: one for a slave, one for an equal or master (OpenFlow 1.4.0, 7.3.10).
        kinds = (
            (1, self.packet_in),
            (3, self.port_status),
            (5, self.flow_removed),
            (11, self.requestforward),
        )
        body = b"".join(put_property(kind, mask.to_bytes(4, "big")) for kind, mask in kinds)
        return frame(MessageType.SET_ASYNC, xid, body)


class PortStatus(msgspec.Struct, frozen=True):
    """`reason`: 0 added, 1 deleted, 2 modified."""

    reason: int
    port: PortDesc


class FlowRemoved(msgspec.Struct, frozen=True):
    """A flow with SEND_FLOW_REM is gone.

    `reason`: 0 idle, 1 hard timeout, 2 deleted, 3 its group, 4 its meter.
    """

    table: int
    priority: int
    match: bytes
    cookie: int
    reason: int
    n_packets: int
    n_bytes: int
    duration_s: int


class ForeignGroupChange(msgspec.Struct, frozen=True):
    """Somebody else sent this group or meter modification, and it was carried out."""

    is_meter: bool
    command: int
    number: int
    data: bytes


class MultipartPart(msgspec.Struct, frozen=True):
    """One part of an answer; `has_more` says whether others follow."""

    type: int
    has_more: bool
    body: bytes


class Other(msgspec.Struct, frozen=True):
    """A message that Plait has no use for, or one that carries nothing but its xid."""

    type: int
    body: bytes


Message = (
    Hello
    | OpenFlowError
    | Echo
    | Features
    | Config
    | Role
    | PacketIn
    | PortStatus
    | FlowRemoved
    | ForeignGroupChange
    | MultipartPart
    | bundle.BundleControl
    | Mod
    | Other
)


def decode(kind: int, body: bytes) -> Message:
    """A received message, without its header.

    Raises MalformedMessage; offsets count from after the header.
    """
    decode_body = _DECODERS.get(kind)
    if decode_body is None:
        return Other(kind, body)
    try:
        return decode_body(body)
    except StructError as error:
        raise MalformedMessage(_name(kind), len(body), f"{len(body)} bytes are too few: {error}") from None


def _name(kind: int) -> str:
    return MessageType(kind).name.lower()


def _hello(body: bytes) -> Message:
    versions: set[int] = set()
    offset = 0
    while len(body) - offset >= 4:
        kind, length = PAIR.unpack_from(body, offset)
        if length < 4 or offset + length > len(body):
            raise MalformedMessage(
                "hello", offset, f"element of {length} bytes, {len(body) - offset} are left"
            )
        if kind == 1:
            words = body[offset + 4 : offset + length - length % 4]
            for i in range(0, len(words), 4):
                word = int.from_bytes(words[i : i + 4], "big")
                versions.update(i * 8 + bit for bit in range(32) if word >> bit & 1)
        offset += length + 7 & ~7
    return Hello(frozenset(versions))


def _error(body: bytes) -> Message:
    kind, code = PAIR.unpack_from(body)
    if kind != 0xFFFF:
        return OpenFlowError(kind, code, body[4:])
    if len(body) < 8:
        raise MalformedMessage("error", 4, "an experimenter's error without its experimenter")
    return OpenFlowError(kind, code, body[8:], int.from_bytes(body[4:8], "big"))


def _port_status(body: bytes) -> Message:
    if len(body) < 8:
        raise MalformedMessage("port_status", len(body), "no port")
    return PortStatus(body[0], decode_port(body[8:]))


def _flow_removed(body: bytes) -> Message:
    cookie, priority, reason, table, duration_s, _, _, _, packets_, bytes_ = _FLOW_REMOVED.unpack_from(body)
    match, _ = take_match(body, _FLOW_REMOVED.size, len(body))
    return FlowRemoved(table, priority, match, cookie, reason, packets_, bytes_, duration_s)


def _requestforward(body: bytes) -> Message:
    _, kind, length, _, command, _, number = _FORWARDED.unpack_from(body)
    if kind not in (MessageType.GROUP_MOD, MessageType.METER_MOD) or length != len(body):
        raise MalformedMessage(
            "requestforward", 1, f"a message of type {kind} and {length} bytes in {len(body)}"
        )
    return ForeignGroupChange(kind == MessageType.METER_MOD, command, number, body)


_FORWARDED: Final = Struct("!BBHIHHI")


def _experimenter(body: bytes) -> Message:
    vendor, subtype = packets.EXPERIMENTER.unpack_from(body)
    if (vendor, subtype) == (NICIRA, packets.NXT_PACKET_IN2):
        return packets.decode_packet_in2(body)
    return Other(MessageType.EXPERIMENTER, body)


def _part(body: bytes) -> Message:
    kind, flags = multipart.HEADER.unpack_from(body)
    return MultipartPart(kind, bool(flags & multipart.MORE), body[8:])


_DECODERS: Final[dict[int, Callable[[bytes], Message]]] = {
    MessageType.HELLO: _hello,
    MessageType.ERROR: _error,
    MessageType.ECHO_REQUEST: lambda body: Echo(body),
    MessageType.ECHO_REPLY: lambda body: Echo(body, is_reply=True),
    MessageType.EXPERIMENTER: _experimenter,
    MessageType.FEATURES_REPLY: lambda body: Features(*_FEATURES.unpack_from(body)),
    MessageType.GET_CONFIG_REPLY: lambda body: Config(*_CONFIG.unpack_from(body)),
    MessageType.PACKET_IN: packets.decode_packet_in,
    MessageType.FLOW_MOD: decode_flow_mod,
    MessageType.GROUP_MOD: decode_group_mod,
    MessageType.METER_MOD: decode_meter_mod,
    MessageType.FLOW_REMOVED: _flow_removed,
    MessageType.PORT_STATUS: _port_status,
    MessageType.MULTIPART_REPLY: _part,
    MessageType.ROLE_REPLY: lambda body: Role(*_ROLE.unpack_from(body)),
    MessageType.REQUESTFORWARD: _requestforward,
    MessageType.BUNDLE_CONTROL: bundle.decode_bundle_control,
}
