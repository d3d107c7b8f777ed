"""Flows and groups in the words of ovs-ofctl: what it prints, and what it reads."""

from typing import Final

from plait.wire.errors import MalformedMessage
from plait.wire.openflow.action_text import actions_text, instructions_text
from plait.wire.openflow.decode import decode_actions
from plait.wire.openflow.match_text import match_text
from plait.wire.openflow.mods import BUCKET, FlowMod, GroupMod, GroupType
from plait.wire.openflow.multipart import FlowStats, GroupDesc
from plait.wire.openflow.ports import ANY, ANY_GROUP

__all__ = ["describe_flow", "flow_text", "group_text", "instructions_text", "match_text"]

_GROUP_TYPES: Final = ("all", "select", "indirect", "ff")


def flow_text(table: int, priority: int, match: bytes, instructions: bytes, *, cookie: int = 0) -> str:
    """One flow on one line. Raises MalformedMessage for bytes that are no match or no instructions."""
    words = f"cookie={cookie:#x}, " if cookie else ""
    matched = match_text(match)
    comma = "," if matched else ""
    return (
        f"{words}table={table}, priority={priority}{comma}{matched} actions={instructions_text(instructions)}"
    )


def describe_flow(flow: FlowStats | FlowMod) -> str:
    """The flow of a modification, or one that the switch has."""
    return flow_text(flow.table, flow.priority, flow.match, flow.instructions, cookie=flow.cookie)


def group_text(group: GroupDesc | GroupMod) -> str:
    """One group on one line. Raises MalformedMessage for bytes that are no buckets."""
    kind = _GROUP_TYPES[group.type] if group.type < len(_GROUP_TYPES) else str(group.type)
    words = [f"group_id={group.group_id},type={kind}"]
    offset, data = 0, group.buckets
    while offset < len(data):
        if len(data) - offset < BUCKET.size:
            raise MalformedMessage(
                "bucket", offset, f"{len(data) - offset} bytes left, {BUCKET.size} are needed"
            )
        length, weight, watch_port, watch_group = BUCKET.unpack_from(data, offset)
        if length < BUCKET.size or offset + length > len(data):
            raise MalformedMessage("bucket", offset, f"length {length} with {len(data) - offset} bytes left")
        usual_weight = 1 if group.type == GroupType.SELECT else 0
        parts = [f"weight:{weight}"] if weight != usual_weight else []
        parts += [f"watch_port:{watch_port}"] if watch_port != ANY else []
        parts += [f"watch_group:{watch_group}"] if watch_group != ANY_GROUP else []
        parts.append(f"actions={actions_text(decode_actions(data[offset + BUCKET.size : offset + length]))}")
        words.append(f"bucket={','.join(parts)}")
        offset += length
    return ",".join(words)
