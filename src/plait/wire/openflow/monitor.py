"""The flow monitor: the switch tells of every change of its flows, by whomever.

A change of our own comes abbreviated to the xid that caused it, so what comes in full was done by others.
Source: OpenFlow 1.4.0, 7.3.5.17.
"""

from struct import Struct
from typing import Final

import msgspec

from plait.wire.errors import MalformedMessage
from plait.wire.openflow.layout import PAIR, decoder, put_match, take_match
from plait.wire.openflow.multipart import MultipartRequest, MultipartType
from plait.wire.openflow.ports import ALL_TABLES, ANY, ANY_GROUP

INITIAL, ADDED, REMOVED, MODIFIED, ABBREV, PAUSED, RESUMED = range(7)
WATCH_ADD: Final = 2
WATCH_REMOVED: Final = 4
WATCH_MODIFY: Final = 8
WATCH_INSTRUCTIONS: Final = 16

_REQUEST: Final = Struct("!IIIHBB")
_UPDATE: Final = Struct("!HHBBHHH4xQ")
_KINDS: Final = {INITIAL: "initial", ADDED: "added", REMOVED: "removed", MODIFIED: "modified"}


class ForeignFlowChange(msgspec.Struct, frozen=True):
    """Somebody else added, removed or modified a flow; `kind` says which.

    `reason` of a removal: 0 idle, 1 hard timeout, 2 deleted, 3 its group was deleted, 4 its meter. Timeouts
    are told whoever made the flow, and so is what vanishes with a group, even one that we deleted.
    """

    kind: str
    table: int
    priority: int
    match: bytes
    instructions: bytes
    cookie: int
    reason: int


class MonitorPaused(msgspec.Struct, frozen=True):
    """The switch stopped telling: too much was waiting to be sent."""


class MonitorResumed(msgspec.Struct, frozen=True):
    """The switch tells again, and has told what is new since; compare anew to be sure."""


MonitorEvent = ForeignFlowChange | MonitorPaused | MonitorResumed


def monitor_request(monitor_id: int = 1, table: int = ALL_TABLES) -> MultipartRequest:
    """Ask to be told of changes from now on; what is there already isn't told."""
    flags = WATCH_ADD | WATCH_REMOVED | WATCH_MODIFY | WATCH_INSTRUCTIONS
    body = _REQUEST.pack(monitor_id, ANY, ANY_GROUP, flags, table, 0) + put_match(b"")
    return MultipartRequest(MultipartType.FLOW_MONITOR, body)


@decoder("flow update")
def decode_monitor(body: bytes) -> list[MonitorEvent]:
    """What others did, in one message; abbreviated updates, our own, are left out."""
    events: list[MonitorEvent] = []
    offset, end = 0, len(body)
    while offset < end:
        length, kind = PAIR.unpack_from(body, offset)
        if length < 8 or offset + length > end:
            raise MalformedMessage("flow update", offset, f"length {length} with {end - offset} bytes left")
        if kind == PAUSED:
            events.append(MonitorPaused())
        elif kind == RESUMED:
            events.append(MonitorResumed())
        elif kind in _KINDS:
            events.append(_change(body, offset, offset + length, _KINDS[kind]))
        elif kind != ABBREV:
            raise MalformedMessage("flow update", offset + 2, f"event {kind} is not known")
        offset += length
    return events


def _change(body: bytes, offset: int, end: int, kind: str) -> ForeignFlowChange:
    _, _, table, reason, _, _, priority, cookie = _UPDATE.unpack_from(body, offset)
    match, after = take_match(body, offset + _UPDATE.size, end)
    return ForeignFlowChange(kind, table, priority, match, body[after:end], cookie, reason)
