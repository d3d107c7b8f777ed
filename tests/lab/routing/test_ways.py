"""Ways beyond one router: next hops, several of them, joined routers, and what must stay apart."""

import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from tests.lab.routing.conftest import VERSIONS, Routed, address, gateways, wait_loses, wait_reaches

from plait.flows.pipeline import Table
from plait.lab import netns
from plait.lab.endpoint import Endpoint
from plait.lab.errors import CommandError
from plait.lab.streams import UdpEcho, udp_ask
from plait.lab.waiting import wait_until
from plait.model.entities import Transport

both = pytest.mark.parametrize("version", VERSIONS)
BEHIND = {4: ("10.77.0.0/24", "10.77.0.9"), 6: ("fd00:77::/64", "fd00:77::9")}
"""A prefix that no subnet has, and an address of it."""
CLIENTS = 64


def with_behind(end: Endpoint) -> None:
    """The endpoint has, behind it, the addresses of BEHIND."""
    for version, length in ((4, 32), (6, 128)):
        end.exec("ip", "address", "add", f"{BEHIND[version][1]}/{length}", "dev", "lo")


def test_a_route_leads_to_what_is_behind_an_endpoint(routed: Routed) -> None:
    router = routed.router()
    one, two = routed.network(1, router), routed.network(2, router, transport=Transport.GRE)
    middle = routed.endpoint(two, "h2", security=False)
    clients = [routed.endpoint(one, "h1"), routed.endpoint(two, "h1"), routed.endpoint(two, "h2")]
    with_behind(middle)
    for version in VERSIONS:
        prefix, target = BEHIND[version]
        for client in clients:
            wait_reaches(client, address(middle, version))
            with pytest.raises(CommandError, match=r"Net Unreachable|No route"):
                client.exec("ping", "-c", "1", "-W", "2", target)
        routed.route(router, prefix, address(middle, version))
        for client in clients:
            wait_reaches(client, target)
            assert client.ping(target, count=20, interval_s=0.005).lost == 0
        routed.run(lambda intent, prefix=prefix: intent.routes.remove(router.id, prefix))
        wait_loses(clients[0], target)


def test_a_next_hop_that_is_gone_is_told_and_taken_again_when_it_is_back(routed: Routed) -> None:
    router = routed.router()
    one = routed.network(1, router)
    middle = routed.endpoint(one, "h2", security=False)
    client = routed.endpoint(one, "h1")
    with_behind(middle)
    v4, v6 = (BEHIND[version] for version in VERSIONS)
    routed.route(router, v4[0], middle.v4)
    routed.route(router, v6[0], middle.v6)
    wait_reaches(client, v4[1], v6[1])
    middle.move("h3")
    for gateway in gateways(1):
        middle.exec("ip", "route", "replace", "default", "via", gateway)
    wait_reaches(client, v4[1], v6[1])
    port = middle.record.port or ""
    routed.run(lambda intent: intent.ports.set(port, host=None))
    for (_, target), said in ((v4, "Host Unreachable"), (v6, "Address unreachable")):
        wait_loses(client, target)
        with pytest.raises(CommandError, match=said):
            client.exec("ping", "-c", "1", "-W", "2", target)
    routed.run(lambda intent: intent.ports.set(port, host="h3"))
    wait_reaches(client, v4[1], v6[1])


@contextmanager
def listening(ends: list[Endpoint], target: str, version: int) -> Iterator[list[socket.socket]]:
    """A UDP socket at `target` in each."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6

    def bound() -> socket.socket:
        made = socket.socket(family, socket.SOCK_DGRAM)
        made.setblocking(False)
        made.bind((target, 7000))
        return made

    with ExitStack() as stack:
        yield [stack.enter_context(netns.inside(end.namespace, bound)) for end in ends]


def spread(client: Endpoint, sockets: list[socket.socket], target: str, version: int) -> list[int]:
    """How many of CLIENTS connections come to each of the sockets; all have to come somewhere."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    counts = [0] * len(sockets)
    with ExitStack() as stack:
        for _ in range(CLIENTS):
            made = netns.inside(client.namespace, lambda: socket.socket(family, socket.SOCK_DGRAM))
            stack.enter_context(made).sendto(b"which way?", (target, 7000))

        def all_came() -> bool:
            for number, each in enumerate(sockets):
                while True:
                    try:
                        each.recv(100)
                    except BlockingIOError:
                        break
                    counts[number] += 1
            return sum(counts) == CLIENTS

        wait_until(all_came, f"{CLIENTS} datagrams came: {counts}")
    return counts


@both
def test_next_hops_share_connections_and_one_that_dies_leaves_all_to_the_other(
    routed: Routed, version: int
) -> None:
    router = routed.router()
    one, two = routed.network(1, router), routed.network(2, router, transport=Transport.GENEVE)
    middles = [routed.endpoint(one, "h2", security=False), routed.endpoint(two, "h3", security=False)]
    clients = [routed.endpoint(one, "h1"), routed.endpoint(two, "h2")]
    for middle in middles:
        with_behind(middle)
        wait_reaches(clients[0], address(middle, version))
    prefix, target = BEHIND[version]
    routed.route(router, prefix, *(address(middle, version) for middle in middles))
    for client in clients:
        wait_reaches(client, target)
    with listening(middles, target, version) as sockets:
        for client in clients:
            counts = spread(client, sockets, target, version)
            assert min(counts) > CLIENTS // 8, counts
            assert has_links(client, prefix)
        middles[0].delete()
        for client in clients:
            wait_until(lambda client=client: not has_links(client, prefix), "one way is left")
            assert spread(client, sockets[1:], target, version) == [CLIENTS]


def has_links(client: Endpoint, prefix: str) -> bool:
    """Whether on the client's host a route has several ways."""
    of_table = f"table={Table.NEXT_HOP}, "
    return any(of_table in flow and prefix in flow for flow in client.host.switch.flows())


def test_projects_meet_only_while_both_want_it(routed: Routed) -> None:
    ours, theirs = routed.router(), routed.router(project="theirs")
    mine = routed.endpoint(routed.network(1, ours), "h1")
    far = routed.endpoint(routed.network(2, theirs, transport=Transport.GENEVE, project="theirs"), "h2")
    beside = routed.endpoint(routed.network(3, theirs, project="theirs"), "h1")
    wait_reaches(far, beside.v4, beside.v6)
    pairs = ((mine, far), (far, mine), (mine, beside), (beside, mine))
    assert_no_route(pairs)
    routed.peer(ours, theirs)
    wait_until(lambda: routed.lab.differences() == {}, "agents agree with their switches")
    assert_no_route(pairs)
    routed.peer(theirs, ours)
    wait_reaches(mine, far.v4, far.v6, beside.v4, beside.v6)
    wait_reaches(far, mine.v4, mine.v6)
    for one, other in pairs:
        for version in VERSIONS:
            assert one.ping(address(other, version), count=20, interval_s=0.005).lost == 0
            said = one.exec("traceroute", "-n", "-q", "1", "-m", "5", address(other, version))
            assert len(said.strip().splitlines()) == 3, said
    routed.part(ours, theirs)
    wait_loses(mine, far.v4, far.v6, beside.v4, beside.v6)
    wait_loses(far, mine.v4, mine.v6)
    assert_no_route(pairs)
    assert far.ping(beside.v4).lost == 0


def assert_no_route(pairs: Iterable[tuple[Endpoint, Endpoint]]) -> None:
    """Not even one way: the sender's gateway says that it knows none."""
    for one, other in pairs:
        for target in other.v4, other.v6:
            with pytest.raises(CommandError, match=r"Net Unreachable|unreachable: No route"):
                one.exec("ping", "-c", "1", "-W", "2", target)


def test_what_is_behind_a_joined_router_takes_a_route_on_both_sides(routed: Routed) -> None:
    first, middle, last = routed.router(), routed.router(), routed.router()
    here = routed.endpoint(routed.network(1, first), "h1")
    between = routed.endpoint(routed.network(2, middle), "h2")
    there = routed.endpoint(routed.network(3, last, transport=Transport.GRE), "h3")
    for one, other in ((first, middle), (middle, first), (middle, last), (last, middle)):
        routed.peer(one, other)
    wait_reaches(here, between.v4, between.v6)
    wait_reaches(there, between.v4, between.v6)
    assert_no_route([(here, there), (there, here)])
    for destination in ("10.3.0.0/24", "fd00:3::/64"):
        routed.route(first, destination, via=middle)
    for destination in ("10.1.0.0/24", "fd00:1::/64"):
        routed.route(last, destination, via=middle)
    wait_reaches(here, there.v4, there.v6)
    for version in VERSIONS:
        assert here.ping(address(there, version), count=20, interval_s=0.005).lost == 0
        # Joined routers are resolved on the sender's host: one hop, however many they are.
        assert "ttl=63" in here.exec("ping", "-c", "1", "-W", "2", address(there, version))


def test_tenants_with_the_same_addresses_do_not_meet(routed: Routed) -> None:
    mine, theirs = ([], [])
    for ends in (mine, theirs):
        router = routed.router()
        one, two = routed.network(1, router), routed.network(2, router, transport=Transport.GENEVE)
        ends.extend((routed.endpoint(one, "h1"), routed.endpoint(two, "h2")))
        wait_reaches(ends[0], ends[1].v4, ends[1].v6)
    alone = routed.endpoint(routed.network(1), "h1")
    assert [end.addresses for end in mine] == [end.addresses for end in theirs]
    for version in VERSIONS:
        target = address(mine[1], version)
        with UdpEcho(mine[1].namespace, target):
            assert udp_ask(mine[0].namespace, target, b"mine")
            assert not udp_ask(theirs[0].namespace, target, b"theirs", attempts=2, wait_s=0.3)
        assert not alone.reaches(target)
