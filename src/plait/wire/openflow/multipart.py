"""Questions with answers in parts: flows, groups, meters, ports and the rest.

Every kind of question has a request with `encode(xid)`, and a decoder from the body of one part to a list
of entries; the parts of an answer are independent, the last one has no "more" flag.
Source: OpenFlow 1.4.0, 7.3.5.
"""

from collections.abc import Iterator
from enum import IntEnum
from struct import Struct
from typing import Final

import msgspec

from plait.wire.errors import MalformedMessage
from plait.wire.openflow.framing import MessageType, frame
from plait.wire.openflow.layout import decoder, put_match, take_properties
from plait.wire.openflow.ports import ALL_METERS, ALL_TABLES, ANY, ANY_GROUP

MORE: Final = 1
HEADER: Final = Struct("!HH4x")

_FLOW_REQUEST: Final = Struct("!B3xII4xQQ")
_FLOW: Final = Struct("!HBxIIHHHHH2xQQQHH")
_FLOW_HEAD_BYTES: Final = 48
_AGGREGATE: Final = Struct("!QQI4x")
_TABLE: Final = Struct("!B3xIQQ")
_GROUP: Final = Struct("!HBxI")
_METER: Final = Struct("!HHI")
_PORT: Final = Struct("!IH2x6s2x16sII")
_ETHERNET: Final = Struct("!4x6I")
_DESC: Final = (256, 256, 256, 32, 256)


class MultipartType(IntEnum):
    """OFPMP_*, those whose answers are understood here; OpenFlow 1.4.0, 7.3.5."""

    DESC = 0
    FLOW = 1
    AGGREGATE = 2
    TABLE = 3
    GROUP_DESC = 7
    METER_CONFIG = 10
    PORT_DESC = 13
    FLOW_MONITOR = 16


class MultipartRequest(msgspec.Struct, frozen=True):
    """Any question: its type and its body."""

    type: int
    body: bytes = b""

    def encode(self, xid: int) -> bytes:
        return frame(MessageType.MULTIPART_REQUEST, xid, HEADER.pack(self.type, 0) + self.body)


class FlowStats(msgspec.Struct, frozen=True):
    """A flow as the switch has it; `match` and `instructions` are bytes, as `FlowMod` takes them."""

    table: int
    priority: int
    match: bytes
    instructions: bytes
    cookie: int
    flags: int
    idle_timeout_s: int
    hard_timeout_s: int
    importance: int
    n_packets: int
    n_bytes: int
    duration_s: int
    duration_ns: int


class Aggregate(msgspec.Struct, frozen=True):
    """How many flows matched the question, and what passed them."""

    n_packets: int
    n_bytes: int
    n_flows: int


class TableStats(msgspec.Struct, frozen=True):
    """How full a table is, how often it was asked and how often it had an answer."""

    table: int
    n_flows: int
    n_lookups: int
    n_matches: int


class GroupDesc(msgspec.Struct, frozen=True):
    """A group as the switch has it; `buckets` are bytes, as `GroupMod` takes them."""

    group_id: int
    type: int
    buckets: bytes


class MeterConfig(msgspec.Struct, frozen=True):
    """A meter as the switch has it; `bands` are bytes, as `MeterMod` takes them."""

    meter_id: int
    flags: int
    bands: bytes


class PortDesc(msgspec.Struct, frozen=True):
    """A port; speeds in kbit/s. `config` bit 0: taken down by the administrator; `state` bit 0: no link."""

    number: int
    mac: bytes
    name: str
    config: int
    state: int
    current_kbps: int = 0
    maximum_kbps: int = 0


class SwitchDesc(msgspec.Struct, frozen=True):
    """The switch in its maker's words; 256 bytes each, the serial number 32 (OpenFlow 1.4.0, 7.3.5.1)."""

    manufacturer: str
    hardware: str
    software: str
    serial: str
    datapath: str


def flow_request(
    *,
    cookie: int = 0,
    cookie_mask: int = 0,
    table: int = ALL_TABLES,
    match: bytes = b"",
    aggregate: bool = False,
) -> MultipartRequest:
    """Ask for the flows of a table whose cookie equals `cookie` under `cookie_mask`."""
    body = _FLOW_REQUEST.pack(table, ANY, ANY_GROUP, cookie, cookie_mask) + put_match(match)
    return MultipartRequest(MultipartType.AGGREGATE if aggregate else MultipartType.FLOW, body)


def meter_request(meter_id: int = ALL_METERS) -> MultipartRequest:
    """Ask for the configuration of a meter, or of all."""
    return MultipartRequest(MultipartType.METER_CONFIG, meter_id.to_bytes(4, "big") + b"\0\0\0\0")


DESC_REQUEST: Final = MultipartRequest(MultipartType.DESC)
TABLE_REQUEST: Final = MultipartRequest(MultipartType.TABLE)
GROUP_REQUEST: Final = MultipartRequest(MultipartType.GROUP_DESC)
PORT_REQUEST: Final = MultipartRequest(MultipartType.PORT_DESC)


@decoder("flow")
def decode_flows(body: bytes) -> list[FlowStats]:
    """The flows in one part of an answer."""
    flows: list[FlowStats] = []
    offset, end = 0, len(body)
    unpack, size = _FLOW.unpack_from, _FLOW.size
    while offset < end:
        if end - offset < size:
            raise MalformedMessage("flow", offset, f"{end - offset} bytes left, {size} are needed")
        (
            length,
            table,
            duration_s,
            duration_ns,
            priority,
            idle,
            hard,
            flags,
            importance,
            cookie,
            n_packets,
            n_bytes,
            match_type,
            match_length,
        ) = unpack(body, offset)
        match_end = offset + _FLOW_HEAD_BYTES + match_length
        after_match = offset + _FLOW_HEAD_BYTES + (match_length + 7 & ~7)
        after = offset + length
        if match_type != 1 or match_length < 4 or after_match > after or after > end:
            raise MalformedMessage(
                "flow", offset, f"length {length}, match of type {match_type} and length {match_length}"
            )
        flows.append(
            FlowStats(
                table,
                priority,
                body[offset + size : match_end],
                body[after_match:after],
                cookie,
                flags,
                idle,
                hard,
                importance,
                n_packets,
                n_bytes,
                duration_s,
                duration_ns,
            )
        )
        offset = after
    return flows


@decoder("aggregate")
def decode_aggregate(body: bytes) -> list[Aggregate]:
    """The one entry of an answer."""
    return [Aggregate(*_AGGREGATE.unpack_from(body))]


def decode_tables(body: bytes) -> list[TableStats]:
    """The tables in one part of an answer."""
    if len(body) % _TABLE.size:
        raise MalformedMessage("table", 0, f"{len(body)} bytes are no multiple of {_TABLE.size}")
    return [TableStats(*entry) for entry in _TABLE.iter_unpack(body)]


@decoder("group")
def decode_groups(body: bytes) -> list[GroupDesc]:
    """The groups in one part of an answer."""
    return [GroupDesc(number, kind, buckets) for kind, number, buckets in _entries("group", _GROUP, body)]


@decoder("meter")
def decode_meters(body: bytes) -> list[MeterConfig]:
    """The meters in one part of an answer."""
    return [MeterConfig(number, flags, bands) for flags, number, bands in _entries("meter", _METER, body)]


@decoder("port")
def decode_ports(body: bytes) -> list[PortDesc]:
    """The ports in one part of an answer."""
    ports: list[PortDesc] = []
    offset = 0
    while offset < len(body):
        _, length = _PORT.unpack_from(body, offset)[:2]
        _check_entry("port", offset, length, _PORT.size, len(body))
        ports.append(decode_port(body[offset : offset + length]))
        offset += length
    return ports


@decoder("port")
def decode_port(data: bytes) -> PortDesc:
    """One port, with its length field and its properties."""
    number, length, mac, name, config, state = _PORT.unpack_from(data)
    _check_entry("port", 0, length, _PORT.size, len(data))
    current = maximum = 0
    for kind, value in take_properties(data[:length], _PORT.size):
        if kind == 0:
            *_, current, maximum = _ETHERNET.unpack_from(value)
    return PortDesc(number, mac, _text(name), config, state, current, maximum)


def decode_desc(body: bytes) -> list[SwitchDesc]:
    """The one entry of an answer."""
    if len(body) < sum(_DESC):
        raise MalformedMessage("desc", 0, f"{len(body)} bytes, {sum(_DESC)} are needed")
    ends = [sum(_DESC[: i + 1]) for i in range(len(_DESC))]
    return [SwitchDesc(*(_text(body[end - size : end]) for end, size in zip(ends, _DESC, strict=True)))]


def _entries(name: str, head: Struct, body: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Two numbers and the rest of each entry; `head` is the entry's length, in bytes, and these numbers."""
    offset = 0
    while offset < len(body):
        length, first, second = head.unpack_from(body, offset)
        _check_entry(name, offset, length, head.size, len(body))
        yield first, second, body[offset + head.size : offset + length]
        offset += length


def _text(data: bytes) -> str:
    return data.split(b"\0", 1)[0].decode("utf-8", "replace")


def _check_entry(name: str, offset: int, length: int, smallest: int, end: int) -> None:
    if length < smallest or offset + length > end:
        raise MalformedMessage(name, offset, f"length {length} with {end - offset} bytes left")
