"""The switch dies, or somebody's hand is in it: all comes back by itself."""

import pytest
from tests.lab.conftest import MakeEndpoint, MakeNetwork

from plait.lab.lab import Lab
from plait.lab.waiting import wait_until

HOST = "h1"


def test_a_vswitchd_that_was_killed_has_everything_back_without_help(
    lab: Lab, network: MakeNetwork, endpoint: MakeEndpoint
) -> None:
    of = network()
    one, beside, two = endpoint(of, HOST), endpoint(of, HOST, multicast=("239.1.1.1",)), endpoint(of, "h2")
    targets = [beside.v4, two.v4, beside.v6, two.v6]
    assert all(one.ping(target).lost == 0 for target in targets)
    host = lab.host(HOST)
    before = host.switch.flows()
    host.restart_vswitchd()
    wait_until(lambda: all(one.reaches(target) for target in targets), "everybody is reached again")
    wait_until(lambda: host.switch.flows() == before, "the flows are as they were")
    assert all(one.ping(target, count=10).lost == 0 for target in targets)
    assert all(two.ping(target).lost == 0 for target in one.addresses)
    wait_until(lambda: lab.differences() == {}, "all agents agree with their switches")


def test_an_ovsdb_server_that_was_killed_is_connected_again_without_help(
    lab: Lab, network: MakeNetwork, endpoint: MakeEndpoint
) -> None:
    of = network()
    one, two = endpoint(of, HOST), endpoint(of, "h2")
    host = lab.host(HOST)
    before = host.switch.flows()
    # Open vSwitch itself forwards nothing meanwhile where its main thread is the datapath, as it is here.
    host.switch.kill_ovsdb()
    host.switch.start_ovsdb()
    wait_until(lambda: one.reaches(two.v4), "traffic goes on")
    assert host.switch.flows() == before
    late = endpoint(of, HOST)
    assert two.ping(late.v4).lost == two.ping(one.v4).lost == 0
    lab.wait_ready(HOST)
    wait_until(lambda: lab.differences() == {}, "all agents agree with their switches")


@pytest.mark.parametrize(
    "by_hand",
    [
        ("del-flows", "br-int"),
        ("del-flows", "br-int", "table=30"),
        ("add-flow", "br-int", "table=0,priority=40000,actions=drop"),
        ("add-flow", "br-int", "table=30,priority=9,actions=drop"),
        ("mod-flows", "br-int", "table=30,actions=drop"),
        ("mod-flows", "br-int", "table=0,actions=drop"),
        ("del-groups", "br-int"),
        ("add-group", "br-int", "group_id=77,type=all,bucket=actions=drop"),
    ],
    ids=" ".join,
)
def test_what_somebody_did_to_the_flows_by_hand_is_undone_and_said(
    lab: Lab, network: MakeNetwork, endpoint: MakeEndpoint, by_hand: tuple[str, ...]
) -> None:
    of = network()
    one, two = endpoint(of, HOST, multicast=("239.1.1.1",)), endpoint(of, "h2", multicast=("239.1.1.1",))
    assert one.ping(two.v4).lost == 0
    host = lab.host(HOST)
    flows, groups = host.switch.flows(), host.switch.ofctl("dump-groups", "br-int")
    warnings = len(_warnings(lab))
    command, bridge, *arguments = by_hand
    host.switch.ofctl(command, bridge, *arguments)
    wait_until(
        lambda: (host.switch.flows(), host.switch.ofctl("dump-groups", "br-int")) == (flows, groups),
        f"{' '.join(by_hand)} is undone",
    )
    assert one.ping(two.v4).lost == 0
    wait_until(lambda: len(_warnings(lab)) > warnings, "the agent says that it repaired something")


def _warnings(lab: Lab) -> list[str]:
    return [line for line in lab.host(HOST).agent_log.read_text().splitlines() if '"warning"' in line]


def test_a_port_taken_out_of_the_bridge_by_hand_is_put_back(
    lab: Lab, network: MakeNetwork, endpoint: MakeEndpoint
) -> None:
    of = network()
    one, two = endpoint(of, HOST), endpoint(of, "h2")
    host = lab.host(HOST)
    for what in (one.device, "plait-vxlan"):
        host.switch.vsctl("del-port", "br-int", what)
        wait_until(lambda: one.reaches(two.v4), f"{what} is back")
    host.switch.vsctl("del-br", "br-int")
    wait_until(lambda: one.reaches(two.v4), "the bridge is back")
    wait_until(lambda: lab.differences() == {}, "all agents agree with their switches")
