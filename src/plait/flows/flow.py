"""Flows and groups as apps produce them: bytes from the start, as the switch prints them back.

So desired and actual state are compared with `==`, and a host with 50,000 flows holds them in a few
megabytes.
"""

import msgspec

from plait.wire.openflow.multipart import GroupDesc
from plait.wire.openflow.text import group_text, instructions_text, match_text


class Flow(msgspec.Struct, frozen=True, gc=False):
    """One flow entry. `key` is its identity (table, priority, match), `instructions` what it does."""

    key: bytes
    instructions: bytes

    @property
    def table(self) -> int:
        return self.key[0]

    @property
    def priority(self) -> int:
        return int.from_bytes(self.key[1:3], "big")

    @property
    def match(self) -> bytes:
        """OXM TLVs in Open vSwitch's order, without the header and padding of ofp_match."""
        return self.key[3:]

    def __str__(self) -> str:
        matched = match_text(self.match)
        where = f"table={self.table},priority={self.priority}"
        return f"{where}{',' if matched else ''}{matched} {instructions_text(self.instructions)}"


class Group(msgspec.Struct, frozen=True, gc=False):
    """One group: `type` as OFPGT_*, `buckets` as in a group-mod of OpenFlow 1.4."""

    id: int
    type: int
    buckets: bytes

    def __str__(self) -> str:
        return group_text(GroupDesc(self.id, self.type, self.buckets))


def flow_key(table: int, priority: int, match: bytes) -> bytes:
    """The identity of a flow: table (1 byte), priority (2 bytes), OXM match."""
    return table.to_bytes(1, "big") + priority.to_bytes(2, "big") + match


def flow(table: int, priority: int, match: bytes, instructions: bytes) -> Flow:
    """A flow of `table`. Of all that match, the highest `priority` counts: 1 to 65535, 0 is the miss."""
    return Flow(flow_key(table, priority, match), instructions)
