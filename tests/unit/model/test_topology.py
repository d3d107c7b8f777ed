"""What routers join: a route is where a packet that is routed hop by hop would end."""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.model.routers import Peering, Router, RouterInterface, StaticRoute
from plait.model.topology import Hop, Topology

ROUTERS = ("a", "b", "c", "d")
SUBNETS = ("10.0.0.0/16", "10.1.0.0/16", "10.1.2.0/24", "10.2.0.0/16", "10.3.0.0/16")
DESTINATIONS = ("0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.2.0.0/15", "10.3.128.0/17", "192.0.2.0/24")
_PROBES = "10.0.0.9 10.1.0.9 10.1.2.9 10.2.0.9 10.3.0.9 10.3.200.9 192.0.2.9 198.51.100.9"
PROBES = tuple(map(IPv4Address, _PROBES.split(" ")))


def interface(router: str, network: str, prefix: str, address: str | None = None) -> RouterInterface:
    first = str(ip_network(prefix)[1])
    return RouterInterface(
        router=router,
        network=network,
        subnet=f"s-{network}",
        prefix=prefix,
        address=address or first,
        mac="02:00:00:00:00:01",
    )


def router(id: str, *routes: StaticRoute) -> Router:
    return Router(id=id, name=id, vni=7, routes=routes)


def joined(*pairs: tuple[str, str]) -> list[Peering]:
    return [Peering(router=x, peer=y) for one, other in pairs for x, y in ((one, other), (other, one))]


def topology(
    routers: Iterable[Router], interfaces: Iterable[RouterInterface], peerings: Iterable[Peering] = ()
) -> Topology:
    return Topology({each.id: each for each in routers}, interfaces, peerings)


def table(found: Topology, id: str) -> dict[str, tuple[tuple[str, str | None], ...]]:
    return {
        route.prefix: tuple((hop.interface.network, hop.address) for hop in route.hops)
        for route in found.routes(id)
    }


def test_a_router_leads_to_its_own_subnets_and_to_those_of_routers_that_agree() -> None:
    routers = [router("a"), router("b"), router("c")]
    interfaces = [
        interface("a", "n1", "10.1.0.0/24"),
        interface("b", "n2", "fd02::/64"),
        interface("c", "n3", "10.3.0.0/24"),
    ]
    found = topology(routers, interfaces, [*joined(("a", "b")), Peering(router="a", peer="c")])
    assert table(found, "a") == {"10.1.0.0/24": (("n1", None),), "fd02::/64": (("n2", None),)}
    assert found.peers("a") == ("b",)
    assert found.joined("n1") == {"n1", "n2"}
    assert found.joined("n3") == {"n3"}


def test_what_lies_behind_a_joined_router_is_reached_only_by_a_route_that_says_so() -> None:
    interfaces = [interface(r, f"n{i}", f"10.{i}.0.0/24") for i, r in enumerate("abc", 1)]
    peerings = joined(("a", "b"), ("b", "c"))
    plain = topology(map(router, "abc"), interfaces, peerings)
    assert "10.3.0.0/24" not in table(plain, "a")
    transit = StaticRoute("10.3.0.0/16", router="b")
    explicit = topology([router("a", transit), router("b"), router("c")], interfaces, peerings)
    assert table(explicit, "a")["10.3.0.0/24"] == (("n3", None),)
    assert table(explicit, "a")["10.3.0.0/16"] == ()
    assert explicit.joined("n1") == {"n1", "n2", "n3"}


def test_a_next_hop_that_is_another_router_s_address_goes_on_in_that_router() -> None:
    interfaces = [
        interface("a", "n1", "10.1.0.0/24"),
        interface("a", "shared", "10.9.0.0/24"),
        interface("b", "shared", "10.9.0.0/24", "10.9.0.2"),
        interface("b", "n2", "10.2.0.0/24"),
    ]
    found = topology([router("a", StaticRoute("10.2.0.0/16", ("10.9.0.2",))), router("b")], interfaces)
    assert table(found, "a")["10.2.0.0/24"] == (("n2", None),)


def test_several_next_hops_stay_together_and_one_outside_of_all_subnets_is_left_out() -> None:
    route = StaticRoute("192.0.2.0/24", ("10.1.0.5", "10.1.0.6", "172.16.0.1"))
    found = topology([router("a", route)], [interface("a", "n1", "10.1.0.0/24")])
    assert table(found, "a")["192.0.2.0/24"] == (("n1", "10.1.0.5"), ("n1", "10.1.0.6"))


@pytest.mark.parametrize(
    ("of_b", "goes_round"),
    [
        (StaticRoute("10.5.0.0/16", router="a"), True),
        (StaticRoute("0.0.0.0/0", router="a"), True),
        (StaticRoute("10.1.0.0/24", router="a"), False),
        (StaticRoute("192.0.2.0/24", router="a"), False),
    ],
)
def test_a_route_that_leads_back_is_a_loop_unless_the_router_knows_better(
    of_b: StaticRoute, goes_round: bool
) -> None:
    routers = [router("a", StaticRoute("10.0.0.0/8", router="b")), router("b", of_b)]
    interfaces = [interface("a", "n1", "10.1.0.0/24"), interface("b", "n2", "10.2.0.0/24")]
    found = topology(routers, interfaces, joined(("a", "b")))
    assert (found.loop("a") is not None) == goes_round
    assert (found.loop("b") is not None) == goes_round
    if goes_round:
        assert found.loop("a") == ("a", "b", "a")


def test_subnets_that_overlap_within_reach_are_found() -> None:
    interfaces = [
        interface("a", "n1", "10.1.0.0/16"),
        interface("a", "n6", "fd00::/64"),
        interface("b", "n2", "10.1.7.0/24"),
        interface("b", "n7", "fd00:0:0:1::/64"),
    ]
    apart = topology(map(router, "ab"), interfaces)
    assert apart.overlap("a") is None
    together = topology(map(router, "ab"), interfaces, joined(("a", "b")))
    found = together.overlap("a")
    assert found is not None
    assert {each.prefix for each in found} == {"10.1.0.0/16", "10.1.7.0/24"}


def test_networks_that_are_joined_to_the_same_ones_share_a_domain_and_others_do_not() -> None:
    interfaces = [interface(r, f"n{i}", f"10.{i}.0.0/24") for i, r in enumerate("aabc", 1)]
    found = topology(map(router, "abc"), interfaces, joined(("b", "c")))
    assert found.domain("n1") == found.domain("n2") == "n1"
    assert found.domain("n3") == found.domain("n4") == "n3"
    assert found.domain("alone") == "alone"


def test_a_route_for_an_own_subnet_leads_nowhere_else() -> None:
    interfaces = [interface("a", "n1", "10.1.2.0/24"), interface("c", "n2", "10.1.0.0/16")]
    routers = [router("a"), router("b"), router("c", StaticRoute("10.1.0.0/16", router="b"))]
    found = topology(routers, interfaces, joined(("a", "b"), ("b", "c")))
    assert [(route.prefix, [hop.interface.network for hop in route.hops]) for route in found.routes("c")] == [
        ("10.1.0.0/16", ["n2"])
    ]


# -- against a packet that walks


_routes = st.lists(
    st.tuples(
        st.sampled_from(DESTINATIONS),
        st.one_of(st.sampled_from(ROUTERS), st.sampled_from(["10.0.0.7", "10.1.0.7", "10.2.0.7"])),
    ),
    max_size=3,
    unique_by=lambda each: each[0],
)


@st.composite
def _worlds(draw: st.DrawFn) -> Topology:
    routers = []
    for id in ROUTERS:
        routes = [
            StaticRoute(to, router=by) if by in ROUTERS else StaticRoute(to, (by,))
            for to, by in draw(_routes)
            if by != id
        ]
        routers.append(router(id, *routes))
    owners = draw(st.lists(st.sampled_from(ROUTERS), min_size=len(SUBNETS), max_size=len(SUBNETS)))
    interfaces = [
        interface(owner, f"n{number}", prefix)
        for number, (owner, prefix) in enumerate(zip(owners, SUBNETS, strict=True))
    ]
    pairs = st.tuples(st.sampled_from(ROUTERS), st.sampled_from(ROUTERS)).filter(
        lambda pair: pair[0] != pair[1]
    )
    peerings = joined(*draw(st.lists(pairs, max_size=4)))
    return topology(routers, interfaces, peerings)


def walk(world: Topology, at: str, probe: IPv4Address) -> Hop | str | None:
    """Router by router, by each one's own table: where the packet leaves, None if nowhere, "loop"."""
    seen = set()
    while at not in seen:
        seen.add(at)
        best = max(choices(world, at, probe), key=lambda each: each[:2], default=None)
        if best is None or isinstance(best[2], Hop):
            return best and best[2]
        at = best[2]
    return "loop"


def choices(world: Topology, at: str, probe: IPv4Address) -> Iterator[tuple[int, int, Hop | str]]:
    """What one router knows of an address: (bits, own subnet before static before joined, where to)."""
    for rank, owner in ((2, at), *((0, peer) for peer in world.peers(at))):
        for each in world.interfaces(owner):
            if probe in ip_network(each.prefix):
                yield ip_network(each.prefix).prefixlen, rank, Hop(each)
    for static in world.routers[at].routes:
        bits = ip_network(static.destination).prefixlen
        if probe not in ip_network(static.destination):
            continue
        if static.router is not None:
            if static.router in world.peers(at):
                yield bits, 1, static.router
            continue
        for each in world.interfaces(at):
            if ip_address(static.next_hops[0]) in ip_network(each.prefix):
                yield bits, 1, Hop(each, static.next_hops[0])


@settings(max_examples=400, deadline=None)
@given(_worlds())
def test_a_packet_leaves_where_walking_from_router_to_router_would_take_it(world: Topology) -> None:
    for id in ROUTERS:
        goes_round = False
        for probe in PROBES:
            expected = walk(world, id, probe)
            if expected == "loop":
                goes_round = True
                continue
            matching = [route for route in world.routes(id) if probe in ip_network(route.prefix)]
            best = max(matching, key=lambda route: route.bits, default=None)
            found = best.hops[0] if best is not None and best.hops else None
            # Of two that joined routers have alike, and that could not be written, either will do.
            ambiguous = (
                isinstance(expected, Hop)
                and found is not None
                and found.interface.prefix == expected.interface.prefix
            )
            assert found == expected or ambiguous, (id, probe)
        if goes_round:
            assert world.loop(id) is not None, id
