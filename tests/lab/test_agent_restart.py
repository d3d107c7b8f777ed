"""The agent comes and goes; packets do not notice, and the switch is told nothing that it knows already."""

import signal

import pytest
from tests.lab.conftest import MakeEndpoint, MakeNetwork
from tests.lab.restarting import outlived

from plait.lab.endpoint import Endpoint
from plait.lab.flowwatch import FlowWatch
from plait.lab.lab import Lab
from plait.lab.pinger import Pinger
from plait.lab.streams import TcpStream
from plait.lab.waiting import wait_until

AGENT = "h1"


@pytest.fixture
def ends(network: MakeNetwork, endpoint: MakeEndpoint) -> list[Endpoint]:
    """Two endpoints on the host whose agent is ended, and one on each other host."""
    of = network()
    return [endpoint(of, host) for host in (AGENT, AGENT, "h2", "h3")]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_an_agent_that_ends_and_starts_again_loses_no_packet_and_sends_no_flow_mod(
    lab: Lab, ends: list[Endpoint], number: signal.Signals
) -> None:
    host = lab.host(AGENT)
    one, beside, two, three = ends
    targets = [end.v4 for end in (beside, two, three)] + [end.v6 for end in (beside, two, three)]
    for target in targets:
        assert one.ping(target).lost == 0
    before = host.switch.flows()
    groups = host.switch.ofctl("dump-groups", "br-int")
    watches = [FlowWatch.start(each) for each in lab.hosts.values()]
    pings = Pinger(one.namespace, targets, interval_s=0.001).start()
    streams = [
        TcpStream(one.namespace, two.namespace, two.v4).start(),
        TcpStream(three.namespace, one.namespace, one.v6).start(),
    ]
    assert pings.wait_answered(500)
    outlived(lab, host, number, pings, streams)
    assert [watch.stop() for watch in watches] == [[], [], []]
    assert host.switch.flows() == before
    assert host.switch.ofctl("dump-groups", "br-int") == groups


def test_an_agent_whose_networks_are_gone_when_it_is_back_becomes_ready_and_forgets_them(
    lab: Lab, network: MakeNetwork, endpoint: MakeEndpoint
) -> None:
    of = network()
    endpoint(of, AGENT)
    host = lab.host(AGENT)
    assert any(f"{of.vni:#x}" in flow for flow in host.switch.flows())
    host.kill_agent()
    lab.frontend.run(lambda intent: intent.networks.delete(of.id, cascade=True))
    host.start_agent()
    lab.wait_ready(AGENT)
    wait_until(lambda: not any(f"{of.vni:#x}" in flow for flow in host.switch.flows()), "its flows are gone")
    wait_until(lambda: lab.differences() == {}, "all agents agree with their switches")


def test_ports_that_came_and_went_while_the_agent_was_away_are_put_right_when_it_is_back(
    lab: Lab, network: MakeNetwork, endpoint: MakeEndpoint
) -> None:
    of = network()
    stays, goes, far = endpoint(of, AGENT), endpoint(of, AGENT), endpoint(of, "h2")
    assert far.ping(stays.v4).lost == far.ping(goes.v4).lost == 0
    host = lab.host(AGENT)
    host.kill_agent()
    gone = goes.v4
    lab.frontend.run(lambda intent: intent.ports.delete(goes.record.port or ""))
    host.start_agent()
    lab.wait_ready(AGENT)
    came = endpoint(of, AGENT)
    assert far.ping(stays.v4).lost == far.ping(came.v4).lost == 0
    assert gone in (came.v4, goes.v4)
    wait_until(
        lambda: goes.device not in host.switch.vsctl("list-ports", "br-int"), "the deleted port is unplugged"
    )
    wait_until(lambda: lab.differences() == {}, "all agents agree with their switches")
