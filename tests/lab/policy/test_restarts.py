"""Policy through restarts and changes of hands: nothing lost, nothing let in, nothing inherited."""

import signal

import pytest
from tests.lab.conftest import MakeEndpoint, MakeNetwork
from tests.lab.policy.conftest import MakeGroup, MakeRule
from tests.lab.policy.probes import address_of, connected, tcp, udp
from tests.lab.restarting import outlived

from plait.intent import PortSpec
from plait.lab.endpoint import Endpoint
from plait.lab.flowwatch import FlowWatch
from plait.lab.lab import Lab
from plait.lab.pinger import Pinger
from plait.lab.streams import TcpStream
from plait.lab.waiting import wait_until
from plait.model.policy import Direction, Protocol

AGENT = "h1"
CHUNK_BYTES = 2048
"""So little that a busy machine has room for it while its switch waits for a turn."""


def ofport(end: Endpoint) -> int:
    return int(end.host.switch.vsctl("get", "interface", end.device, "ofport"))


def connections(end: Endpoint, zone: int) -> list[str]:
    """What the connection tracker of an endpoint's host knows in a zone."""
    lines = end.host.switch.appctl("dpctl/dump-conntrack", f"zone={zone}").splitlines()
    return [line for line in lines if line.strip()]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_an_agent_that_ends_and_starts_again_loses_nothing_of_filtered_streams_and_sends_nothing(
    lab: Lab,
    network: MakeNetwork,
    group: MakeGroup,
    endpoint: MakeEndpoint,
    rule: MakeRule,
    number: signal.Signals,
) -> None:
    of, web, clients = network(), group(), group()
    server = endpoint(of, AGENT, groups=(web.id,))
    near, far = (endpoint(of, host, groups=(clients.id,)) for host in (AGENT, "h2"))
    rule(web, Direction.INGRESS, remote_group=clients.id)
    host = lab.host(AGENT)
    before = host.switch.flows()
    pings = Pinger(far.namespace, [server.v4, server.v6], interval_s=0.001).start()
    streams = [
        TcpStream(far.namespace, server.namespace, server.v4, chunk_bytes=CHUNK_BYTES).start(),
        TcpStream(near.namespace, server.namespace, server.v6, chunk_bytes=CHUNK_BYTES).start(),
    ]
    assert pings.wait_answered(200)
    watch = FlowWatch.start(host)
    outlived(lab, host, number, pings, streams, received_bytes=1 << 15)
    assert watch.stop() == []
    assert host.switch.flows() == before
    assert all(connections(end, ofport(end)) for end in (server, near))


def test_a_switch_that_starts_again_lets_in_what_rules_allow_and_nothing_else(
    lab: Lab, network: MakeNetwork, group: MakeGroup, endpoint: MakeEndpoint, rule: MakeRule, family: int
) -> None:
    of, guarded = network(), group()
    server, client = endpoint(of, AGENT, groups=(guarded.id,)), endpoint(of, "h2")
    rule(guarded, Direction.INGRESS, protocol=Protocol.TCP, ports=(80, 81))
    host = lab.host(AGENT)
    forbidden = Pinger(client.namespace, [address_of(server, family)], interval_s=0.005).start()
    with connected(client, server, family) as connection:
        assert connection.carries()
        host.restart_vswitchd()
        wait_until(connection.carries, "the connection goes on")
        assert tcp(client, server, family, 81)
        assert not tcp(client, server, family, 82)
    assert forbidden.stop().received == 0
    wait_until(lambda: lab.differences() == {}, "all agents agree with their switches")


def test_a_port_that_takes_a_number_over_inherits_no_connections(
    lab: Lab, network: MakeNetwork, group: MakeGroup, endpoint: MakeEndpoint, family: int
) -> None:
    of, guarded = network(), group()
    first, far = endpoint(of, AGENT, groups=(guarded.id,)), endpoint(of, "h2")
    assert udp(first, far, family)
    zone = ofport(first)
    assert connections(first, zone)
    first.delete()
    wait_until(lambda: not connections(first, zone), "the zone is flushed when its port goes")
    second = endpoint(of, AGENT, groups=(guarded.id,))
    assert ofport(second) == zone
    assert connections(second, zone) == []
    assert udp(second, far, family)


def test_what_changed_hands_while_the_agent_was_away_is_flushed_and_what_stayed_is_not(
    lab: Lab, network: MakeNetwork, group: MakeGroup, endpoint: MakeEndpoint
) -> None:
    of, guarded = network(), group()
    stays, goes = (endpoint(of, AGENT, groups=(guarded.id,)) for _ in range(2))
    far = endpoint(of, "h2")
    for end in (stays, goes):
        assert udp(end, far, 4)
    kept, zone = ofport(stays), ofport(goes)
    host = lab.host(AGENT)
    host.kill_agent()
    ref = goes.record.port
    assert ref is not None
    lab.frontend.run(lambda intent: intent.ports.delete(ref))
    # Somebody else takes the number, as a hypervisor would, for a port that the agent will find there.
    host.switch.vsctl("del-port", "br-int", goes.device)
    spec = PortSpec(name="guest", network=of.id, host=AGENT, groups=(guarded.id,))
    port = lab.frontend.run(lambda intent: intent.ports.create(spec))
    host.switch.vsctl(
        *("add-port", "br-int", goes.device, "--", "set", "interface", goes.device),
        f"ofport_request={zone}",
        f"external_ids:iface-id={port.id}",
    )
    assert ofport(goes) == zone
    assert connections(goes, zone)
    host.start_agent()
    lab.wait_ready(AGENT)
    lab.frontend.run(lambda intent: intent.ports.wait_up(port, timeout_s=20))
    assert connections(goes, zone) == []
    assert connections(stays, kept)
    lab.frontend.run(lambda intent: intent.ports.delete(port.id))
    host.switch.vsctl("--if-exists", "del-port", "br-int", goes.device)
