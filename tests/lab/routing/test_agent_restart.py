"""The agent comes and goes under routed traffic: no packet is lost, no stream broken, no flow sent anew."""

import signal

import pytest
from tests.lab.restarting import outlived
from tests.lab.routing.conftest import VERSIONS, Routed, address, gateways, wait_reaches

from plait.lab.flowwatch import FlowWatch
from plait.lab.lab import Lab
from plait.lab.pinger import Pinger
from plait.lab.streams import TcpStream
from plait.model.entities import Transport

AGENT = "h1"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_an_agent_that_ends_and_starts_again_disturbs_no_routed_traffic(
    lab: Lab, routed: Routed, number: signal.Signals
) -> None:
    router, other = routed.router(), routed.router()
    one, two = routed.network(1, router), routed.network(2, router, transport=Transport.GENEVE)
    three = routed.network(3, other, transport=Transport.GRE)
    routed.peer(router, other)
    routed.peer(other, router)
    here, beside = routed.endpoint(one, AGENT), routed.endpoint(two, AGENT)
    far, joined = routed.endpoint(two, "h2"), routed.endpoint(three, "h3")
    middles = [routed.endpoint(one, "h2", security=False), routed.endpoint(two, "h3", security=False)]
    routed.route(router, "10.77.0.0/24", *(middle.v4 for middle in middles))
    for middle in middles:
        middle.exec("ip", "address", "add", "10.77.0.9/32", "dev", "lo")
    targets = [address(end, version) for end in (beside, far, joined) for version in VERSIONS]
    targets += [*gateways(1), *gateways(2), "10.77.0.9"]
    wait_reaches(here, *targets)
    wait_reaches(joined, here.v4, here.v6)
    host = lab.host(AGENT)
    before = host.switch.flows()
    watches = [FlowWatch.start(each) for each in lab.hosts.values()]
    pings = Pinger(here.namespace, targets, interval_s=0.001).start()
    streams = [
        TcpStream(here.namespace, far.namespace, far.v4).start(),
        TcpStream(joined.namespace, here.namespace, here.v6).start(),
        TcpStream(beside.namespace, here.namespace, here.v4).start(),
    ]
    assert pings.wait_answered(500)
    outlived(lab, host, number, pings, streams)
    assert [watch.stop() for watch in watches] == [[], [], []]
    assert host.switch.flows() == before
