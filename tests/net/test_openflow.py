"""The connection against a real switch, and against peers that misbehave."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from plait.net.openflow import (
    EVENTS_MAX,
    PACKETS_MAX,
    EventsLost,
    OpenFlowConnection,
    SwitchRefused,
    SwitchUnavailable,
)
from plait.wire.openflow.actions import apply, controller, group, load, output, resubmit
from plait.wire.openflow.framing import Framer, MessageType, frame
from plait.wire.openflow.messages import ForeignGroupChange, Hello
from plait.wire.openflow.mods import (
    FlowCommand,
    FlowFlag,
    FlowMod,
    GroupCommand,
    GroupMod,
    GroupType,
    MeterCommand,
    MeterFlag,
    MeterMod,
    bucket,
    delete_all_flows,
    drop_band,
)
from plait.wire.openflow.monitor import ForeignFlowChange
from plait.wire.openflow.multipart import MultipartRequest, MultipartType
from plait.wire.openflow.oxm import decode_match, match
from plait.wire.openflow.packets import PacketIn

FRAME = bytes.fromhex("ffffffffffff0200000000010800") + bytes(46)
TIMEOUT_S = 20.0


def flow(priority: int, instructions: bytes = b"", *, table: int = 0, **fields: Any) -> FlowMod:
    return FlowMod(FlowCommand.ADD, table, priority, 0, 0, match(**fields), instructions)


NO_SUCH_GROUP = flow(7, apply(group(4711)))
NO_PREREQUISITE = FlowMod(FlowCommand.ADD, 0, 8, match=bytes.fromhex("8000140106"))


class Bridge:
    """A bridge of the test's own, and connections to it."""

    def __init__(self, ovs: Any) -> None:
        self.ovs = ovs
        self.name = ovs.bridge()
        self.target = ovs.openflow(self.name)
        self.connections: list[OpenFlowConnection] = []

    async def connect(self, **options: Any) -> OpenFlowConnection:
        connection = await OpenFlowConnection.connect(self.target, **options)
        self.connections.append(connection)
        return connection


@pytest.fixture
async def bridge(ovs: Any) -> AsyncIterator[Bridge]:
    bridge = Bridge(ovs)
    yield bridge
    for connection in bridge.connections:
        await connection.close()


async def next_event(connection: OpenFlowConnection) -> Any:
    async with asyncio.timeout(TIMEOUT_S):
        return await anext(connection.events())


async def test_it_says_who_the_switch_is(bridge: Bridge) -> None:
    switch = await bridge.connect()

    assert switch.features.n_tables == 254
    assert (await switch.describe()).hardware == "Open vSwitch"
    assert [port.name for port in await switch.dump_ports()] == [bridge.name]
    assert len(await switch.dump_tables()) == 254
    assert await switch.dump_meters() == []


async def test_a_bundle_is_carried_out_as_a_whole(bridge: Bridge) -> None:
    switch = await bridge.connect()
    mods = [
        GroupMod(GroupCommand.ADD, 1, GroupType.ALL, bucket(output(1))),
        flow(1, apply(group(1))),
        flow(2, apply(output(3)), in_port=4),
    ]

    assert await switch.commit(mods) == []

    flows = {flow.priority: flow.instructions for flow in await switch.dump_flows()}
    assert flows == {1: apply(group(1)), 2: apply(output(3))}
    assert [group.group_id for group in await switch.dump_groups()] == [1]


@pytest.mark.parametrize(
    ("bad", "text"), [(NO_SUCH_GROUP, "OFPBAC_BAD_OUT_GROUP"), (NO_PREREQUISITE, "OFPBMC_BAD_PREREQ")]
)
async def test_one_bad_message_leaves_nothing_of_its_bundle(bridge: Bridge, bad: FlowMod, text: str) -> None:
    switch = await bridge.connect()
    assert await switch.commit([flow(1)]) == []

    [error] = await switch.commit([flow(2), GroupMod(GroupCommand.ADD, 9), bad, delete_all_flows()])

    assert (error.index, error.mod, error.text) == (2, bad, text)
    assert [flow.priority for flow in await switch.dump_flows()] == [1]
    assert await switch.dump_groups() == []


async def test_after_a_refused_bundle_the_next_one_is_carried_out(bridge: Bridge) -> None:
    switch = await bridge.connect()
    for _ in range(20):
        assert len(await switch.commit([flow(1), NO_SUCH_GROUP])) == 1
    assert await switch.commit([flow(1)]) == []
    assert (await switch.count_flows()).n_flows == 1


async def test_sent_plainly_the_good_ones_are_carried_out(bridge: Bridge) -> None:
    switch = await bridge.connect()

    errors = await switch.send([flow(1), NO_SUCH_GROUP, flow(2), NO_PREREQUISITE])

    assert [(error.index, error.text) for error in errors] == [
        (1, "OFPBAC_BAD_OUT_GROUP"),
        (3, "OFPBMC_BAD_PREREQ"),
    ]
    assert sorted(flow.priority for flow in await switch.dump_flows()) == [1, 2]


async def test_many_commits_at_once_keep_apart(bridge: Bridge) -> None:
    switch = await bridge.connect()
    batches = [
        [flow(100 * i + j) for j in range(50)] + ([NO_SUCH_GROUP] if i % 3 == 0 else []) for i in range(12)
    ]

    results = await asyncio.gather(*(switch.commit(batch) for batch in batches), switch.barrier())

    for i, errors in enumerate(results[:-1]):
        assert [error.index for error in errors or ()] == ([50] if i % 3 == 0 else [])
    assert (await switch.count_flows()).n_flows == 50 * sum(1 for i in range(12) if i % 3)


async def test_flows_are_found_by_cookie_and_table(bridge: Bridge) -> None:
    switch = await bridge.connect()
    mods = [FlowMod(FlowCommand.ADD, table, 1, cookie) for table in (0, 5) for cookie in (0x10,)]
    await switch.commit([*mods, FlowMod(FlowCommand.ADD, 5, 2, 0x20)])

    assert {(f.table, f.cookie) for f in await switch.dump_flows(cookie=0x10, cookie_mask=0xF0)} == {
        (0, 0x10),
        (5, 0x10),
    }
    assert {(f.table, f.cookie) for f in await switch.dump_flows(table=5)} == {(5, 0x10), (5, 0x20)}
    assert (await switch.count_flows(table=5)).n_flows == 2


@pytest.mark.parametrize("expected", [0, 30_000])
async def test_many_flows_come_in_parts_each_once_whatever_was_expected(
    bridge: Bridge, expected: int
) -> None:
    switch = await bridge.connect()
    cookies = [0, 0x504C << 48 | 0xFFF, *range(7, 100)]
    await switch.commit(
        [FlowMod(FlowCommand.ADD, 3, priority, cookie) for priority, cookie in enumerate(cookies, 1)]
    )

    flows = await switch.dump_many_flows(expected)

    assert sorted((flow.priority, flow.cookie) for flow in flows) == list(enumerate(cookies, 1))


async def test_ten_thousand_flows_come_back_as_they_were_sent(bridge: Bridge) -> None:
    switch = await bridge.connect()
    mods = [flow(100, apply(output(1)), eth_type=0x0800, ipv4_dst=i) for i in range(10_000)]

    assert await switch.commit(mods) == []

    flows = {f.match: f.instructions for f in await switch.dump_flows()}
    assert flows == {mod.match: mod.instructions for mod in mods}


async def test_the_monitor_tells_what_others_do_and_not_what_we_do(bridge: Bridge) -> None:
    switch, ofctl = await bridge.connect(), bridge.ovs.ofctl
    await switch.monitor()
    await switch.commit([flow(1), GroupMod(GroupCommand.ADD, 3), flow(2, apply(group(3)))])
    await switch.send(
        [flow(5, apply(output(1))), MeterMod(MeterCommand.ADD, 1, MeterFlag.KBPS, drop_band(9))]
    )
    await switch.commit([FlowMod(FlowCommand.DELETE_STRICT, 0, 1), flow(5, apply(output(2)))])

    ofctl("add-flow", bridge.name, "table=3,priority=9,cookie=0x77,ip,actions=output:5")
    ofctl("mod-flows", bridge.name, "table=3,ip,actions=output:6")
    ofctl("del-flows", bridge.name, "table=3")
    ofctl("add-group", bridge.name, "group_id=8,type=all,bucket=actions=output:1")
    ofctl("add-meter", bridge.name, "meter=6,kbps,band=type=drop,rate=100")

    events = [await next_event(switch) for _ in range(5)]
    assert [
        (e.kind, e.table, e.priority, e.cookie, e.match, e.instructions)
        for e in events
        if isinstance(e, ForeignFlowChange)
    ] == [
        ("added", 3, 9, 0x77, match(eth_type=0x0800), apply(output(5))),
        ("modified", 3, 9, 0x77, match(eth_type=0x0800), apply(output(6))),
        ("removed", 3, 9, 0x77, match(eth_type=0x0800), apply(output(6))),
    ]
    assert [(e.is_meter, e.command, e.number) for e in events if isinstance(e, ForeignGroupChange)] == [
        (False, GroupCommand.ADD, 8),
        (True, MeterCommand.ADD, 6),
    ]


async def test_what_vanishes_with_our_own_group_is_told_with_its_reason(bridge: Bridge) -> None:
    switch = await bridge.connect()
    await switch.monitor()
    await switch.commit([GroupMod(GroupCommand.ADD, 1), flow(5, apply(group(1)))])
    await switch.commit([GroupMod(GroupCommand.DELETE, 1)])

    event = await next_event(switch)

    assert (event.kind, event.priority, event.reason) == ("removed", 5, 3)
    assert await switch.dump_flows() == []


async def test_a_flow_that_asked_for_it_tells_of_its_end(bridge: Bridge) -> None:
    switch = await bridge.connect()
    await switch.monitor()
    await switch.send([FlowMod(FlowCommand.ADD, 4, 7, 0x5A, flags=FlowFlag.SEND_FLOW_REM)])
    await switch.send([FlowMod(FlowCommand.DELETE, 4)])

    removed = await next_event(switch)

    assert (removed.table, removed.priority, removed.cookie, removed.reason) == (4, 7, 0x5A, 2)


async def test_a_new_port_is_told(bridge: Bridge) -> None:
    switch = await bridge.connect()
    await switch.monitor()
    bridge.ovs.vsctl(
        "add-port",
        bridge.name,
        f"{bridge.name}p",
        "--",
        "set",
        "interface",
        f"{bridge.name}p",
        "type=internal",
    )

    event = await next_event(switch)

    assert (event.reason, event.port.name) == (0, f"{bridge.name}p")


async def test_a_packet_comes_with_userdata_and_goes_on_when_it_is_resumed(bridge: Bridge) -> None:
    switch = await bridge.connect()
    why = controller(userdata=b"why", pause=True) + load("reg0", 0, 32, 7) + controller(userdata=b"resumed")
    assert await switch.commit([flow(1, apply(load("reg1", 0, 32, 5), why))]) == []
    await switch.packet_out(FRAME, resubmit(0), in_port=4)

    paused = await next_event(switch)
    assert isinstance(paused, PacketIn)
    assert (paused.data, paused.size_bytes, paused.userdata) == (FRAME, len(FRAME), b"why")
    assert paused.continuation is not None
    assert {"in_port": 4, "reg1": 5}.items() <= decode_match(paused.metadata).items()

    await switch.resume(paused)
    resumed = await next_event(switch)
    assert resumed.userdata == b"resumed"
    assert {"in_port": 4, "reg0": 7, "reg1": 5}.items() <= decode_match(resumed.metadata).items()


async def test_packets_that_nobody_reads_are_lost_and_no_events_with_them(bridge: Bridge) -> None:
    switch = await bridge.connect()
    await switch.monitor()
    other = await bridge.connect()
    assert await switch.commit([flow(1, apply(controller(userdata=b"why")))]) == []
    for _ in range(PACKETS_MAX + 500):
        await switch.packet_out(FRAME, resubmit(0), in_port=4)
    await switch.barrier()
    assert await other.commit([flow(1, eth_type=0x0800, ipv4_dst=1)]) == []
    await switch.barrier()

    events = [await next_event(switch) for _ in range(PACKETS_MAX + 1)]
    assert all(isinstance(event, PacketIn) for event in events[:-1])
    assert isinstance(events[-1], ForeignFlowChange)


async def test_events_that_nobody_reads_are_counted_not_kept(bridge: Bridge) -> None:
    switch = await bridge.connect()
    await switch.monitor()
    other = await bridge.connect()
    n_changes = EVENTS_MAX + 500
    for start in range(0, n_changes, 1000):
        assert (
            await other.commit(
                [flow(1, eth_type=0x0800, ipv4_dst=i) for i in range(start, min(start + 1000, n_changes))]
            )
            == []
        )
    await switch.barrier()

    events = [await next_event(switch) for _ in range(EVENTS_MAX + 1)]

    assert events[-1] == EventsLost(500)
    assert await switch.barrier() is None


async def test_a_refused_question_is_an_error_and_the_connection_goes_on(bridge: Bridge) -> None:
    switch = await bridge.connect()
    with pytest.raises(SwitchRefused, match="OFPBRC_BAD_LEN"):
        await switch._link.ask(MultipartRequest(MultipartType.FLOW, b"short"))
    await switch.barrier()


async def test_a_bridge_that_speaks_another_version_is_unavailable_with_the_way_out(bridge: Bridge) -> None:
    bridge.ovs.vsctl("set", "bridge", bridge.name, "protocols=OpenFlow10,OpenFlow13")
    with pytest.raises(SwitchUnavailable, match=r"allow OpenFlow14"):
        await bridge.connect()


async def test_a_deleted_bridge_ends_events_and_open_calls(bridge: Bridge) -> None:
    switch = await bridge.connect()
    bridge.ovs.vsctl("del-br", bridge.name)

    async with asyncio.timeout(TIMEOUT_S):
        async for _ in switch.events():
            pass
    with pytest.raises(SwitchUnavailable, match=r"closed the connection|reset"):
        await switch.barrier()
    with pytest.raises(SwitchUnavailable):
        await switch.commit([flow(1)])


async def test_closing_ends_events_and_open_calls(bridge: Bridge) -> None:
    switch = await bridge.connect()

    async def events() -> list[Any]:
        return [event async for event in switch.events()]

    reader = asyncio.create_task(events())
    asking = asyncio.create_task(switch.dump_flows())
    await asyncio.sleep(0)
    await switch.close()

    async with asyncio.timeout(TIMEOUT_S):
        assert await reader == []
        with pytest.raises(SwitchUnavailable, match="closed here"):
            await asking
    await switch.close()


async def test_events_have_one_reader(bridge: Bridge) -> None:
    switch = await bridge.connect()
    first = asyncio.create_task(anext(switch.events()))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="have a reader already"):
        await anext(switch.events())
    await switch.close()
    with pytest.raises(StopAsyncIteration):
        await first


async def test_a_cancelled_call_leaves_the_connection_usable(bridge: Bridge) -> None:
    switch = await bridge.connect()
    call = asyncio.create_task(switch.commit([flow(i) for i in range(1000)]))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await switch.barrier()
    assert switch._link._waiting == {}
    assert await switch.commit([delete_all_flows()]) == []
    assert await switch.dump_flows() == []


@pytest.mark.parametrize(
    "target", ["unix:/nonexistent/br.mgmt", "tcp:127.0.0.1:1", "nonsense", "unix:/etc/passwd"]
)
async def test_a_wrong_target_is_unavailable(target: str) -> None:
    with pytest.raises(SwitchUnavailable, match="no switch at"):
        await OpenFlowConnection.connect(target)


@contextlib.asynccontextmanager
async def peer(
    path: Path, talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]
) -> AsyncIterator[str]:
    """Something else than a switch at the end of a socket."""
    server = await asyncio.start_unix_server(talk, path)
    try:
        yield f"unix:{path}"
    finally:
        server.close()


async def test_a_peer_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with peer(tmp_path / "mute", talk) as target:
        with pytest.raises(SwitchUnavailable, match=r"greeting|silent"):
            await OpenFlowConnection.connect(target, timeout_s=0.05)


@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"\x05\x00\x00\x04\x00\x00\x00\x00"]
)
async def test_a_peer_that_is_no_switch_is_unavailable(tmp_path: Path, said: bytes) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        writer.close()

    async with peer(tmp_path / "other", talk) as target:
        with pytest.raises(SwitchUnavailable):
            await OpenFlowConnection.connect(target)


async def test_a_switch_that_falls_silent_is_lost(tmp_path: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        framer = Framer()
        writer.write(Hello().encode(1))
        while data := await reader.read(65536):
            for kind, xid, _ in framer.receive(data):
                if kind == MessageType.FEATURES_REQUEST:
                    writer.write(frame(MessageType.FEATURES_REPLY, xid, bytes(24)))
        writer.close()

    async with peer(tmp_path / "silent", talk) as target:
        switch = await OpenFlowConnection.connect(target, probe_s=0.02)
        with pytest.raises(SwitchUnavailable, match="silent"):
            await switch.barrier()
        assert [event async for event in switch.events()] == []
