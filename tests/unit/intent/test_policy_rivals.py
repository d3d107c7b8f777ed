"""Two at once, each of whom may alone: whoever wins, the store adds up."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from plait.intent import Intent, PortSpec, audit
from plait.intent.address_pairs import parse_pair
from plait.model import addresses, checks
from plait.model.entities import Ipv6Mode
from plait.model.policy import Direction
from plait.store.api import Store

Way = Callable[[Intent], Awaitable[object]]

WORLD = {
    "a": "10.0.0.0/24",
    "b": "10.1.0.0/24",
    "c": "10.2.0.0/24",
    "one": "10.50.0.0/24",
    "same": "10.50.0.0/16",
}


async def world(intent: Intent) -> None:
    """Subnets, routers r - s - t joined in a row, u that s has asked, groups g and h, ports p, q and x."""
    await intent.networks.create("n", subnets=["10.99.0.0/24"])
    for name, prefix in WORLD.items():
        await intent.networks.create(f"n-{name}")
        await intent.subnets.create(f"n-{name}", prefix, name=name)
    await intent.subnets.create("n", "fd00::/64", name="six")
    for router, subnet in (("r", "a"), ("s", "b"), ("t", "c"), ("u", "same"), ("v", "")):
        await intent.routers.create(router)
        if subnet:
            await intent.interfaces.add(router, subnet)
    for one, other in (("r", "s"), ("s", "r"), ("s", "t"), ("t", "s"), ("s", "u")):
        await intent.peerings.add(one, other)
    await intent.groups.create("g")
    await intent.groups.create("h")
    await intent.address_groups.create("set", ["192.0.2.0/24"])
    for name in ("p", "q", "x"):
        await intent.ports.create(PortSpec(network="n", name=name, subnets=("10.99.0.0/24",)))
    await intent.connections.disconnect("p", "q")
    for name in ("y", "z"):
        await intent.ports.create(PortSpec(network="n", name=name, subnets=("10.99.0.0/24",), groups=("h",)))
    await intent.connections.connect("y", "z")


def port(**fields: object) -> Way:
    return lambda intent: intent.ports.create(PortSpec(network="n", subnets=("10.99.0.0/24",), **fields))


def wish(thing: str, method: str, *args: object, **fields: object) -> Way:
    return lambda intent: getattr(getattr(intent, thing), method)(*args, **fields)


drop_g = wish("groups", "delete", "g")
drop_set = wish("address_groups", "delete", "set")
drop_v = wish("routers", "delete", "v", cascade=True)

RIVALS: dict[str, tuple[Way, Way]] = {
    "a group goes, a member comes": (drop_g, wish("members", "add", "g", ["x"])),
    "a group goes, a port is put into it": (drop_g, wish("ports", "set", "x", groups=("g",))),
    "a group goes, a port is made in it": (drop_g, port(groups=("g",))),
    "a group goes, it gets a rule": (drop_g, wish("rules", "add", "g", Direction.INGRESS, cidr="10.0.0.0/8")),
    "a group goes, a rule names it": (drop_g, wish("rules", "add", "h", Direction.INGRESS, remote_group="g")),
    "a group goes, it is connected": (drop_g, wish("connections", "connect", "g", "h")),
    "a group goes, a port is connected to it": (drop_g, wish("connections", "connect", "x", "g")),
    "addresses go, a rule names them": (
        drop_set,
        wish("rules", "add", "h", Direction.INGRESS, address_group="set"),
    ),
    "addresses go, one comes": (drop_set, wish("address_groups", "add", "set", ["10.0.0.1"])),
    "a port loses its last pair, and gets one": (
        wish("connections", "disconnect", "y", "z"),
        wish("connections", "connect", "y", "x"),
    ),
    "a port goes, it gets a pair": (wish("ports", "delete", "p"), wish("connections", "connect", "p", "x")),
    "a partner goes, a port gets a pair": (
        wish("ports", "delete", "q"),
        wish("connections", "connect", "x", "p"),
    ),
    "a port goes, it gets a group": (wish("ports", "delete", "x"), wish("members", "add", "g", ["x"])),
    "a router goes, it is asked": (drop_v, wish("peerings", "add", "r", "v")),
    "a router goes, it gets an interface": (drop_v, wish("interfaces", "add", "v", "one")),
    "a router goes, a route leads through it": (
        wish("routers", "delete", "t", cascade=True),
        wish("routes", "add", "s", "10.9.0.0/16", via="t"),
    ),
    "both neighbours of a router get the same": (
        wish("interfaces", "add", "r", "one"),
        wish("interfaces", "add", "t", "same", address="10.50.0.9"),
    ),
    "a router is joined to what its neighbour gets": (
        wish("peerings", "add", "u", "s"),
        wish("interfaces", "add", "t", "one"),
    ),
    "a subnet becomes autonomous, an address is chosen in it": (
        wish("subnets", "set", "six", ipv6_mode=Ipv6Mode.SLAAC),
        wish("secondary_addresses", "add", "x", address="fd00::99"),
    ),
    "a subnet becomes autonomous, a port has its next address": (
        wish("subnets", "set", "six", ipv6_mode=Ipv6Mode.SLAAC),
        wish("ports", "create", PortSpec(network="n", subnets=("six",))),
    ),
    "a subnet goes, a port gets an address of it": (
        wish("subnets", "delete", "six"),
        wish("secondary_addresses", "add", "x", subnet="six"),
    ),
    "an address becomes the gateway and a port's": (
        wish("subnets", "set", "six", gateway="fd00::99"),
        wish("secondary_addresses", "add", "x", address="fd00::99"),
    ),
    "an address becomes a port's and another's pair": (
        wish("ports", "set", "q", address_pairs=(parse_pair("10.99.0.77"),)),
        wish("ports", "create", PortSpec(network="n", addresses=("10.99.0.77",))),
    ),
    "an address becomes a port's and a new one's pair": (
        port(name="w", address_pairs=(parse_pair("10.99.0.76/31"),)),
        wish("ports", "create", PortSpec(network="n", addresses=("10.99.0.77",))),
    ),
    "an address becomes a router's and a port's pair": (
        wish("interfaces", "add", "v", "six", address="fd00::77"),
        wish("ports", "set", "q", address_pairs=(parse_pair("fd00::77"),)),
    ),
    "port security is lifted, a pair comes": (
        wish("ports", "set", "x", security=False),
        wish("connections", "connect", "x", "g"),
    ),
    "port security is lifted, a group comes": (
        wish("ports", "set", "x", security=False),
        wish("members", "add", "h", ["x"]),
    ),
}


@pytest.mark.parametrize("rivals", RIVALS)
async def test_two_that_exclude_each_other_never_both_win(interleaving, routed_well, rivals: str) -> None:
    for seed in range(40):
        store = interleaving(seed)
        users = [Intent(store), Intent(store)]
        await world(users[0])
        for user in users:  # now both remember the network and the group
            made = await user.ports.create(PortSpec(network="n", subnets=("10.99.0.0/24",), groups=("g",)))
            await user.ports.delete(made.id)
        delays = random.Random(seed)

        async def later(wish: Way, user: Intent, steps: int) -> None:
            for _ in range(steps):
                await asyncio.sleep(0)
            await wish(user)

        await asyncio.gather(
            *(
                later(wish, user, delays.randrange(25))
                for wish, user in zip(RIVALS[rivals], users, strict=True)
            ),
            return_exceptions=True,
        )
        assert await audit(store) == []
        await routed_well(store)
        await ports_are_told_apart(store)


async def ports_are_told_apart(store: Store) -> None:
    """Nobody has what is another's gateway, address pair or not its own; policies stand on port security."""
    intent = Intent(store)
    ports = await intent.ports.list()
    subnets = {subnet.id: subnet for subnet in await intent.subnets.list()}
    for port in ports:
        assert port.security or not port.groups
        for fixed in port.addresses:
            subnet = subnets[fixed.subnet]
            assert subnet.gateway != fixed.address
            assert not subnet.is_autonomous or fixed.address == addresses.autonomous(subnet, port.mac)
        for pair in port.address_pairs:
            prefix = checks.prefix(pair.prefix)
            routers = [await intent.routers.state(each.id) for each in await intent.routers.list()]
            taken = [ip for other in ports if other is not port for ip in other.ips]
            taken += [interface.address for router in routers for interface in router.interfaces]
            assert not any(checks.ip(ip) in prefix for ip in taken)


async def test_two_interfaces_never_close_a_circle(interleaving, routed_well) -> None:
    for seed in range(80):
        store = interleaving(seed)
        one, other = Intent(store), Intent(store)
        for name in ("a", "b"):
            await one.networks.create(f"n-{name}")
            await one.subnets.create(f"n-{name}", WORLD[name], name=name)
        for router, subnet, hop in (("r", "a", "10.0.0.5"), ("s", "b", "10.1.0.5")):
            await one.routers.create(router)
            await one.interfaces.add(router, subnet)
            await one.routes.add(router, "10.9.0.0/16", next_hops=[hop])
        outcomes = await asyncio.gather(
            one.interfaces.add("s", "a", address="10.0.0.5"),
            other.interfaces.add("r", "b", address="10.1.0.5"),
            return_exceptions=True,
        )
        assert sum(isinstance(each, BaseException) for each in outcomes) == 1
        await routed_well(store)


async def test_a_long_circle_is_never_closed_at_both_ends(interleaving, routed_well) -> None:
    for seed in range(80):
        store = interleaving(seed)
        one, other = Intent(store), Intent(store)
        for name in WORLD:
            await one.networks.create(f"n-{name}")
            await one.subnets.create(f"n-{name}", WORLD[name], name=name)
        for router in ("r", "s", "t", "u"):
            await one.routers.create(router)
        for router, subnet, address in (
            ("r", "a", "10.0.0.1"),
            ("s", "c", "10.2.0.1"),
            ("t", "c", "10.2.0.2"),
            ("t", "b", "10.1.0.1"),
            ("u", "one", "10.50.0.1"),
            ("r", "one", "10.50.0.2"),
        ):
            await one.interfaces.add(router, subnet, address=address)
        for router, hop in (("r", "10.0.0.5"), ("s", "10.2.0.2"), ("t", "10.1.0.5"), ("u", "10.50.0.2")):
            await one.routes.add(router, "10.9.0.0/16", next_hops=[hop])
        outcomes = await asyncio.gather(
            one.interfaces.add("s", "a", address="10.0.0.5"),
            other.interfaces.add("u", "b", address="10.1.0.5"),
            return_exceptions=True,
        )
        assert sum(isinstance(each, BaseException) for each in outcomes) == 1
        await routed_well(store)
