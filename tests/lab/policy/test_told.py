"""What is told of policy: a line in the agent's log, counters of rules, and errors to the sender."""

import json
import socket
from typing import Any

import pytest
from tests.lab.conftest import MakeEndpoint, MakeNetwork
from tests.lab.policy.conftest import MakeGroup, MakeRule
from tests.lab.policy.probes import PATIENCE_S, address_of, tcp, udp

from plait.lab import netns
from plait.lab.host import plait_command
from plait.lab.lab import Lab
from plait.lab.waiting import wait_until
from plait.model.policy import Action, Direction, Protocol, Rule


def verdicts(lab: Lab, rule: Rule) -> list[dict[str, Any]]:
    """The lines of h1's agent about a rule."""
    lines = lab.host("h1").agent_log.read_text().splitlines()
    return [said for line in lines if (said := json.loads(line)).get("rule_id") == rule.id]


def counted(lab: Lab, rule: Rule) -> int:
    """The packets that a rule decided on, on h1."""
    return int(lab.host("h1").ask("rule_counters")["rules"][rule.id]["packets"])


def test_first_packets_and_denied_ones_are_logged_by_the_rules_that_say_so(
    lab: Lab, network: MakeNetwork, group: MakeGroup, endpoint: MakeEndpoint, rule: MakeRule, family: int
) -> None:
    of, guarded, friends = network(), group(egress=Action.DENY), group(ingress=Action.ALLOW)
    server, client = endpoint(of, "h1", groups=(guarded.id,)), endpoint(of, "h2", groups=(friends.id,))
    words: dict[str, Any] = {"protocol": Protocol.UDP, "log": True}
    allow = rule(guarded, Direction.INGRESS, name="dns", ports=(53, 53), remote_group=friends.id, **words)
    deny = rule(guarded, Direction.INGRESS, name="no-ntp", ports=(123, 123), action=Action.DENY, **words)
    out = rule(guarded, Direction.EGRESS, name="no-tcp", action=Action.DENY, protocol=Protocol.TCP, log=True)
    silent = rule(guarded, Direction.INGRESS, protocol=Protocol.UDP, ports=(54, 54))
    assert udp(client, server, family, 53)
    assert not udp(client, server, family, 123)
    assert udp(client, server, family, 54)
    assert not tcp(server, client, family)
    wait_until(lambda: verdicts(lab, out), "what goes out is logged")
    ends = {"source": address_of(client, family), "destination": address_of(server, family)}
    assert [_of(line) for line in verdicts(lab, allow)] == [
        {
            "action": "allow",
            "rule": "dns",
            "port": server.record.port,
            "direction": "ingress",
            "protocol": "udp",
            "destination_port": 53,
            **ends,
        }
    ]
    denied = verdicts(lab, deny)
    assert len(denied) == 2
    assert _of(denied[0])["action"] == "deny"
    assert _of(denied[0])["destination_port"] == 123
    leaving = _of(verdicts(lab, out)[0])
    assert (leaving["direction"], leaving["source"]) == ("egress", address_of(server, family))
    assert verdicts(lab, silent) == []


def _of(line: dict[str, Any]) -> dict[str, Any]:
    told = {"timestamp", "level", "event", "rule_id", "group", "source_port"}
    return {name: value for name, value in line.items() if name not in told}


def test_packets_are_counted_by_the_rule_that_decides(
    lab: Lab, network: MakeNetwork, group: MakeGroup, endpoint: MakeEndpoint, rule: MakeRule, family: int
) -> None:
    of, guarded, friends = network(), group(), group(ingress=Action.ALLOW)
    server, client = endpoint(of, "h1", groups=(guarded.id,)), endpoint(of, "h2", groups=(friends.id,))
    about_group = rule(guarded, Direction.INGRESS, protocol=Protocol.ICMP, remote_group=friends.id)
    other = rule(guarded, Direction.INGRESS, protocol=Protocol.TCP, remote_group=friends.id)
    deny = rule(guarded, Direction.INGRESS, protocol=Protocol.UDP, action=Action.DENY)
    assert client.ping(address_of(server, family), count=5).received == 5
    wait_until(lambda: counted(lab, about_group) == 10, "five requests and their answers are counted")
    assert not udp(client, server, family)
    wait_until(lambda: counted(lab, deny) == 2, "two datagrams are counted")
    assert counted(lab, other) == 0


def test_a_sender_is_told_that_nobody_listens_through_both_policies(
    network: MakeNetwork, group: MakeGroup, endpoint: MakeEndpoint, rule: MakeRule, family: int
) -> None:
    """An ICMP error belongs to the connection that it is about; no rule names it."""
    of, asking, asked = network(), group(), group()
    client, server = endpoint(of, "h1", groups=(asking.id,)), endpoint(of, "h2", groups=(asked.id,))
    rule(asked, Direction.INGRESS, on=("h2",), protocol=Protocol.UDP)
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    with netns.inside(client.namespace, lambda: socket.socket(kind, socket.SOCK_DGRAM)) as there:
        there.settimeout(5 * PATIENCE_S)
        there.connect((address_of(server, family), 9))
        there.send(b"anybody?")
        with pytest.raises(ConnectionRefusedError):
            there.recv(100)


def test_counters_are_shown_beside_rules(
    lab: Lab, network: MakeNetwork, group: MakeGroup, endpoint: MakeEndpoint, rule: MakeRule
) -> None:
    of, guarded = network(), group()
    server, client = endpoint(of, "h1", groups=(guarded.id,)), endpoint(of, "h2")
    echo = rule(guarded, Direction.INGRESS, name="echo", protocol=Protocol.ICMP)
    assert client.ping(server.v4, count=5).received == 5
    wait_until(lambda: counted(lab, echo) == 10, "requests and answers are counted")
    host = lab.host("h1")
    listed = json.loads(host.run(plait_command(), "rule", "list", guarded.name, "--counters", "-o", "json"))
    shown = json.loads(host.run(plait_command(), "group", "show", guarded.name, "--counters", "-o", "json"))
    assert [(row["name"], row["packets"]) for row in listed] == [("echo", 10)]
    assert shown["rules"] == listed
    assert "PACKETS" in host.run(plait_command(), "rule", "list", guarded.name, "--counters")
