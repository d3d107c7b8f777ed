"""What is built is, byte for byte, what a real switch prints back. The reconciler stands on this."""

import re
from typing import Any

import pytest

from plait.net.openflow import OpenFlowConnection
from plait.wire.openflow.actions import (
    dec_ttl,
    group,
    output,
    resubmit,
    set_field,
)
from plait.wire.openflow.framing import MessageType, frame
from plait.wire.openflow.mods import (
    FlowCommand,
    FlowMod,
    GroupCommand,
    GroupMod,
    GroupType,
    MeterCommand,
    MeterFlag,
    MeterMod,
    bucket,
    drop_band,
)
from plait.wire.openflow.refusals import error_name
from plait.wire.openflow.text import flow_text, group_text

from .canonical_flows import CASES


@pytest.fixture
async def switch(ovs: Any) -> Any:
    """A connection to a new bridge that has a group 5 and a meter 5."""
    name = ovs.bridge()
    connection = await OpenFlowConnection.connect(ovs.openflow(name))
    connection.name = name  # type: ignore[attr-defined]
    assert not await connection.send(
        [
            GroupMod(GroupCommand.ADD, 5, GroupType.ALL, bucket(output(1))),
            MeterMod(MeterCommand.ADD, 5, MeterFlag.KBPS, drop_band(100)),
        ]
    )
    yield connection
    await connection.close()


async def test_the_switch_prints_every_flow_back_as_it_was_sent(switch: Any) -> None:
    mods = [FlowMod(FlowCommand.ADD, 0, 1000 + i, i, 0, m, n) for i, (_, m, n) in enumerate(CASES)]

    refused = await switch.send(mods)
    assert [(CASES[error.index][0], error.text) for error in refused] == []

    flows = {flow.priority: flow for flow in await switch.dump_flows()}
    different = {
        name: (flow.match.hex(), sent_match.hex(), flow.instructions.hex(), sent_instructions.hex())
        for i, (name, sent_match, sent_instructions) in enumerate(CASES)
        if (flow := flows[1000 + i]).match != sent_match or flow.instructions != sent_instructions
    }
    assert different == {}


async def test_flows_read_as_ovs_ofctl_prints_them(ovs: Any, switch: Any) -> None:
    mods = [FlowMod(FlowCommand.ADD, 0, 1000 + i, 0, 0, m, n) for i, (_, m, n) in enumerate(CASES)]
    assert not await switch.send(mods)

    printed: dict[int, str] = {}
    for line in ovs.ofctl("--no-names", "--no-stats", "dump-flows", switch.name).splitlines():
        if "priority=" in line:
            printed[int(re.split(r"priority=|[, ]", line)[2])] = f"table=0, {line.strip()}"
    ours = {1000 + i: flow_text(0, 1000 + i, m, n) for i, (_, m, n) in enumerate(CASES)}

    # ovs-ofctl 3.1 leaves the contexts of NSH out where nsh_mdtype is not matched too.
    assert {i: text for i, text in ours.items() if text != printed[i] and "nsh_c" not in text} == {}


GROUPS = [
    GroupMod(GroupCommand.ADD, 1, GroupType.ALL, b""),
    GroupMod(GroupCommand.ADD, 2, GroupType.ALL, bucket(output(1)) + bucket(output(2), output(3))),
    GroupMod(
        GroupCommand.ADD,
        3,
        GroupType.SELECT,
        bucket(output(1), weight=1) + bucket(set_field("reg0", 5), resubmit(7), weight=100),
    ),
    GroupMod(GroupCommand.ADD, 4, GroupType.INDIRECT, bucket(dec_ttl(), output(1))),
    GroupMod(GroupCommand.ADD, 6, GroupType.FAST_FAILOVER, bucket(output(1), watch_port=1)),
    GroupMod(GroupCommand.ADD_OR_MODIFY, 7, GroupType.ALL, bucket()),
    GroupMod(GroupCommand.ADD, 8, GroupType.SELECT, bucket(group(2), weight=3, watch_group=2)),
]
METERS = [
    MeterMod(MeterCommand.ADD, 3, MeterFlag.KBPS, drop_band(100)),
    MeterMod(MeterCommand.ADD, 1, MeterFlag.KBPS | MeterFlag.BURST, drop_band(100, burst=200)),
    MeterMod(
        MeterCommand.ADD,
        2,
        MeterFlag.PACKETS_PER_S | MeterFlag.BURST | MeterFlag.STATS,
        drop_band(9, burst=5),
    ),
]


async def test_the_switch_prints_every_group_back_as_it_was_sent(switch: Any) -> None:
    assert await switch.commit(GROUPS) == []

    groups = {g.group_id: (g.type, g.buckets) for g in await switch.dump_groups()}
    assert {mod.group_id: (mod.type, mod.buckets) for mod in GROUPS}.items() <= groups.items()


async def test_groups_read_as_ovs_ofctl_prints_them(ovs: Any, switch: Any) -> None:
    assert await switch.commit(GROUPS) == []

    printed = {line.strip() for line in ovs.ofctl("--no-names", "dump-groups", switch.name).splitlines()}
    assert {group_text(mod) for mod in GROUPS} <= printed


async def test_the_switch_prints_every_meter_back_as_it_was_sent(switch: Any) -> None:
    assert await switch.send(METERS) == []

    meters = {m.meter_id: (m.flags, m.bands) for m in await switch.dump_meters()}
    assert {mod.meter_id: (mod.flags, mod.bands) for mod in METERS}.items() <= meters.items()


async def test_errors_are_called_what_ovs_ofctl_calls_them(ovs: Any) -> None:
    wanted = [(1, 6), (2, 9), (4, 9), (5, 3), (6, 8), (12, 3), (16, 0), (17, 13)]
    for kind, code in wanted:
        body = kind.to_bytes(2, "big") + code.to_bytes(2, "big") + bytes(8)
        assert error_name(kind, code) in ovs.ofctl("ofp-print", frame(MessageType.ERROR, 1, body).hex())
