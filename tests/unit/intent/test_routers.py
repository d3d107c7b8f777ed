import asyncio
from collections.abc import Awaitable, Callable

import pytest

from plait.intent import Clash, Intent, InUse, NotFound, PortSpec, Taken, audit
from plait.intent.peerings import PeeringState
from plait.intent.surroundings import read_router
from plait.model.checks import Invalid
from plait.model.codec import decode
from plait.model.routers import RouterInterface, StaticRoute
from plait.store import keys
from plait.store.memory import MemoryStore


@pytest.fixture
async def other(store: MemoryStore, intent: Intent) -> Intent:
    """Another project; both have a router `edge`, with subnets of their own."""
    other = Intent(store, project="other")
    for project, number in ((intent, 1), (other, 2)):
        await project.networks.create("n")
        await project.subnets.create("n", f"10.{number}.0.0/24", name="four")
        await project.subnets.create("n", f"fd00:{number}::/64", name="six")
        await project.routers.create("edge")
        await project.interfaces.add("edge", "four")
        await project.interfaces.add("edge", "six")
    return other


async def join(intent: Intent, other: Intent) -> None:
    assert (await intent.peerings.add("edge", "other/edge")).state is PeeringState.WAITING
    assert (await other.peerings.add("edge", "default/edge")).state is PeeringState.JOINED


async def test_a_router_has_a_name_and_a_number_of_its_own(intent: Intent, refused) -> None:
    network = await intent.networks.create("n")
    router = await intent.routers.create("edge")
    assert router.vni == network.vni + 1
    await refused(intent.routers.create("edge"), Taken, "there is a router 'edge' in project 'default'")
    await refused(
        intent.routers.create("b", vni=network.vni),
        Taken,
        f"VNI {network.vni} is taken by network {network.id}",
    )
    await refused(
        intent.networks.create("b", vni=router.vni), Taken, f"VNI {router.vni} is taken by router {router.id}"
    )
    renamed = await intent.routers.set("edge", name="core")
    assert await intent.routers.list() == [renamed]
    assert await intent.routers.delete(router.id) == renamed
    await refused(intent.routers.get("core"), NotFound, "there is no router 'core'")


async def test_an_interface_takes_the_gateway_and_a_mac_and_stands_in_two_places(
    intent: Intent, store: MemoryStore, other: Intent
) -> None:
    router = await intent.routers.get("edge")
    subnet = await intent.subnets.get("four")
    found = (await store.snapshot("")).items
    record = found[keys.router_interface(router.id, subnet.id)].value
    assert found[keys.router_on_network(subnet.network, router.id, subnet.id)].value == record
    interface = decode(RouterInterface, record)
    assert (interface.address, interface.prefix) == ("10.1.0.1", "10.1.0.0/24")
    assert found[keys.mac(subnet.network, interface.mac)].value == router.id.encode()
    await intent.interfaces.remove("edge", "10.1.0.0/24")
    await intent.interfaces.remove("edge", "six")
    assert (await read_router(store, router.id)).interfaces == ()


async def test_an_interface_that_can_not_be_is_refused(intent: Intent, refused, other: Intent) -> None:
    add = intent.interfaces.add
    await refused(add("edge", "four"), Taken, "router 'edge' is on subnet 10.1.0.0/24 already, at 10.1.0.1")
    await intent.routers.create("second")
    await refused(add("second", "four"), Taken, "has the gateway 10.1.0.1 of subnet 10.1.0.0/24")
    port = await intent.ports.create(PortSpec(network="n", name="p"))
    await refused(add("second", "four", address=port.ips[0]), Taken, "address 10.1.0.2 is taken by port 'p'")
    await refused(add("second", "four", address="10.1.0.255"), Invalid, "network or broadcast address")
    await refused(add("second", "four", address="10.2.0.5"), Invalid, "10.2.0.5 lies outside 10.1.0.0/24")
    await add("second", "four", address="10.1.0.254")
    await refused(
        intent.ports.create(PortSpec(network="n", addresses=("10.1.0.254",))),
        Taken,
        "address 10.1.0.254 is taken by router 'second'",
    )
    theirs = await other.subnets.get("four")
    await refused(
        add("second", theirs.id), NotFound, f"there is no subnet '{theirs.id}' in project 'default'"
    )
    await intent.subnets.create("n", "10.7.0.0/24", gateway=None, name="bare")
    await refused(add("second", "bare"), Invalid, "subnet 10.7.0.0/24 has no gateway")
    await intent.networks.create("m")
    await intent.subnets.create("m", "10.1.0.0/16", name="wide")
    await refused(
        add("second", "wide"),
        Clash,
        "subnets 10.1.0.0/16 and 10.1.0.0/24 overlap, and both would be on router 'second'",
    )
    await refused(intent.interfaces.remove("second", "wide"), NotFound, "is not on subnet 'wide'")


async def test_a_subnet_stays_as_its_router_knows_it(intent: Intent, refused, other: Intent) -> None:
    await refused(intent.subnets.delete("four"), InUse, "subnet 10.1.0.0/24 is joined to router 'edge'")
    await refused(
        intent.networks.delete("n", cascade=True), InUse, "network 'n' is joined to 1 router (edge)"
    )
    await refused(intent.subnets.set("four", gateway="10.1.0.9"), InUse, "has the gateway 10.1.0.1 of subnet")
    await refused(intent.subnets.set("four", gateway=None), InUse, "has the gateway 10.1.0.1 of subnet")
    await intent.interfaces.remove("edge", "four")
    await intent.interfaces.add("edge", "four", address="10.1.0.9")
    await intent.subnets.set("four", gateway="10.1.0.9")
    await intent.routers.delete("edge", cascade=True)
    await intent.networks.delete("n", cascade=True)


async def test_a_route_leads_to_addresses_of_own_subnets(intent: Intent, refused, other: Intent) -> None:
    add = intent.routes.add
    await add("edge", "0.0.0.0/0", next_hops=["10.1.0.5", "10.1.0.6"])
    after = await add("edge", "::/0", next_hops=["fd00:1:0::5"])
    assert after.routes == (
        StaticRoute("0.0.0.0/0", ("10.1.0.5", "10.1.0.6")),
        StaticRoute("::/0", ("fd00:1::5",)),
    )
    for hops, error, why in (
        (["10.2.0.5"], Invalid, "next hop 10.2.0.5 lies in no subnet of router 'edge'"),
        (["10.1.0.1"], Invalid, "next hop 10.1.0.1 is router 'edge' itself"),
        (["10.1.0.255"], Invalid, "next hop 10.1.0.255 is no station's address"),
        (["10.1.0.5", "10.1.0.5"], Invalid, "names a next hop twice"),
        (["fd00:1::5"], Invalid, "are of two families"),
        ([], Invalid, "needs either next hops or a router"),
    ):
        await refused(add("edge", "10.9.0.0/16", next_hops=hops), error, why)
    await refused(
        add("edge", "0.0.0.0/0", next_hops=["10.1.0.7"]),
        Taken,
        "router 'edge' has a route for 0.0.0.0/0 already",
    )
    await refused(
        add("edge", "10.1.0.0/24", next_hops=["10.1.0.7"]), Clash, "router 'edge' is on 10.1.0.0/24 itself"
    )
    await refused(add("edge", "224.0.0.0/4", next_hops=["10.1.0.7"]), Invalid, "can be routed")
    await refused(
        intent.interfaces.remove("edge", "four"), InUse, "route 0.0.0.0/0 of router 'edge' goes by 10.1.0.5"
    )
    await refused(intent.routes.remove("edge", "10.9.0.0/16"), NotFound, "has no route for 10.9.0.0/16")
    await intent.routes.remove("edge", "0.0.0.0/0")
    await intent.interfaces.remove("edge", "four")


async def test_a_port_that_is_a_next_hop_may_go(intent: Intent, other: Intent) -> None:
    port = await intent.ports.create(PortSpec(network="n"))
    await intent.routes.add("edge", "10.9.0.0/16", next_hops=[port.ips[0]])
    await intent.ports.delete(port.id)
    assert [route.next_hops for route in (await intent.routers.get("edge")).routes] == [(port.ips[0],)]


async def test_a_network_takes_many_routers_and_a_router_many_peers_within_one_commit(
    intent: Intent, refused
) -> None:
    await intent.networks.create("n")
    await intent.subnets.create("n", "10.0.0.0/24", name="four")
    await intent.subnets.create("n", "10.1.0.0/24", name="more")
    await intent.routers.create("hub")
    await intent.interfaces.add("hub", "four")
    for number in range(64):
        await intent.routers.create(f"r{number}")
        await intent.peerings.add(f"r{number}", "hub")
        await intent.peerings.add("hub", f"r{number}")
    for number in range(32):
        await intent.routers.create(f"s{number}")
        await intent.interfaces.add(f"s{number}", "four", address=f"10.0.0.{number + 100}")
    await intent.interfaces.add("hub", "more")
    await intent.routers.create("last")
    await refused(
        intent.interfaces.add("last", "four", address="10.0.0.200"), Invalid, "32 is the most, so put another"
    )
    await refused(intent.peerings.add("hub", "last"), Invalid, "has 64 peerings, the most that one can have")
    await intent.routers.delete("hub", cascade=True)


async def test_the_load_is_not_shared_with_another_router(intent: Intent, refused, other: Intent) -> None:
    await intent.routers.create("second")
    await intent.interfaces.add("second", "four", address="10.1.0.254")
    await refused(
        intent.routes.add("edge", "10.9.0.0/16", next_hops=["10.1.0.5", "10.1.0.254"]),
        Invalid,
        "next hop 10.1.0.254 is another router",
    )
    await intent.routes.add("edge", "10.9.0.0/16", next_hops=["10.1.0.254"])
    await refused(
        intent.routes.add("second", "10.9.0.0/16", next_hops=["10.1.0.1"]),
        Clash,
        "packets would go round in a circle: second -> edge -> second",
    )


async def test_routers_are_joined_when_both_sides_say_so(intent: Intent, refused, other: Intent) -> None:
    via = {"via": "other/edge"}
    await refused(
        intent.routes.add("edge", "10.9.0.0/16", **via), Clash, "is not joined to router 'other/edge'"
    )
    await intent.peerings.add("edge", "other/edge")
    await refused(
        intent.routes.add("edge", "10.9.0.0/16", **via),
        Clash,
        "router 'other/edge' has not agreed to be joined to router 'edge': "
        "it waits for 'plait -p other router peer add edge default/edge'",
    )
    assert [peer.state for peer in await intent.peerings.list("edge")] == [PeeringState.WAITING]
    assert [peer.state for peer in await other.peerings.list("edge")] == [PeeringState.ASKED]
    await refused(intent.peerings.add("edge", "other/edge"), Taken, "has asked already")
    await other.peerings.add("edge", (await intent.routers.get("edge")).id)
    assert [peer.state for peer in await intent.peerings.list("edge")] == [PeeringState.JOINED]
    await intent.routes.add("edge", "10.9.0.0/16", **via)
    await refused(
        other.routes.add("edge", "10.9.0.0/16", via="default/edge"),
        Clash,
        "packets would go round in a circle: edge -> default/edge -> edge",
    )
    await refused(
        intent.peerings.remove("edge", "other/edge"), InUse, "router 'edge' has 1 route (10.9.0.0/16) through"
    )
    await refused(
        other.routers.delete("edge", cascade=True), InUse, "router 'default/edge' has 1 route (10.9.0.0/16)"
    )
    await other.peerings.remove("edge", "default/edge")
    await intent.routes.remove("edge", "10.9.0.0/16")
    await other.routers.delete("edge", cascade=True)
    assert await intent.peerings.list("edge") == []


async def test_a_router_is_not_joined_to_itself_or_to_nobody(intent: Intent, refused, other: Intent) -> None:
    await refused(intent.peerings.add("edge", "edge"), Invalid, "router 'edge' can't be joined to itself")
    await refused(intent.peerings.add("edge", "nope"), NotFound, "there is no router 'nope'")
    await refused(intent.peerings.add("edge", "other/nope"), NotFound, "no router 'nope' in project 'other'")
    await refused(intent.peerings.remove("edge", "other/edge"), NotFound, "does not ask to be joined")


async def test_routers_that_would_reach_the_same_addresses_are_not_joined(
    intent: Intent, refused, other: Intent
) -> None:
    await other.networks.create("m")
    await other.subnets.create("m", "10.1.0.128/25", name="inside")
    await other.interfaces.add("edge", "inside")
    await intent.peerings.add("edge", "other/edge")
    await refused(other.peerings.add("edge", "default/edge"), Clash, "would reach two subnets that overlap")
    await other.interfaces.remove("edge", "inside")
    await other.peerings.add("edge", "default/edge")
    await refused(
        other.interfaces.add("edge", "inside"),
        Clash,
        "would reach two subnets that overlap: "
        "10.1.0.0/24 of router 'default/edge' and 10.1.0.128/25 of router 'edge'",
    )


async def test_what_is_behind_a_joined_router_may_overlap(intent: Intent, store, other: Intent) -> None:
    third = Intent(store, project="third")
    await third.networks.create("n")
    await third.subnets.create("n", "10.1.0.0/24", name="same")
    await third.routers.create("edge")
    await third.interfaces.add("edge", "same")
    await third.peerings.add("edge", "other/edge")
    await other.peerings.add("edge", "third/edge")
    await intent.peerings.add("edge", "other/edge")
    with pytest.raises(Clash, match="router 'edge' would reach two subnets that overlap"):
        await other.peerings.add("edge", "default/edge")


async def test_a_router_goes_with_all_that_it_has(intent: Intent, refused, other: Intent) -> None:
    await join(intent, other)
    await intent.routes.add("edge", "0.0.0.0/0", next_hops=["10.1.0.5"])
    await refused(intent.routers.delete("edge"), InUse, "router 'edge' is on 2 subnets")
    await intent.routers.delete("edge", cascade=True)
    assert await other.peerings.list("edge") == []
    assert await intent.routers.list() == []


async def test_what_a_router_gives_up_may_not_uncover_a_circle(
    intent: Intent, refused, other: Intent
) -> None:
    await join(intent, other)
    await intent.networks.create("m")
    await intent.subnets.create("m", "10.9.0.0/24", name="inside")
    await intent.interfaces.add("edge", "inside")
    await other.routes.add("edge", "10.9.0.0/24", via="default/edge")
    await intent.routes.add("edge", "10.9.0.0/16", via="other/edge")
    await refused(
        intent.interfaces.remove("edge", "inside"),
        Clash,
        "packets would go round in a circle: edge -> other/edge -> edge",
    )
    await other.routes.remove("edge", "10.9.0.0/24")
    await intent.interfaces.remove("edge", "inside")


async def test_nobody_is_kept_joined_by_the_routes_of_others(store, intent: Intent, other: Intent) -> None:
    await join(intent, other)
    third = Intent(store, project="third")
    await third.networks.create("n")
    await third.subnets.create("n", "10.9.0.0/24", name="four")
    await third.routers.create("edge")
    await third.interfaces.add("edge", "four")
    await third.peerings.add("edge", "default/edge")
    await intent.peerings.add("edge", "third/edge")
    await other.routes.add("edge", "10.9.0.0/24", via="default/edge")
    await intent.routes.add("edge", "10.9.0.0/16", via="other/edge")
    await third.peerings.remove("edge", "default/edge")
    assert [peer.state for peer in await third.peerings.list("edge")] == [PeeringState.ASKED]


Way = Callable[[Intent, Intent], Awaitable[object]]


def make_route(one: Intent, _: Intent) -> Awaitable[object]:
    return one.routes.add("edge", "10.9.0.0/16", via="other/edge")


def make_route_back(_: Intent, other: Intent) -> Awaitable[object]:
    return other.routes.add("edge", "10.9.0.0/16", via="default/edge")


def widen(one: Intent, _: Intent) -> Awaitable[object]:
    return one.interfaces.add("edge", "wide")


def widen_there(_: Intent, other: Intent) -> Awaitable[object]:
    return other.interfaces.add("edge", "wide")


@pytest.mark.parametrize(
    ("one", "another"),
    [
        (make_route, make_route_back),
        (make_route, lambda one, _: one.peerings.remove("edge", "other/edge")),
        (make_route, lambda _, other: other.routers.delete("edge", cascade=True)),
        (widen, widen_there),
        (widen, lambda one, _: one.subnets.delete("wide")),
        (widen, lambda one, _: one.subnets.set("wide", gateway="10.50.0.7")),
        (widen, lambda one, _: one.networks.delete("m", cascade=True)),
        (widen, lambda one, _: one.routers.delete("edge", cascade=True)),
        (widen, lambda one, _: one.ports.create(PortSpec(network="m", addresses=("10.50.0.1",)))),
        (
            lambda one, _: one.routes.add("edge", "10.9.0.0/16", next_hops=["10.1.0.5"]),
            lambda one, _: one.interfaces.remove("edge", "four"),
        ),
        (
            lambda one, _: one.routes.add("edge", "10.9.0.0/16", next_hops=["10.1.0.254"]),
            lambda one, _: one.interfaces.add("back", "four", address="10.1.0.254"),
        ),
        (
            lambda one, _: one.interfaces.add("edge", "wide"),
            lambda one, _: one.routes.add("edge", "10.50.0.0/16", next_hops=["10.1.0.5"]),
        ),
    ],
)
async def test_two_that_exclude_each_other_never_both_win(
    interleaving, routed_well, one: Way, another: Way
) -> None:
    for seed in range(40):
        store = interleaving(seed)
        first, second = Intent(store), Intent(store, project="other")
        for project, number in ((first, 1), (second, 2)):
            await project.networks.create("n")
            await project.subnets.create("n", f"10.{number}.0.0/24", name="four")
            await project.networks.create("m")
            await project.subnets.create("m", "10.50.0.0/16", name="wide")
            await project.routers.create("edge")
            await project.interfaces.add("edge", "four")
        await first.routers.create("back")
        await first.subnets.create("m", "10.60.0.0/16", name="behind")
        await first.interfaces.add("back", "behind")
        await join(first, second)
        await asyncio.gather(one(first, second), another(first, second), return_exceptions=True)
        assert await audit(store) == []
        await routed_well(store)
