"""What groups and their rules let through, with real packets: on one host and across two, IPv4 and IPv6."""

from typing import Any

import pytest
from tests.lab.conftest import MakeEndpoint, MakeNetwork
from tests.lab.policy.conftest import MakeAddressGroup, MakeGroup, MakeRule, removed
from tests.lab.policy.probes import PROBES, address_of, connected, ping, raw, sctp, tcp, udp

from plait.lab.endpoint import Endpoint
from plait.lab.lab import Lab
from plait.lab.pinger import Pinger
from plait.lab.waiting import wait_until
from plait.model.policy import Action, Direction, Protocol

FAMILIES = (4, 6)
HOME = {4: "10.0.0.0/24", 6: "fd00:10::/64"}


class Site:
    """A server in group `of` on h1, one client beside it and one on another host, both in no group."""

    def __init__(
        self, network: MakeNetwork, endpoint: MakeEndpoint, group: MakeGroup, **defaults: Action
    ) -> None:
        self.network = network()
        self.of = group(**defaults)
        self.server = endpoint(self.network, "h1", groups=(self.of.id,))
        self.near, self.far = endpoint(self.network, "h1"), endpoint(self.network, "h2")

    @property
    def clients(self) -> tuple[Endpoint, Endpoint]:
        return self.near, self.far


@pytest.fixture
def site(network: MakeNetwork, group: MakeGroup, endpoint: MakeEndpoint) -> Site:
    return Site(network, endpoint, group)


def test_by_default_nobody_comes_in_and_everything_goes_out_and_is_answered(site: Site, family: int) -> None:
    for client in site.clients:
        for name, probe in PROBES.items():
            assert not probe(client, site.server, family, 8080), name
    for client in site.clients:
        assert tcp(site.server, client, family)
        assert udp(site.server, client, family)
        assert ping(site.server, client, family)
        assert sctp(site.server, client, family)


def test_a_port_that_is_in_no_group_any_more_is_not_filtered(lab: Lab, site: Site, family: int) -> None:
    assert not ping(site.far, site.server, family)
    port = site.server.record.port
    assert port is not None
    lab.frontend.run(lambda intent: intent.members.remove(site.of.id, [port]))
    wait_until(lambda: ping(site.far, site.server, family), "far reaches the server")
    lab.frontend.run(lambda intent: intent.members.add(site.of.id, [port]))
    wait_until(lambda: not ping(site.far, site.server, family), "the server is filtered again")


@pytest.mark.parametrize("protocol", ["tcp", "udp", "sctp"])
def test_a_range_of_ports_is_open_and_its_neighbours_are_not(
    site: Site, rule: MakeRule, family: int, protocol: str
) -> None:
    words: dict[str, Any] = {"protocol": Protocol(protocol), "ports": (8000, 8010)}
    rule(site.of, Direction.INGRESS, cidr=HOME[family], **words)
    for client in site.clients:
        open = [
            port
            for port in (7999, 8000, 8009, 8010, 8011)
            if PROBES[protocol](client, site.server, family, port)
        ]
        assert open == [8000, 8009, 8010]
        assert not ping(client, site.server, family)


def test_one_type_of_icmp_is_let_in_and_its_answers_out(site: Site, rule: MakeRule, family: int) -> None:
    rule(
        site.of,
        Direction.INGRESS,
        family=family,
        protocol=Protocol.ICMP,
        icmp_type=8 if family == 4 else 128,
        icmp_code=0,
    )
    for client in site.clients:
        assert ping(client, site.server, family)
        assert not udp(client, site.server, family)


def test_any_protocol_is_every_packet(site: Site, rule: MakeRule, family: int) -> None:
    other = (198, b"a protocol without ports, of which nobody knows")
    assert not raw(site.far, site.server, family, *other)
    rule(site.of, Direction.INGRESS, cidr=HOME[family])
    for client in site.clients:
        for name, probe in PROBES.items():
            assert probe(client, site.server, family, 7777), name
        assert raw(client, site.server, family, *other)


def test_a_prefix_lets_in_who_is_in_it_and_nobody_else(site: Site, rule: MakeRule, family: int) -> None:
    bits = 32 if family == 4 else 128
    rule(site.of, Direction.INGRESS, cidr=f"{address_of(site.far, family)}/{bits}")
    assert tcp(site.far, site.server, family)
    assert not tcp(site.near, site.server, family)


def test_a_rule_without_a_family_is_for_both(site: Site, rule: MakeRule) -> None:
    rule(site.of, Direction.INGRESS, protocol=Protocol.TCP, ports=(80, 80))
    assert all(tcp(client, site.server, family) for client in site.clients for family in FAMILIES)


def test_the_higher_priority_decides_and_of_equal_ones_deny(
    lab: Lab, site: Site, rule: MakeRule, family: int
) -> None:
    rule(site.of, Direction.INGRESS, protocol=Protocol.TCP, priority=5, cidr=HOME[family])
    assert tcp(site.far, site.server, family)
    deny = {"action": Action.DENY, "protocol": Protocol.TCP, "ports": (80, 80)}
    lower = rule(site.of, Direction.INGRESS, **deny, priority=4)
    assert tcp(site.far, site.server, family)
    removed(lab, lower, "h1")
    equal = rule(site.of, Direction.INGRESS, **deny, priority=5)
    assert not tcp(site.far, site.server, family)
    assert tcp(site.far, site.server, family, 81)
    removed(lab, equal, "h1")
    rule(site.of, Direction.INGRESS, **deny, priority=6)
    assert not tcp(site.near, site.server, family)
    assert tcp(site.near, site.server, family, 81)


def test_what_goes_out_is_judged_by_egress_rules(
    network: MakeNetwork, group: MakeGroup, endpoint: MakeEndpoint, rule: MakeRule, family: int
) -> None:
    site = Site(network, endpoint, group, egress=Action.DENY, ingress=Action.ALLOW)
    for client in site.clients:
        assert not tcp(site.server, client, family)
        assert tcp(client, site.server, family)
        assert ping(client, site.server, family)
    rule(site.of, Direction.EGRESS, protocol=Protocol.TCP, ports=(443, 443), cidr=HOME[family])
    for client in site.clients:
        assert tcp(site.server, client, family, 443)
        assert not tcp(site.server, client, family, 80)
        assert not ping(site.server, client, family)


def test_members_of_a_group_are_let_in_wherever_they_are(
    lab: Lab, site: Site, rule: MakeRule, group: MakeGroup, endpoint: MakeEndpoint, family: int
) -> None:
    friends = group(ingress=Action.ALLOW)
    friend = endpoint(site.network, "h2", groups=(friends.id,))
    rule(site.of, Direction.INGRESS, protocol=Protocol.TCP, ports=(80, 80), remote_group=friends.id)
    assert tcp(friend, site.server, family)
    assert not tcp(friend, site.server, family, 81)
    assert not tcp(site.far, site.server, family)
    assert site.far.record.port
    assert friend.record.port
    lab.frontend.run(lambda intent: intent.members.add(friends.id, [site.far.record.port]))
    wait_until(lambda: tcp(site.far, site.server, family), "far is a friend")
    with connected(friend, site.server, family) as connection:
        assert connection.carries()
        lab.frontend.run(lambda intent: intent.members.remove(friends.id, [friend.record.port]))
        wait_until(lambda: not connection.carries(), "the connection is cut")
    assert not tcp(friend, site.server, family)
    assert tcp(site.far, site.server, family)


def test_addresses_of_an_address_group_are_let_in_until_they_leave_it(
    lab: Lab, site: Site, rule: MakeRule, addresses: MakeAddressGroup, family: int
) -> None:
    bits = 32 if family == 4 else 128
    prefix = f"{address_of(site.far, family)}/{bits}"
    office = addresses(prefix)
    rule(site.of, Direction.INGRESS, protocol=Protocol.UDP, ports=(53, 53), address_group=office.id)
    assert udp(site.far, site.server, family)
    assert not udp(site.near, site.server, family)
    assert not tcp(site.far, site.server, family, 53)
    lab.frontend.run(lambda intent: intent.address_groups.remove(office.id, [prefix]))
    wait_until(lambda: not udp(site.far, site.server, family), "far has left")
    lab.frontend.run(lambda intent: intent.address_groups.add(office.id, [HOME[family]]))
    wait_until(lambda: udp(site.near, site.server, family), "near has come")
    assert udp(site.far, site.server, family)


def test_a_port_in_several_groups_has_the_rules_of_all_and_the_strictest_defaults(
    lab: Lab, site: Site, rule: MakeRule, group: MakeGroup, family: int
) -> None:
    other = group(ingress=Action.ALLOW, egress=Action.DENY)
    rule(site.of, Direction.INGRESS, protocol=Protocol.TCP, ports=(80, 80))
    port = site.server.record.port
    assert port is not None
    lab.frontend.run(lambda intent: intent.members.add(other.id, [port]))
    wait_until(lambda: not ping(site.server, site.far, family), "nothing goes out by default")
    assert tcp(site.far, site.server, family)
    assert not tcp(site.far, site.server, family, 81)
    rule(other, Direction.INGRESS, protocol=Protocol.TCP, ports=(81, 81))
    assert tcp(site.far, site.server, family, 81)
    rule(other, Direction.EGRESS, protocol=Protocol.ICMP)
    assert ping(site.server, site.far, family)


def test_members_of_a_group_reach_each_other_when_it_says_so(
    network: MakeNetwork, group: MakeGroup, endpoint: MakeEndpoint, family: int
) -> None:
    of, team = network(), group(isolated=False)
    one, two = (endpoint(of, host, groups=(team.id,)) for host in ("h1", "h2"))
    stranger = endpoint(of, "h2")
    wait_until(lambda: tcp(one, two, family) and tcp(two, one, family), "members reach each other")
    assert not tcp(stranger, one, family)


def test_tenants_with_the_same_addresses_in_the_same_group_do_not_match_each_other(
    lab: Lab, network: MakeNetwork, group: MakeGroup, endpoint: MakeEndpoint, rule: MakeRule, family: int
) -> None:
    red, blue = network(), network()
    guarded, friends = group(), group()
    server, stranger = endpoint(red, "h1", groups=(guarded.id,)), endpoint(red, "h2")
    decoy = endpoint(blue, "h1")
    while address_of(decoy, 4) != address_of(stranger, 4):
        decoy = endpoint(blue, "h1")
    assert address_of(decoy, 6) == address_of(stranger, 6)
    assert decoy.record.port
    lab.frontend.run(lambda intent: intent.members.add(friends.id, [decoy.record.port]))
    rule(guarded, Direction.INGRESS, remote_group=friends.id)
    friend = endpoint(red, "h2", groups=(friends.id,))
    wait_until(lambda: tcp(friend, server, family), "a friend of the same tenant comes in")
    assert not tcp(stranger, server, family)


def test_a_port_that_comes_is_not_open_for_a_moment(
    lab: Lab, network: MakeNetwork, group: MakeGroup, endpoint: MakeEndpoint, family: int
) -> None:
    of, guarded, friends = network(), group(), group()
    far = endpoint(of, "h2")
    addresses = ("10.0.0.77", "fd00:10::77")
    pings = Pinger(far.namespace, [addresses[family == 6]], interval_s=0.002).start()
    server = endpoint(of, "h1", groups=(guarded.id,), addresses=addresses)
    wait_until(lambda: tcp(server, far, family), "far knows the server's address")
    port = server.record.port
    assert port is not None
    for _ in range(5):
        lab.frontend.run(lambda intent: intent.members.add(friends.id, [port]))
        lab.frontend.run(lambda intent: intent.members.remove(guarded.id, [port]))
        lab.frontend.run(lambda intent: intent.members.add(guarded.id, [port]))
        lab.frontend.run(lambda intent: intent.members.remove(friends.id, [port]))
    server.move("h3")
    wait_until(lambda: tcp(server, far, family), "the server is there")
    report = pings.stop()
    assert report.sent
    assert report.received == 0
