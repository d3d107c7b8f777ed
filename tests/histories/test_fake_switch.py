"""The switch in memory does what a real Open vSwitch does with the same modifications."""

from collections.abc import Sequence
from typing import Protocol

import pytest

from plait.agent.programming import actual, encoded
from plait.flows.flow import Flow, Group, flow
from plait.net.openflow import OpenFlowConnection
from plait.reconcile.switch import DeleteFlow, DeleteGroup, Mod, PutFlow, PutGroup
from plait.wire.openflow.actions import apply, goto, group, output
from plait.wire.openflow.mods import GroupType, bucket
from plait.wire.openflow.oxm import match

from .fake_switch import FakeSwitch

ONE = flow(10, 5, match(eth_dst=1), apply(output(1)))
TWO = flow(10, 5, match(eth_dst=2), apply(group(3)))
TWO_OTHERWISE = Flow(TWO.key, goto(20))
THREE = Group(3, GroupType.ALL, bucket(output(1)))
THREE_OTHERWISE = Group(3, GroupType.ALL, bucket(output(2)) + bucket(output(1)))


class RealSwitch(Protocol):
    def bridge(self) -> str: ...

    def openflow(self, bridge: str) -> str: ...


@pytest.mark.parametrize(
    ("portions", "is_refused"),
    [
        pytest.param(
            [[PutFlow(ONE, 7)], [PutFlow(Flow(ONE.key, b""), 8)]], False, id="a flow is replaced whole"
        ),
        pytest.param([[PutFlow(ONE, 7)], [PutFlow(ONE, 8)]], False, id="a cookie alone is replaced"),
        pytest.param([[PutFlow(ONE, 7)], [PutFlow(ONE, 7), DeleteFlow(ONE.key)]], False, id="order counts"),
        pytest.param([[DeleteFlow(ONE.key), DeleteGroup(3)]], False, id="what is not there is removed"),
        pytest.param(
            [[PutGroup(THREE), PutFlow(TWO, 1)], [PutGroup(THREE_OTHERWISE)]], False, id="a group changes"
        ),
        pytest.param(
            [[PutGroup(THREE), PutFlow(TWO, 1)], [DeleteGroup(3)]], False, id="a group takes its flows along"
        ),
        pytest.param(
            [[PutGroup(THREE), PutFlow(TWO, 1)], [PutFlow(TWO_OTHERWISE, 1), DeleteGroup(3)]],
            False,
            id="a flow that left its group stays",
        ),
        pytest.param(
            [[PutFlow(ONE, 7)], [DeleteFlow(ONE.key), PutFlow(TWO, 1)]], True, id="a missing group undoes all"
        ),
        pytest.param([[PutFlow(TWO, 1), PutGroup(THREE)]], True, id="a group has to come first"),
    ],
)
async def test_a_portion_leaves_the_same_behind(
    ovs: RealSwitch, portions: Sequence[Sequence[Mod]], is_refused: bool
) -> None:
    fake = FakeSwitch()
    real = await OpenFlowConnection.connect(ovs.openflow(ovs.bridge()))
    try:
        for portion in portions:
            reasons = fake.commit(portion)
            errors = await real.commit([encoded(mod) for mod in portion])
            assert {error.index for error in errors} == reasons.keys()
        assert bool(reasons) == is_refused
        assert {flow.key: flow for flow in map(actual, await real.dump_flows())} == fake.flows
        groups = {
            desc.group_id: Group(desc.group_id, desc.type, desc.buckets) for desc in await real.dump_groups()
        }
        assert groups == fake.groups
    finally:
        await real.close()
