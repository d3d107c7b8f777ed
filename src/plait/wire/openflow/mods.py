"""What changes a switch: flow, group and meter modifications.

Each knows its `encode(xid)`. Matches, instructions and buckets are bytes in the switch's own form, so that
what was sent can be compared with what the switch says. Source: OpenFlow 1.4.0, 7.3.4.
"""

from enum import IntEnum
from struct import Struct
from typing import Final

import msgspec

from plait.wire.openflow.framing import VERSION, MessageType, frame
from plait.wire.openflow.layout import PADDING, decoder, take_match
from plait.wire.openflow.nicira import NICIRA
from plait.wire.openflow.ports import ALL_TABLES, ANY, ANY_GROUP, NO_BUFFER

_FLOW_MOD: Final = Struct("!BBHIQQBBHHHIIIHHHH")
_FLOW_MOD_BODY: Final = Struct("!QQBBHHHIIIHH")
_GROUP_MOD: Final = Struct("!HBxI")
BUCKET: Final = Struct("!HHII4x")
_METER_MOD: Final = Struct("!HHI")
_FLUSH_ZONE: Final = Struct("!II6xH")

NXT_CT_FLUSH_ZONE: Final = 29
_BAND: Final = Struct("!HHII4x")


class FlowCommand(IntEnum):
    """OFPFC_*; STRICT is for one flow, the others for all within the match (OpenFlow 1.4.0, 7.3.4.1)."""

    ADD = 0
    MODIFY = 1
    MODIFY_STRICT = 2
    DELETE = 3
    DELETE_STRICT = 4


class GroupCommand(IntEnum):
    """ADD_OR_MODIFY is Open vSwitch's: it needs no knowledge of what is there."""

    ADD = 0
    MODIFY = 1
    DELETE = 2
    ADD_OR_MODIFY = 0x8000


class GroupType(IntEnum):
    """Which buckets a packet meets: all, one by weight, the only one, the first that lives (7.3.4.2)."""

    ALL = 0
    SELECT = 1
    INDIRECT = 2
    FAST_FAILOVER = 3


class MeterCommand(IntEnum):
    """OFPMC_*; OpenFlow 1.4.0, 7.3.4.4."""

    ADD = 0
    MODIFY = 1
    DELETE = 2


class FlowFlag(IntEnum):
    """OFPFF_*; OpenFlow 1.4.0, 7.3.4.1."""

    SEND_FLOW_REM = 1
    CHECK_OVERLAP = 2
    RESET_COUNTS = 4
    NO_PACKET_COUNTS = 8
    NO_BYTE_COUNTS = 16


class MeterFlag(IntEnum):
    """OFPMF_*: rates are in kbit/s or in packets/s; OpenFlow 1.4.0, 7.3.4.4."""

    KBPS = 1
    PACKETS_PER_S = 2
    BURST = 4
    STATS = 8


class FlowMod(msgspec.Struct, frozen=True):
    """Add, modify or delete flows. A delete needs a match only; DELETE_STRICT the priority too.

    Length 56 + match (with its header of 4, up to a multiple of 8) + instructions.
    """

    command: int
    table: int
    priority: int = 0x8000
    cookie: int = 0
    cookie_mask: int = 0
    match: bytes = b""
    instructions: bytes = b""
    flags: int = 0
    idle_timeout_s: int = 0
    hard_timeout_s: int = 0
    importance: int = 0
    out_port: int = ANY
    out_group: int = ANY_GROUP

    def encode(self, xid: int) -> bytes:
        match = self.match
        instructions = self.instructions
        match_length = len(match) + 4
        padding = PADDING[match_length & 7]
        return (
            _FLOW_MOD.pack(
                VERSION,
                14,
                48 + match_length + len(padding) + len(instructions),
                xid,
                self.cookie,
                self.cookie_mask,
                self.table,
                self.command,
                self.idle_timeout_s,
                self.hard_timeout_s,
                self.priority,
                NO_BUFFER,
                self.out_port,
                self.out_group,
                self.flags,
                self.importance,
                1,
                match_length,
            )
            + match
            + padding
            + instructions
        )


class GroupMod(msgspec.Struct, frozen=True):
    """Add, modify or delete a group; `buckets` are bytes: `bucket(...)` one after the other."""

    command: int
    group_id: int
    type: int = GroupType.ALL
    buckets: bytes = b""

    def encode(self, xid: int) -> bytes:
        return frame(
            MessageType.GROUP_MOD, xid, _GROUP_MOD.pack(self.command, self.type, self.group_id) + self.buckets
        )


class MeterMod(msgspec.Struct, frozen=True):
    """Add, modify or delete a meter; `bands` are bytes: `drop_band(...)` one after the other."""

    command: int
    meter_id: int
    flags: int = MeterFlag.KBPS
    bands: bytes = b""

    def encode(self, xid: int) -> bytes:
        return frame(
            MessageType.METER_MOD, xid, _METER_MOD.pack(self.command, self.flags, self.meter_id) + self.bands
        )


class FlushZone(msgspec.Struct, frozen=True):
    """Forget all connections in a zone of the connection tracker (NXT_CT_FLUSH_ZONE); not for bundles."""

    zone: int

    def encode(self, xid: int) -> bytes:
        return frame(MessageType.EXPERIMENTER, xid, _FLUSH_ZONE.pack(NICIRA, NXT_CT_FLUSH_ZONE, self.zone))


Mod = FlowMod | GroupMod | MeterMod | FlushZone


def bucket(*actions: bytes, weight: int = 0, watch_port: int = ANY, watch_group: int = ANY_GROUP) -> bytes:
    """One bucket of a group. A select group needs a weight; a fast-failover one something to watch."""
    body = b"".join(actions)
    return BUCKET.pack(BUCKET.size + len(body), weight, watch_port, watch_group) + body


def drop_band(rate: int, *, burst: int = 0) -> bytes:
    """Drop what is above `rate`, in kbit/s or packets/s as the meter's flags say; `burst` in kbit or packets.

    Without a burst the switch takes, and prints, the rate.
    """
    return _BAND.pack(1, _BAND.size, rate, burst or rate)


def delete_all_flows(*, cookie: int = 0, cookie_mask: int = 0, table: int = ALL_TABLES) -> FlowMod:
    """Delete every flow of a table whose cookie equals `cookie` under `cookie_mask`."""
    return FlowMod(FlowCommand.DELETE, table, cookie=cookie, cookie_mask=cookie_mask)


@decoder("flow_mod")
def decode_flow_mod(body: bytes) -> FlowMod:
    """A flow modification without its header; raises MalformedMessage."""
    (
        cookie,
        cookie_mask,
        table,
        command,
        idle_timeout_s,
        hard_timeout_s,
        priority,
        _,
        out_port,
        out_group,
        flags,
        importance,
    ) = _FLOW_MOD_BODY.unpack_from(body)
    match, offset = take_match(body, _FLOW_MOD_BODY.size, len(body))
    return FlowMod(
        command,
        table,
        priority,
        cookie,
        cookie_mask,
        match,
        body[offset:],
        flags,
        idle_timeout_s,
        hard_timeout_s,
        importance,
        out_port,
        out_group,
    )


@decoder("group_mod")
def decode_group_mod(body: bytes) -> GroupMod:
    """A group modification without its header; raises MalformedMessage."""
    command, kind, group_id = _GROUP_MOD.unpack_from(body)
    return GroupMod(command, group_id, kind, body[_GROUP_MOD.size :])


@decoder("meter_mod")
def decode_meter_mod(body: bytes) -> MeterMod:
    """A meter modification without its header; raises MalformedMessage."""
    command, flags, meter_id = _METER_MOD.unpack_from(body)
    return MeterMod(command, meter_id, flags, body[_METER_MOD.size :])
