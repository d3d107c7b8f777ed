"""Policy counts for what is established, too: a change cuts it, or lets it go on, at once."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.lab.conftest import MakeEndpoint, MakeNetwork
from tests.lab.policy.conftest import MakeGroup, MakeRule, removed
from tests.lab.policy.probes import PATIENCE_S, address_of, connected, ping, tcp, udp

from plait.lab import netns
from plait.lab.endpoint import Endpoint
from plait.lab.lab import Lab
from plait.lab.pinger import Pinger
from plait.lab.waiting import wait_until
from plait.model.policy import Action, Direction, Protocol


@pytest.mark.parametrize("client_host", ["h1", "h2"])
def test_a_rule_that_is_removed_cuts_a_tcp_connection_and_a_ping_that_it_let_in(
    lab: Lab,
    network: MakeNetwork,
    group: MakeGroup,
    endpoint: MakeEndpoint,
    rule: MakeRule,
    family: int,
    client_host: str,
) -> None:
    of, guarded = network(), group()
    server, client = endpoint(of, "h1", groups=(guarded.id,)), endpoint(of, client_host)
    web = rule(guarded, Direction.INGRESS, protocol=Protocol.TCP, ports=(80, 80))
    echo = rule(guarded, Direction.INGRESS, protocol=Protocol.ICMP)
    pings = Pinger(client.namespace, [address_of(server, family)], interval_s=0.01).start()
    with connected(client, server, family) as connection:
        assert connection.carries()
        assert pings.wait_answered(3)
        removed(lab, echo, "h1")
        assert connection.carries()
        removed(lab, web, "h1")
        assert not connection.carries()
        assert not pings.wait_answered(1, timeout_s=PATIENCE_S)
        rule(guarded, Direction.INGRESS, protocol=Protocol.TCP)
        wait_until(connection.carries, "another rule lets the same connection go on")
    pings.stop()
    assert not ping(client, server, family)


def test_a_rule_that_is_removed_leaves_what_another_one_allows(
    lab: Lab, network: MakeNetwork, group: MakeGroup, endpoint: MakeEndpoint, rule: MakeRule, family: int
) -> None:
    of, guarded = network(), group()
    server, client = endpoint(of, "h1", groups=(guarded.id,)), endpoint(of, "h2")
    web = rule(guarded, Direction.INGRESS, protocol=Protocol.TCP, ports=(80, 80), priority=3)
    rule(guarded, Direction.INGRESS, protocol=Protocol.TCP, ports=(0, 1023))
    with connected(client, server, family) as connection:
        assert connection.carries()
        removed(lab, web, "h1")
        assert connection.carries()


def test_a_server_is_not_heard_any_more_when_the_client_may_not_ask_it_any_more(
    lab: Lab, network: MakeNetwork, group: MakeGroup, endpoint: MakeEndpoint, rule: MakeRule, family: int
) -> None:
    """The answers alone go on: the mirrored egress rule decides on them."""
    of, asking = network(), group(egress=Action.DENY)
    client, server = endpoint(of, "h1", groups=(asking.id,)), endpoint(of, "h2")
    ask = rule(asking, Direction.EGRESS, protocol=Protocol.UDP, ports=(53, 53))
    with stream_to(client, server, family) as (server_says, client_hears):
        wait_until(lambda: server_says() and client_hears(), "the server's stream comes to the client")
        removed(lab, ask, "h1")
        server_says()
        assert not client_hears()
        rule(asking, Direction.EGRESS, protocol=Protocol.UDP, ports=(0, 1023))
        wait_until(lambda: server_says() and client_hears(), "the stream goes on")


@contextmanager
def stream_to(client: Endpoint, server: Endpoint, family: int) -> Iterator[tuple[object, object]]:
    """A UDP conversation that the client began: functions that let the server speak, and the client hear."""
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    there = netns.inside(client.namespace, lambda: socket.socket(kind, socket.SOCK_DGRAM))
    here = netns.inside(server.namespace, lambda: socket.socket(kind, socket.SOCK_DGRAM))
    with there, here:
        here.bind((address_of(server, family), 53))
        here.settimeout(5)
        there.settimeout(PATIENCE_S)
        there.sendto(b"begin", (address_of(server, family), 53))
        _, asker = here.recvfrom(100)
        last = b""

        def says() -> bool:
            nonlocal last
            last = os.urandom(16)
            here.sendto(last, asker)
            return True

        def hears() -> bool:
            try:
                while there.recv(100) != last:
                    pass
            except OSError:
                return False
            return True

        yield says, hears


def test_groups_are_connected_and_cut_by_one_command_and_what_is_established_is_cut_too(
    lab: Lab, network: MakeNetwork, group: MakeGroup, endpoint: MakeEndpoint, family: int
) -> None:
    of, web, db = network(), group(), group()
    one, other = endpoint(of, "h1", groups=(web.id,)), endpoint(of, "h2", groups=(db.id,))
    assert not tcp(one, other, family)
    lab.frontend.run(lambda intent: intent.connections.connect(web.name, db.name))
    wait_until(lambda: tcp(one, other, family) and tcp(other, one, family), "both reach each other")
    with connected(one, other, family) as connection:
        assert connection.carries()
        lab.frontend.run(lambda intent: intent.connections.disconnect(web.name, db.name))
        wait_until(lambda: not connection.carries(), "the connection is cut")
    assert not tcp(one, other, family)
    assert not tcp(other, one, family)


def test_groups_that_reach_everybody_are_cut_from_each_other_alone(
    lab: Lab, network: MakeNetwork, group: MakeGroup, endpoint: MakeEndpoint, family: int
) -> None:
    of = network()
    web, db = group(ingress=Action.ALLOW), group(ingress=Action.ALLOW)
    one, other = endpoint(of, "h1", groups=(web.id,)), endpoint(of, "h2", groups=(db.id,))
    third = endpoint(of, "h2")
    with connected(one, other, family) as connection:
        assert connection.carries()
        lab.frontend.run(lambda intent: intent.connections.disconnect(web.name, db.name))
        wait_until(lambda: not connection.carries(), "the connection is cut")
        assert not udp(other, one, family)
        assert tcp(third, one, family)
        assert tcp(third, other, family, 81)
        lab.frontend.run(lambda intent: intent.connections.connect(web.name, db.name))
        wait_until(connection.carries, "the connection goes on")


def test_two_endpoints_without_groups_are_cut_and_connected_again(
    lab: Lab, network: MakeNetwork, endpoint: MakeEndpoint, family: int
) -> None:
    of = network()
    one, other, third = endpoint(of, "h1"), endpoint(of, "h2"), endpoint(of, "h1")
    pair = (one.name, other.name)
    with connected(one, other, family) as connection:
        assert connection.carries()
        lab.frontend.run(lambda intent: intent.connections.disconnect(*pair))
        wait_until(lambda: not connection.carries(), "the connection is cut")
        assert not ping(other, one, family)
        assert ping(third, one, family)
        assert ping(third, other, family)
        lab.frontend.run(lambda intent: intent.connections.connect(*pair))
        wait_until(lambda: ping(one, other, family) and ping(other, one, family), "they reach each other")
        wait_until(connection.carries, "the connection goes on")
