"""Policy behind routers, and for packets to many."""

from collections.abc import Iterator

import pytest
from tests.lab.conftest import MakeEndpoint, MakeNetwork
from tests.lab.policy.conftest import MakeGroup, MakeRule, removed
from tests.lab.policy.probes import PATIENCE_S, connected, ping, tcp, udp
from tests.lab.routing.conftest import Routed, wait_reaches

from plait.lab import crafted
from plait.lab.endpoint import Endpoint
from plait.lab.errors import LabError
from plait.lab.lab import Lab
from plait.lab.waiting import wait_until
from plait.lab.wire import Wire
from plait.model.policy import Action, Direction, Protocol

GROUPS = {4: "239.1.1.1", 6: "ff05::1:1"}


@pytest.fixture
def routed(lab: Lab, group: MakeGroup) -> Iterator[Routed]:
    routed = Routed(lab)
    yield routed
    routed.remove()


def join(lab: Lab, end: Endpoint, group: str) -> None:
    assert end.record.port
    lab.frontend.run(lambda intent: intent.members.add(group, [end.record.port]))


def test_members_in_other_networks_of_the_router_are_known_and_others_are_not(
    lab: Lab, routed: Routed, group: MakeGroup, rule: MakeRule, family: int
) -> None:
    router = routed.router()
    one, two = routed.network(1, router), routed.network(2, router)
    server, friend, stranger = (
        routed.endpoint(one, "h1"),
        routed.endpoint(two, "h2"),
        routed.endpoint(two, "h2"),
    )
    wait_reaches(friend, server.v4, server.v6)
    guarded, friends = group(egress=Action.DENY), group(ingress=Action.ALLOW)
    join(lab, server, guarded.id)
    join(lab, friend, friends.id)
    wait_until(lambda: not ping(friend, server, family), "the server is filtered")
    into = rule(guarded, Direction.INGRESS, protocol=Protocol.TCP, ports=(80, 80), remote_group=friends.id)
    wait_until(lambda: tcp(friend, server, family), "the friend comes in through the router")
    assert not tcp(stranger, server, family)
    assert not udp(friend, server, family)
    rule(guarded, Direction.EGRESS, protocol=Protocol.UDP, ports=(53, 53), remote_group=friends.id)
    assert udp(server, friend, family)
    assert not udp(server, stranger, family)
    with connected(friend, server, family) as connection:
        assert connection.carries()
        removed(lab, into, "h1")
        assert not connection.carries()


def test_packets_to_many_come_to_a_filtered_member_when_a_rule_lets_them_in(
    lab: Lab, network: MakeNetwork, group: MakeGroup, endpoint: MakeEndpoint, rule: MakeRule, family: int
) -> None:
    of, guarded = network(), group()
    target = GROUPS[family]
    closed = endpoint(of, "h1", groups=(guarded.id,), multicast=(target,))
    open, near, far = endpoint(of, "h1", multicast=(target,)), endpoint(of, "h1"), endpoint(of, "h2")
    for sender in (near, far):
        wait_until(lambda sender=sender: heard(sender, open, target, 5000), "an open member hears the sender")
        assert not heard(sender, closed, target, 5000)
    rule(guarded, Direction.INGRESS, protocol=Protocol.UDP, ports=(5000, 5000))
    for sender in (near, far):
        assert heard(sender, closed, target, 5000)
        assert not heard(sender, closed, target, 5001)


def heard(sender: Endpoint, member: Endpoint, target: str, port: int) -> bool:
    """Whether a datagram to a multicast group comes to a member."""
    source = (sender.mac, sender.v6 if ":" in target else sender.v4)
    data = b"to all of " + target.encode()
    with Wire(sender.namespace) as out, Wire(member.namespace) as wire:
        out.send(crafted.udp(source, (crafted.multicast_mac(target), target), data, dport=port))
        try:
            wire.until(lambda frame: data in frame, timeout_s=PATIENCE_S)
        except LabError:
            return False
        return True
