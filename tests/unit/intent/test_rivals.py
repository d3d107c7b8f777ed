"""Several frontends at once on the same things."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from plait.intent import Intent, PortSpec, audit
from plait.store import keys


async def test_many_creators_at_once_never_share_an_address(interleaving) -> None:
    store = interleaving(7)
    await Intent(store).networks.create("n", subnets=["10.0.0.0/24", "fd00::/64"])
    users = [Intent(store) for _ in range(25)]
    made = await asyncio.gather(
        *(user.ports.create(PortSpec(network="n")) for user in users for _ in range(8))
    )
    assert store.conflicts > 0, "the creators did not meet"
    assert len({ip for port in made for ip in port.ips}) == 400
    assert await audit(store) == []


async def test_a_full_subnet_is_filled_to_the_last_address_by_rivals(interleaving) -> None:
    store = interleaving(3)
    await Intent(store).networks.create("n", subnets=["10.0.0.0/27"])
    users = [Intent(store) for _ in range(40)]
    made = await asyncio.gather(
        *(user.ports.create(PortSpec(network="n")) for user in users), return_exceptions=True
    )
    assert sum(not isinstance(each, BaseException) for each in made) == 29
    assert {type(each).__name__ for each in made} == {"Port", "Full"}
    assert await audit(store) == []


async def test_of_two_overlapping_subnets_one_is_made(interleaving) -> None:
    for seed in range(20):
        store = interleaving(seed)
        await Intent(store).networks.create("n")
        prefixes = ("10.0.0.0/16", "10.0.1.0/24", "10.0.0.0/8")
        made = await asyncio.gather(
            *(Intent(store).subnets.create("n", prefix) for prefix in prefixes), return_exceptions=True
        )
        assert sum(not isinstance(each, BaseException) for each in made) == 1
        assert await audit(store) == []


async def test_a_port_creation_reads_the_same_however_many_ports_there_are(interleaving) -> None:
    store = interleaving(1)
    intent = Intent(store)
    await intent.hosts.create("h")
    await intent.networks.create("n", subnets=["10.0.0.0/16"])
    await intent.ports.create(PortSpec(network="n", host="h"))
    await intent.ports.create_many([PortSpec(network="n", host="h") for _ in range(2000)])
    await intent.ports.create(PortSpec(network="n", host="h"))
    before = store.reads
    await intent.ports.create(PortSpec(network="n", host="h"))
    assert store.reads - before == 1


async def test_a_cancelled_creation_leaves_nothing(interleaving) -> None:
    store = interleaving(5)
    intent = Intent(store)
    await intent.networks.create("n", subnets=["10.0.0.0/16"])
    begun = asyncio.Event()
    task = asyncio.create_task(
        intent.ports.create_many([PortSpec(network="n")] * 500, on_progress=lambda _: begun.set())
    )
    await begun.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert (await store.snapshot(keys.PORTS)).items == {}
    assert await audit(store) == []


Way = Callable[[Intent], Awaitable[object]]


def create_port(intent: Intent) -> Awaitable[object]:
    return intent.ports.create(PortSpec(network="n", name="new", host="h", subnets=("s",)))


def give_address(intent: Intent) -> Awaitable[object]:
    return intent.ports.set("old", addresses=("10.0.0.2",))


def reserve_address(intent: Intent) -> Awaitable[object]:
    return intent.subnets.set("s", gateway="10.0.0.2")


def drop_network(intent: Intent) -> Awaitable[object]:
    return intent.networks.delete("n", cascade=True)


def create_subnet(intent: Intent) -> Awaitable[object]:
    return intent.subnets.create("n", "10.9.0.0/24")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (create_port, lambda intent: intent.subnets.delete("s")),
        (create_port, lambda intent: intent.hosts.delete("h")),
        (create_port, drop_network),
        (create_port, reserve_address),
        (create_subnet, drop_network),
        (give_address, lambda intent: intent.subnets.delete("s")),
        (give_address, reserve_address),
        (give_address, lambda intent: intent.ports.delete("old")),
        (lambda intent: intent.ports.set("old", host="h"), lambda intent: intent.hosts.delete("h")),
        (lambda intent: intent.ports.set("old", host="h"), lambda intent: intent.ports.delete("old")),
        (lambda intent: intent.ports.set("old", name="a"), lambda intent: intent.networks.set("n", name="a")),
    ],
    ids=lambda way: getattr(way, "__name__", ""),
)
async def test_two_that_exclude_each_other_never_both_win(interleaving, one: Way, other: Way) -> None:
    for seed in range(80):
        store = interleaving(seed)
        first, second = Intent(store), Intent(store)
        await first.hosts.create("h")
        await first.networks.create("n")
        await first.ports.create(PortSpec(network="n", name="old"))
        await first.subnets.create("n", "10.0.0.0/29", name="s")
        await first.ports.create(PortSpec(network="n", name="new"))
        await first.ports.delete("new")  # now the network is remembered, and both take about as long
        await asyncio.gather(one(first), other(second), return_exceptions=True)
        assert await audit(store) == []
        subnets = {subnet.id: subnet for subnet in await first.subnets.list()}
        hosts = {state.host.name for state in await first.hosts.list()}
        for port in await first.ports.list():
            assert all(subnets[fixed.subnet].gateway != fixed.address for fixed in port.addresses)
            assert port.host is None or port.host in hosts
