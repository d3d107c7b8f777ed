"""Random histories of routers and policies, one after the other and all at once: the store adds up."""

import asyncio
from collections.abc import Callable, Coroutine

from hypothesis import given, settings
from hypothesis import strategies as st

from plait.intent import Intent, IntentError, PortSpec, audit
from plait.intent.address_pairs import parse_pair
from plait.model import checks
from plait.model.checks import Invalid
from plait.model.policy import MAX_PRIORITY, Action, Direction
from plait.store.api import Store

Wish = tuple[str, ...]

projects = st.sampled_from(["one", "two"])
routers = st.sampled_from(["r", "s"])
peers = st.sampled_from(["one/r", "one/s", "two/r", "two/s"])
subnets = st.sampled_from(["a", "b", "wide"])
addresses = st.sampled_from(["", "10.0.0.1", "10.0.0.5", "10.1.0.5"])
# Only who asked for the gateway is at .1, so that it must be the gateway ever after.
interfaces = st.sampled_from(["", "10.0.0.5", "10.1.0.5"])
prefixes = st.sampled_from(["10.0.0.0/24", "10.9.0.0/16", "0.0.0.0/0"])
groups = st.sampled_from(["g", "h"])
ports = st.sampled_from(["p", "q"])
ends = st.sampled_from(["g", "h", "p", "q"])

routing = st.one_of(
    st.tuples(st.just("router"), routers),
    st.tuples(st.just("drop router"), routers),
    st.tuples(st.just("drop all of router"), routers),
    st.tuples(st.just("interface"), routers, subnets, interfaces),
    st.tuples(st.just("interface"), routers, subnets, interfaces),
    st.tuples(st.just("drop interface"), routers, subnets),
    st.tuples(st.just("peer"), routers, peers),
    st.tuples(st.just("peer"), routers, peers),
    st.tuples(st.just("drop peer"), routers, peers),
    st.tuples(st.just("route"), routers, prefixes, addresses),
    st.tuples(st.just("route via"), routers, prefixes, peers),
    st.tuples(st.just("drop route"), routers, prefixes),
    st.tuples(st.just("subnet"), subnets),
    st.tuples(st.just("drop subnet"), subnets),
    st.tuples(st.just("gateway"), subnets, addresses),
    st.tuples(st.just("port at"), ports, addresses),
    st.tuples(st.just("pair"), ports, addresses),
)
policy = st.one_of(
    st.tuples(st.just("group"), groups),
    st.tuples(st.just("drop group"), groups),
    st.tuples(st.just("member"), groups, ports),
    st.tuples(st.just("drop member"), groups, ports),
    st.tuples(st.just("rule"), groups, groups),
    st.tuples(st.just("address rule"), groups),
    st.tuples(st.just("drop rule"), groups),
    st.tuples(st.just("addresses"), prefixes),
    st.tuples(st.just("drop addresses")),
    st.tuples(st.just("connect"), ends, ends),
    st.tuples(st.just("disconnect"), ends, ends),
    st.tuples(st.just("connect"), ends, ends),
    st.tuples(st.just("disconnect"), ends, ends),
    st.tuples(st.just("port"), ports, groups),
    st.tuples(st.just("port"), ports, groups),
    st.tuples(st.just("port groups"), ports, groups),
    st.tuples(st.just("drop port"), ports),
    st.tuples(st.just("insecure"), ports),
)

PREFIXES = {"a": "10.0.0.0/24", "b": "10.1.0.0/24", "wide": "10.0.0.0/16"}

WAYS: dict[str, Callable[..., Coroutine[None, None, object]]] = {
    "router": lambda intent, name: intent.routers.create(name),
    "drop router": lambda intent, name: intent.routers.delete(name),
    "drop all of router": lambda intent, name: intent.routers.delete(name, cascade=True),
    "interface": lambda intent, router, subnet, address: intent.interfaces.add(
        router, subnet, address=address or None
    ),
    "drop interface": lambda intent, router, subnet: intent.interfaces.remove(router, subnet),
    "peer": lambda intent, router, peer: intent.peerings.add(router, peer),
    "drop peer": lambda intent, router, peer: intent.peerings.remove(router, peer),
    "route": lambda intent, router, prefix, hop: intent.routes.add(router, prefix, next_hops=[hop]),
    "route via": lambda intent, router, prefix, via: intent.routes.add(router, prefix, via=via),
    "drop route": lambda intent, router, prefix: intent.routes.remove(router, prefix),
    "subnet": lambda intent, name: intent.subnets.create(f"n-{name}", PREFIXES[name], name=name),
    "drop subnet": lambda intent, name: intent.subnets.delete(name),
    "gateway": lambda intent, name, gateway: intent.subnets.set(name, gateway=gateway or None),
    "port at": lambda intent, name, address: intent.ports.create(
        PortSpec(network="n-a", name=name, addresses=(address,))
    ),
    "pair": lambda intent, name, address: intent.ports.set(name, address_pairs=(parse_pair(address),)),
    "group": lambda intent, name: intent.groups.create(name),
    "drop group": lambda intent, name: intent.groups.delete(name),
    "member": lambda intent, group, port: intent.members.add(group, [port]),
    "drop member": lambda intent, group, port: intent.members.remove(group, [port]),
    "rule": lambda intent, group, other: intent.rules.add(
        group, Direction.INGRESS, name="rule", remote_group=other
    ),
    "address rule": lambda intent, group: intent.rules.add(
        group, Direction.INGRESS, name="rule", address_group="set"
    ),
    "drop rule": lambda intent, group: intent.rules.remove(group, "rule"),
    "addresses": lambda intent, prefix: intent.address_groups.create("set", [prefix]),
    "drop addresses": lambda intent: intent.address_groups.delete("set"),
    "connect": lambda intent, one, other: intent.connections.connect(one, other),
    "disconnect": lambda intent, one, other: intent.connections.disconnect(one, other),
    "port": lambda intent, name, group: intent.ports.create(
        PortSpec(network="n-a", name=name, groups=(group,))
    ),
    "port groups": lambda intent, name, group: intent.ports.set(name, groups=(group,)),
    "drop port": lambda intent, name: intent.ports.delete(name),
    "insecure": lambda intent, name: intent.ports.set(name, security=False),
}


async def grant(intent: Intent, wish: Wish) -> None:
    """Carry out a wish; that it is refused is as good an outcome as any."""
    what, *args = wish
    try:
        await WAYS[what](intent, *args)
    except (IntentError, Invalid):
        return


async def begin(intent: Intent) -> None:
    """What most wishes need, so that more than their refusal is tested."""
    for name in PREFIXES:
        await intent.networks.create(f"n-{name}")
        await intent.subnets.create(f"n-{name}", PREFIXES[name], name=name)
    await intent.routers.create("r")
    await intent.groups.create("g")
    await intent.ports.create(PortSpec(network="n-a", name="p"))


async def policies_add_up(store: Store) -> None:
    """Pairs are whole, ports with policies have port security, nobody may send as somebody else."""
    for project in ("one", "two"):
        intent = Intent(store, project=project)
        everybody = await intent.ports.list()
        for port in everybody:
            assert port.security or not (port.groups or port.address_pairs)
            for pair in port.address_pairs:
                prefix = checks.prefix(pair.prefix)
                others = [ip for other in everybody if other is not port for ip in other.ips]
                assert not any(checks.ip(ip) in prefix for ip in others)
                for subnet in await intent.subnets.list(port.network):
                    assert subnet.gateway is None or checks.ip(subnet.gateway) not in prefix
            own = await intent.rules.of_port(port.id)
            assert bool(own) == any(group.startswith("port-") for group in port.groups)
        for connection in await intent.connections.list():
            for one, other in ((connection.one, connection.other), (connection.other, connection.one)):
                is_group = one in ("g", "h")
                rules = await intent.rules.list(one) if is_group else await intent.rules.of_port(one)
                named = {rule.name: rule for rule in rules}
                rule = named[f"{connection.policy}:{other}"]
                assert (rule.action is Action.DENY) == (rule.priority == MAX_PRIORITY)


def histories(wishes: st.SearchStrategy[Wish]) -> st.SearchStrategy[list[tuple[str, Wish]]]:
    return st.lists(st.tuples(projects, wishes), min_size=5, max_size=40)


@settings(max_examples=150, deadline=None)
@given(histories(routing))
def test_after_every_wish_routers_add_up(interleaving, routed_well, history: list[tuple[str, Wish]]) -> None:
    async def run() -> None:
        store = interleaving(0)
        for project in ("one", "two"):
            await begin(Intent(store, project=project))
        for project, wish in history:
            await grant(Intent(store, project=project), wish)
            assert await audit(store) == []
            await routed_well(store, may_go_round=True)
        await policies_add_up(store)

    asyncio.run(run())


@settings(max_examples=150, deadline=None)
@given(histories(policy))
def test_after_every_wish_policies_add_up(interleaving, history: list[tuple[str, Wish]]) -> None:
    async def run() -> None:
        store = interleaving(0)
        await begin(Intent(store, project="one"))
        for _, wish in history:
            await grant(Intent(store, project="one"), wish)
            assert await audit(store) == []
            await policies_add_up(store)

    asyncio.run(run())


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(projects, st.lists(routing | policy, min_size=2, max_size=8)), min_size=2, max_size=5),
    st.integers(0, 2**32),
)
def test_whoever_meets_whom_the_store_adds_up(
    interleaving, routed_well, users: list[tuple[str, list[Wish]]], seed: int
) -> None:
    async def run() -> None:
        store = interleaving(seed)
        for project in ("one", "two"):
            await begin(Intent(store, project=project))

        async def user(project: str, history: list[Wish]) -> None:
            intent = Intent(store, project=project)
            for wish in history:
                await grant(intent, wish)

        await asyncio.gather(*(user(*each) for each in users))
        assert await audit(store) == []
        await routed_well(store, may_go_round=True)
        await policies_add_up(store)

    asyncio.run(run())
