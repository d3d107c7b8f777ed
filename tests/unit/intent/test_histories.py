"""Random histories, one after the other and all at once: whatever happens, the store adds up."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine

from hypothesis import given, settings
from hypothesis import strategies as st

from plait.intent import Intent, IntentError, PortSpec, audit
from plait.model.checks import Invalid
from plait.model.numbers import Space
from plait.store.api import Store

Wish = tuple[str, ...]

names = st.sampled_from(["a", "b", "c"])
networks = st.sampled_from(["n1", "n2"])
hosts = st.sampled_from(["h1", "h2"])
prefixes = st.sampled_from(["10.0.0.0/29", "10.0.0.0/30", "10.0.0.8/29", "fd00::/125"])
addresses = st.sampled_from(["10.0.0.2", "10.0.0.5", "10.0.0.10", "fd00::3"])

wishes = st.one_of(
    st.tuples(st.just("network"), networks),
    st.tuples(st.just("drop network"), networks),
    st.tuples(st.just("drop all of"), networks),
    st.tuples(st.just("subnet"), networks, prefixes),
    st.tuples(st.just("drop subnet"), networks, prefixes),
    st.tuples(st.just("gateway"), networks, prefixes, addresses),
    st.tuples(st.just("port"), networks, names, hosts),
    st.tuples(st.just("port"), networks, names, hosts),
    st.tuples(st.just("port at"), networks, names, addresses),
    st.tuples(st.just("ports"), networks, st.sampled_from(["3", "20"])),
    st.tuples(st.just("drop port"), names),
    st.tuples(st.just("move"), names, hosts),
    st.tuples(st.just("readdress"), names, addresses),
    st.tuples(st.just("host"), hosts),
    st.tuples(st.just("drop host"), hosts),
)


async def grant(intent: Intent, wish: Wish) -> None:
    """Carry out a wish; that it is refused is as good an outcome as any."""
    what, *args = wish
    try:
        await WAYS[what](intent, *args)
    except (IntentError, Invalid):
        return


async def begin(intent: Intent) -> None:
    """What most wishes need, so that more than their refusal is tested."""
    for network in ("n1", "n2"):
        await intent.networks.create(network, subnets=["10.0.0.0/29"])
    for host in ("h1", "h2"):
        await intent.hosts.create(host)


async def drop_subnet(intent: Intent, network: str, prefix: str) -> None:
    for subnet in await intent.subnets.list(network):
        if subnet.prefix == prefix:
            await intent.subnets.delete(subnet.id)


async def set_gateway(intent: Intent, network: str, prefix: str, gateway: str) -> None:
    for subnet in await intent.subnets.list(network):
        if subnet.prefix == prefix:
            await intent.subnets.set(subnet.id, gateway=gateway)


WAYS: dict[str, Callable[..., Coroutine[None, None, object]]] = {
    "network": lambda intent, name: intent.networks.create(name),
    "drop network": lambda intent, name: intent.networks.delete(name),
    "drop all of": lambda intent, name: intent.networks.delete(name, cascade=True),
    "subnet": lambda intent, network, prefix: intent.subnets.create(network, prefix),
    "drop subnet": drop_subnet,
    "gateway": set_gateway,
    "port": lambda intent, network, name, host: intent.ports.create(
        PortSpec(network=network, name=name, host=host, device=name)
    ),
    "port at": lambda intent, network, name, address: intent.ports.create(
        PortSpec(network=network, name=name, addresses=(address,))
    ),
    "ports": lambda intent, network, count: intent.ports.create_many(
        [PortSpec(network=network)] * int(count)
    ),
    "drop port": lambda intent, name: intent.ports.delete(name),
    "move": lambda intent, name, host: intent.ports.set(name, host=host),
    "readdress": lambda intent, name, address: intent.ports.set(name, addresses=(address,)),
    "host": lambda intent, name: intent.hosts.create(name),
    "drop host": lambda intent, name: intent.hosts.delete(name),
}


async def everything_adds_up(store: Store) -> None:
    assert await audit(store) == []
    ports = await Intent(store).ports.list()
    twice = Counter((fixed.subnet, fixed.address) for port in ports for fixed in port.addresses)
    assert all(count == 1 for count in twice.values()), twice
    subnets = {subnet.id: subnet for subnet in await Intent(store).subnets.list()}
    for port in ports:
        for fixed in port.addresses:
            assert subnets[fixed.subnet].network == port.network
            assert subnets[fixed.subnet].gateway != fixed.address
    for network in await Intent(store).networks.list():
        prefixes = [subnet for subnet in subnets.values() if subnet.network == network.id]
        assert len({subnet.prefix for subnet in prefixes} & {"10.0.0.0/29", "10.0.0.0/30"}) <= 1


@settings(max_examples=150, deadline=None)
@given(st.lists(wishes, min_size=5, max_size=30))
def test_after_every_wish_the_store_adds_up(interleaving, history: list[Wish]) -> None:
    async def run() -> None:
        store = interleaving(0)
        intent = Intent(store, vnis=Space(1, 2))
        await begin(intent)
        for wish in history:
            await grant(intent, wish)
            await everything_adds_up(store)

    asyncio.run(run())


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(wishes, min_size=2, max_size=8), min_size=2, max_size=5), st.integers(0, 2**32))
def test_whoever_meets_whom_the_store_adds_up(interleaving, histories: list[list[Wish]], seed: int) -> None:
    async def run() -> None:
        store = interleaving(seed)
        await begin(Intent(store))

        async def user(history: list[Wish]) -> None:
            intent = Intent(store, vnis=Space(1, 2))
            for wish in history:
                await grant(intent, wish)

        await asyncio.gather(*(user(history) for history in histories))
        await everything_adds_up(store)

    asyncio.run(run())
