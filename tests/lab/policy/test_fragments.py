"""Datagrams in fragments: only the first of them has ports, and all of them pass, or none."""

import os
import socket

import pytest
from tests.lab.conftest import MakeEndpoint, MakeNetwork
from tests.lab.policy.conftest import MakeGroup, MakeRule, removed
from tests.lab.policy.probes import address_of, udp

from plait.lab import crafted, netns
from plait.lab.endpoint import Endpoint
from plait.lab.lab import Lab
from plait.lab.streams import UdpEcho
from plait.lab.waiting import wait_until
from plait.lab.wire import Wire
from plait.model.policy import Action, Direction, Protocol

SIZE_BYTES = 6000
FRAGMENTS = 5
MARKERS = 5353
"""A port that is open in every test, for what tells that all before it has arrived."""


@pytest.mark.parametrize("client_host", ["h1", "h2"])
def test_large_requests_and_answers_pass_where_their_port_is_open_and_nowhere_else(
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
    rule(guarded, Direction.INGRESS, protocol=Protocol.UDP, ports=(MARKERS, MARKERS))
    dns = rule(guarded, Direction.INGRESS, protocol=Protocol.UDP, ports=(53, 53), cidr=_home(family))
    assert udp(client, server, family, 53, SIZE_BYTES)
    assert udp(client, server, family, 53, SIZE_BYTES)
    assert _arrived(client, server, family, 53) == FRAGMENTS
    assert not udp(client, server, family, 54, SIZE_BYTES)
    assert _arrived(client, server, family, 54) == 0
    removed(lab, dns, "h1")
    assert not udp(client, server, family, 53, SIZE_BYTES)
    assert _arrived(client, server, family, 53) == 0


def test_no_fragment_passes_on_a_connection_whose_rule_was_removed(
    lab: Lab, network: MakeNetwork, group: MakeGroup, endpoint: MakeEndpoint, rule: MakeRule, family: int
) -> None:
    of, guarded = network(), group()
    server, client = endpoint(of, "h1", groups=(guarded.id,)), endpoint(of, "h2")
    rule(guarded, Direction.INGRESS, protocol=Protocol.UDP, ports=(MARKERS, MARKERS))
    dns = rule(guarded, Direction.INGRESS, protocol=Protocol.UDP, ports=(53, 53))
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    there = address_of(server, family)
    with (
        netns.inside(client.namespace, lambda: socket.socket(kind, socket.SOCK_DGRAM)) as asking,
        UdpEcho(server.namespace, there, port=53),
    ):
        # Not established before it was answered.
        asking.settimeout(5)
        asking.sendto(b"?", (there, 53))
        assert asking.recv(100) == b"?"
        assert _arrived(client, server, family, 53, asking) == FRAGMENTS
        removed(lab, dns, "h1")
        assert _arrived(client, server, family, 53, asking) == 0


def test_large_packets_pass_egress_rules_and_members_are_known(
    network: MakeNetwork, group: MakeGroup, endpoint: MakeEndpoint, rule: MakeRule, family: int
) -> None:
    of, asking, servers = network(), group(egress=Action.DENY), group(ingress=Action.ALLOW)
    client = endpoint(of, "h1", groups=(asking.id,))
    server = endpoint(of, "h2", groups=(servers.id,))
    stranger = endpoint(of, "h2")
    rule(asking, Direction.EGRESS, protocol=Protocol.UDP, ports=(MARKERS, MARKERS))
    rule(asking, Direction.EGRESS, protocol=Protocol.UDP, ports=(53, 53), remote_group=servers.id)
    assert udp(client, server, family, 53, SIZE_BYTES)
    assert not udp(client, stranger, family, 53, SIZE_BYTES)
    assert _arrived(client, stranger, family, 53) == 0


def test_a_large_ping_passes_a_rule_for_its_type(
    network: MakeNetwork, group: MakeGroup, endpoint: MakeEndpoint, rule: MakeRule, family: int
) -> None:
    of, guarded = network(), group()
    server, client = endpoint(of, "h1", groups=(guarded.id,)), endpoint(of, "h2")
    size = ("-s", str(SIZE_BYTES), "-c", "2", "-i", "0.05", "-W", "1", address_of(server, family))
    rule(
        guarded,
        Direction.INGRESS,
        family=family,
        protocol=Protocol.ICMP,
        icmp_type=8 if family == 4 else 128,
    )
    wait_until(lambda: "2 received" in client.exec("ping", *size), "a large ping is answered")


def _arrived(
    client: Endpoint, server: Endpoint, family: int, port: int, asking: socket.socket | None = None
) -> int:
    """How many fragments of a datagram come out at the server."""
    if asking is None:
        kind = socket.AF_INET if family == 4 else socket.AF_INET6
        with netns.inside(client.namespace, lambda: socket.socket(kind, socket.SOCK_DGRAM)) as asking:
            return _arrived(client, server, family, port, asking)
    here, there = address_of(client, family), address_of(server, family)
    with Wire(client.namespace) as out, Wire(server.namespace) as wire:
        asking.sendto(os.urandom(SIZE_BYTES), (there, port))
        seen = wire.all_before(
            lambda data: crafted.udp((client.mac, here), (server.mac, there), data, dport=MARKERS), sender=out
        )
    return sum(len(frame) > 150 for frame in seen)


def _home(family: int) -> str:
    return "10.0.0.0/24" if family == 4 else "fd00:10::/64"
