"""Messages: what ovs-ofctl reads in them, what comes back, and what bad bytes may do."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.wire.errors import MalformedMessage
from plait.wire.openflow import multipart
from plait.wire.openflow.actions import apply, goto, instructions, output
from plait.wire.openflow.bundle import BundleControl, BundleStep, bundle_add
from plait.wire.openflow.decode import decode_actions, decode_instructions
from plait.wire.openflow.framing import HEADER_BYTES, Framer, MessageType, frame
from plait.wire.openflow.layout import put_match, put_property
from plait.wire.openflow.messages import (
    AsyncConfig,
    Config,
    Echo,
    Features,
    FlowRemoved,
    ForeignGroupChange,
    Hello,
    MultipartPart,
    OpenFlowError,
    Other,
    Plain,
    PortStatus,
    Role,
    RoleKind,
    decode,
)
from plait.wire.openflow.mods import (
    FlowCommand,
    FlowFlag,
    FlowMod,
    FlushZone,
    GroupCommand,
    GroupMod,
    GroupType,
    MeterCommand,
    MeterFlag,
    MeterMod,
    bucket,
    drop_band,
)
from plait.wire.openflow.monitor import decode_monitor, monitor_request
from plait.wire.openflow.oxm import decode_match, match
from plait.wire.openflow.packets import PacketIn, PacketOut, Resume, SetPacketInFormat, decode_packet_in2
from plait.wire.openflow.text import flow_text, group_text

ETHERNET = bytes.fromhex("ffffffffffff0200000000010800") + bytes(46)
IP = match(eth_type=0x0800)

FLOW = FlowMod(
    FlowCommand.ADD,
    7,
    100,
    0x5A,
    0,
    match(in_port=1, eth_type=0x0800, ipv4_dst=(0x0A000000, 0xFF000000)),
    instructions(apply(output(2)), goto(9)),
    FlowFlag.SEND_FLOW_REM,
    60,
    300,
)
GROUP = GroupMod(
    GroupCommand.ADD, 9, GroupType.SELECT, bucket(output(1), weight=2) + bucket(output(2), weight=3)
)
METER = MeterMod(MeterCommand.MODIFY, 4, MeterFlag.PACKETS_PER_S | MeterFlag.BURST, drop_band(1000, burst=50))
PACKET = PacketIn(
    data=ETHERNET,
    size_bytes=60,
    table=0,
    cookie=5,
    reason=1,
    metadata=match(in_port=3),
    continuation=b"\1" * 12,
)

PRINTED: list[tuple[Any, list[str]]] = [
    (Hello(), ["OFPT_HELLO (OF1.4) (xid=0x7)", "version bitmap: 0x05"]),
    (Echo(b"abc"), ["OFPT_ECHO_REQUEST (OF1.4) (xid=0x7): 3 bytes of payload"]),
    (Echo(b"", is_reply=True), ["OFPT_ECHO_REPLY (OF1.4) (xid=0x7): 0 bytes of payload"]),
    (Plain(MessageType.FEATURES_REQUEST), ["OFPT_FEATURES_REQUEST"]),
    (Plain(MessageType.GET_CONFIG_REQUEST), ["OFPT_GET_CONFIG_REQUEST"]),
    (Plain(MessageType.BARRIER_REQUEST), ["OFPT_BARRIER_REQUEST"]),
    (Config(), ["OFPT_SET_CONFIG", "frags=normal miss_send_len=65535"]),
    (Role(RoleKind.MASTER, 9), ["OFPT_ROLE_REQUEST", "role=primary generation_id=9"]),
    (
        AsyncConfig(port_status=0b101),
        ["OFPT_SET_ASYNC", "PORT_STATUS: add modify", "REQUESTFORWARD: group_mod_request meter_mod_request"],
    ),
    (
        FLOW,
        [
            "OFPT_FLOW_MOD (OF1.4) (xid=0x7): ADD table:7 "
            "priority=100,ip,in_port=1,nw_dst=10.0.0.0/8 cookie:0x5a "
            "idle:60 hard:300 send_flow_rem actions=output:2,goto_table:9"
        ],
    ),
    (FlowMod(FlowCommand.DELETE_STRICT, 3, 5, 1, 3, IP), ["DEL_STRICT table:3 priority=5,ip cookie:0x1/0x3"]),
    (
        GROUP,
        ["ADD group_id=9,type=select", "bucket=weight:2,actions=output:1,bucket=weight:3,actions=output:2"],
    ),
    (METER, ["MOD meter=4 pktps burst bands=", "type=drop rate=1000 burst_size=50"]),
    (
        PacketOut(data=ETHERNET, actions=output(3), in_port=5),
        ["OFPT_PACKET_OUT", "in_port=5 actions=output:3 data_len=60"],
    ),
    (FlushZone(65_000), ["NXT_CT_FLUSH_ZONE (OF1.4) (xid=0x7)", "zone_id=65000"]),
    (SetPacketInFormat(), ["NXT_SET_PACKET_IN_FORMAT", "format=nxt_packet_in2"]),
    (BundleControl(5, BundleStep.OPEN_REQUEST), ["bundle_id=0x5 type=OPEN_REQUEST flags=atomic ordered"]),
    (multipart.DESC_REQUEST, ["OFPST_DESC request"]),
    (multipart.TABLE_REQUEST, ["OFPST_TABLE request"]),
    (multipart.GROUP_REQUEST, ["OFPST_GROUP_DESC request"]),
    (multipart.PORT_REQUEST, ["OFPST_PORT_DESC request"]),
    (multipart.meter_request(), ["OFPST_METER_CONFIG request", "meter=all"]),
    (multipart.flow_request(table=4, match=IP), ["OFPST_FLOW request", "table=4", "ip"]),
    (multipart.flow_request(aggregate=True), ["OFPST_AGGREGATE request"]),
    (monitor_request(), ["OFPST_FLOW_MONITOR request", "flags=add,delete,modify,actions"]),
]


@pytest.mark.parametrize(("message", "words"), PRINTED, ids=lambda value: type(value).__name__)
def test_ovs_ofctl_reads_what_we_mean(ovs: Any, message: Any, words: list[str]) -> None:
    printed = ovs.ofctl("ofp-print", message.encode(7).hex())
    assert "decode error" not in printed
    for part in words:
        assert part in printed


def test_a_paused_packet_is_resumed_with_its_continuation(ovs: Any) -> None:
    assert "NXT_RESUME" in ovs.ofctl("ofp-print", Resume(PACKET).encode(7).hex())


def test_a_packet_that_is_not_paused_can_not_be_resumed() -> None:
    packet = PacketIn(data=b"", size_bytes=0, table=0, cookie=0, reason=0, metadata=b"")
    with pytest.raises(ValueError, match="not paused"):
        Resume(packet).encode(1)


def test_a_message_in_a_bundle_carries_its_own_xid(ovs: Any) -> None:
    printed = ovs.ofctl("ofp-print", bundle_add(3, 7, FLOW.encode(7)).hex())
    assert "bundle_id=0x3 flags=atomic ordered" in printed
    assert "OFPT_FLOW_MOD (OF1.4) (xid=0x7): ADD table:7" in printed


@pytest.mark.parametrize("mod", [FLOW, GROUP, METER, FlowMod(FlowCommand.DELETE, 0xFF)])
def test_modifications_come_back_as_they_were(mod: Any) -> None:
    [(kind, xid, body)] = Framer().receive(mod.encode(99))
    assert xid == 99
    assert decode(kind, body) == mod


PORT = bytes.fromhex(
    "00000003 0048 0000 020000000001 0000".replace(" ", "")
    + b"tap-eth0".ljust(16, b"\0").hex()
    + "00000001 00000004 0000 0020 00000000".replace(" ", "")
    + "0000280000000000000000000000000000989680 00989681".replace(" ", "")
)

RECEIVED: list[tuple[int, bytes, Any]] = [
    (MessageType.HELLO, bytes.fromhex("00010008 00000060"), Hello(frozenset({5, 6}))),
    (MessageType.HELLO, b"", Hello(frozenset())),
    (MessageType.ERROR, bytes.fromhex("00020009 050e0008"), OpenFlowError(2, 9, b"\x05\x0e\x00\x08")),
    (MessageType.ERROR, bytes.fromhex("ffff0025 00002320"), OpenFlowError(0xFFFF, 37, b"", 0x2320)),
    (MessageType.ECHO_REQUEST, b"hi", Echo(b"hi")),
    (MessageType.ECHO_REPLY, b"hi", Echo(b"hi", is_reply=True)),
    (
        MessageType.FEATURES_REPLY,
        bytes.fromhex("0000360724 3cfd46 00000000 fe 00 0000 0000024f 00000000".replace(" ", "")),
        Features(0x360724_3CFD46, 0, 254, 0, 0x24F),
    ),
    (MessageType.GET_CONFIG_REPLY, bytes.fromhex("0000ffff"), Config()),
    (MessageType.ROLE_REPLY, bytes.fromhex("00000002 00000000 0000000000000009"), Role(2, 9)),
    (MessageType.PORT_STATUS, bytes.fromhex("0200000000000000") + PORT, None),
    (
        MessageType.FLOW_REMOVED,
        bytes.fromhex(
            "000000000000005a 0064 02 07 00000003 00000000 003c 012c 0000000000000001 0000000000000040"
        )
        + put_match(IP),
        FlowRemoved(7, 100, IP, 0x5A, 2, 1, 64, 3),
    ),
    (MessageType.REQUESTFORWARD, GROUP.encode(3), ForeignGroupChange(False, 0, 9, GROUP.encode(3))),
    (MessageType.REQUESTFORWARD, METER.encode(3), ForeignGroupChange(True, 1, 4, METER.encode(3))),
    (MessageType.MULTIPART_REPLY, bytes.fromhex("0001000100000000ab"), MultipartPart(1, True, b"\xab")),
    (MessageType.BUNDLE_CONTROL, bytes.fromhex("0000000500010003"), BundleControl(5, 1)),
    (MessageType.TABLE_STATUS, b"whatever", Other(MessageType.TABLE_STATUS, b"whatever")),
    (MessageType.EXPERIMENTER, bytes.fromhex("0000232000000099"), None),
]


@pytest.mark.parametrize(("kind", "body", "meant"), RECEIVED)
def test_what_a_switch_sends_is_understood(kind: int, body: bytes, meant: Any) -> None:
    decoded = decode(kind, body)
    assert meant is None or decoded == meant


def test_a_port_is_understood_with_its_speed() -> None:
    status = decode(MessageType.PORT_STATUS, bytes.fromhex("0200000000000000") + PORT)
    assert isinstance(status, PortStatus)
    assert status.reason == 2
    assert status.port == multipart.PortDesc(
        3, bytes.fromhex("020000000001"), "tap-eth0", 1, 4, 0x989680, 0x989681
    )


def test_a_packet_in_of_either_kind_is_understood() -> None:
    old = (
        bytes.fromhex("ffffffff 003c 01 07 000000000000005a")
        + put_match(match(in_port=3))
        + b"\0\0"
        + ETHERNET
    )
    new = bytes.fromhex("000023200000001e") + b"".join(
        (
            put_property(0, ETHERNET),
            put_property(1, (60).to_bytes(4, "big")),
            put_property(3, b"\7"),
            put_property(4, bytes(4) + (0x5A).to_bytes(8, "big")),
            put_property(5, b"\1"),
            put_property(6, match(in_port=3)),
            put_property(7, b"why"),
            put_property(8, bytes(4) + b"continue"),
        )
    )
    meant = PacketIn(data=ETHERNET, size_bytes=60, table=7, cookie=0x5A, reason=1, metadata=match(in_port=3))

    assert decode(MessageType.PACKET_IN, old) == meant
    assert decode(MessageType.EXPERIMENTER, new) == PacketIn(
        data=ETHERNET,
        size_bytes=60,
        table=7,
        cookie=0x5A,
        reason=1,
        metadata=match(in_port=3),
        userdata=b"why",
        continuation=b"continue",
    )


@pytest.mark.parametrize("mod", [FLOW, GROUP, METER])
def test_a_stream_is_cut_into_messages_however_it_arrives(mod: Any) -> None:
    messages = [
        mod.encode(1),
        frame(MessageType.ECHO_REQUEST, 2, b"x" * 100),
        frame(MessageType.BARRIER_REPLY, 3),
    ]
    stream = b"".join(messages)
    whole = Framer().receive(stream)
    assert [HEADER_BYTES + len(body) for _, _, body in whole] == [len(message) for message in messages]

    framer = Framer()
    assert [f for byte in stream for f in framer.receive(bytes((byte,)))] == whole

    for cut in range(len(stream)):
        framer = Framer()
        assert framer.receive(stream[:cut]) + framer.receive(stream[cut:]) == whole


@pytest.mark.parametrize(
    ("stream", "field", "offset"),
    [
        ("05020007 00000000", "length", 2),
        ("04020008 00000000", "version", 0),
        ("0502000a 00000001 6869 05140007 00000002", "length", 12),
        ("474554202f20485454502f312e310d0a", "version", 0),
    ],
)
def test_what_is_not_openflow_is_malformed_and_says_where(stream: str, field: str, offset: int) -> None:
    with pytest.raises(MalformedMessage) as broken:
        Framer().receive(bytes.fromhex(stream))
    assert (broken.value.field, broken.value.offset) == (field, offset)


def test_the_offset_of_bad_bytes_counts_from_the_first_byte_of_the_stream() -> None:
    framer = Framer()
    framer.receive(frame(MessageType.BARRIER_REPLY, 1) * 3)
    with pytest.raises(MalformedMessage) as broken:
        framer.receive(bytes(8))
    assert (broken.value.field, broken.value.offset) == ("length", 26)


def test_a_message_longer_than_a_message_can_be_is_refused() -> None:
    with pytest.raises(ValueError, match="split it"):
        PacketOut(data=bytes(70_000), actions=b"").encode(1)


FLOWS_PART = b"".join(
    (48 + len(put_match(m)) + len(i)).to_bytes(2, "big") + bytes(46) + put_match(m) + i
    for m, i in ((FLOW.match, FLOW.instructions), (b"", b""), (IP, goto(4)))
)
UPDATES = (
    bytes.fromhex("0008000400000007")
    + (24 + len(put_match(IP)) + 8).to_bytes(2, "big")
    + bytes.fromhex("0001 0300 0000 0000 0064 00000000 000000000000005a")
    + put_match(IP)
    + goto(4)
    + bytes.fromhex("0008000500000000 0008000600000000")
)
DECODERS: list[tuple[Any, bytes]] = [
    (multipart.decode_flows, FLOWS_PART),
    (multipart.decode_aggregate, bytes(24)),
    (multipart.decode_tables, bytes(48)),
    (multipart.decode_groups, bytes.fromhex("0008010000000007") * 2),
    (multipart.decode_meters, bytes.fromhex("0018000100000007") + drop_band(5)),
    (multipart.decode_ports, PORT),
    (multipart.decode_desc, b"Nicira".ljust(1056, b"\0")),
    (decode_monitor, UPDATES),
    (decode_match, FLOW.match),
    (decode_instructions, FLOW.instructions),
    (decode_actions, output(1) + output(2)),
    (decode_packet_in2, bytes(8) + put_property(0, ETHERNET) + put_property(5, b"\1")),
    (lambda data: flow_text(0, 1, data, b""), FLOW.match),
    (lambda data: flow_text(0, 1, b"", data), FLOW.instructions),
    (lambda data: group_text(GroupMod(0, 1, 9, data)), GROUP.buckets),
    *((lambda data, kind=kind: decode(kind, data), body) for kind, body, _ in RECEIVED),
    *((lambda data, kind=kind: decode(kind, data), b"") for kind in MessageType),
]


def test_the_parts_of_answers_are_understood() -> None:
    for decoder, good in DECODERS:
        with contextlib.suppress(MalformedMessage) if not good else contextlib.nullcontext():
            decoder(good)
    flows = multipart.decode_flows(FLOWS_PART)
    assert [(flow.match, flow.instructions) for flow in flows] == [
        (FLOW.match, FLOW.instructions),
        (b"", b""),
        (IP, goto(4)),
    ]
    assert [type(event).__name__ for event in decode_monitor(UPDATES)] == [
        "ForeignFlowChange",
        "MonitorPaused",
        "MonitorResumed",
    ]


@given(st.sampled_from(range(len(DECODERS))), st.binary(max_size=120))
def test_random_bytes_are_malformed_or_understood(index: int, data: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        DECODERS[index][0](data)


@given(st.sampled_from(range(len(DECODERS))), st.data())
def test_damaged_messages_are_malformed_or_understood(index: int, data: st.DataObject) -> None:
    decoder, good = DECODERS[index]
    damaged = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    with contextlib.suppress(MalformedMessage):
        decoder(bytes(damaged[:cut] if data.draw(st.booleans()) else damaged))


@pytest.mark.parametrize(
    ("decoder", "good"),
    [
        (multipart.decode_flows, FLOWS_PART),
        (multipart.decode_groups, bytes.fromhex("0008010000000007") * 2),
        (multipart.decode_ports, PORT),
        (decode_monitor, UPDATES),
        (decode_match, FLOW.match),
        (decode_instructions, FLOW.instructions),
    ],
)
def test_a_list_that_is_cut_short_is_never_taken_for_whole(decoder: Any, good: bytes) -> None:
    n_whole = len(decoder(good))
    for cut in range(len(good)):
        try:
            entries = decoder(good[:cut])
        except MalformedMessage:
            continue
        assert len(entries) < n_whole


def test_every_truncated_message_is_malformed_or_understood() -> None:
    for decoder, good in DECODERS:
        for cut in range(len(good)):
            with contextlib.suppress(MalformedMessage):
                decoder(good[:cut])


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_a_stream_of_garbage_ends_in_malformed(pieces: list[bytes]) -> None:
    framer = Framer()
    with contextlib.suppress(MalformedMessage):
        for piece in pieces:
            framer.receive(piece)
