"""The living hosts, followed in a store that comes and goes."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import pytest

from plait.lab.stores import FaultyStore
from plait.model import codec
from plait.model.entities import LiveHost
from plait.reach.hosts import HostDown, HostEvent, HostsKnown, HostUp, living_hosts
from plait.store import keys
from plait.store.api import Delete, Put
from plait.store.follow import Available, Retry, Unavailable
from plait.store.memory import MemoryStore

A, B = (LiveHost(name=name, vtep=f"172.16.0.{number}") for number, name in enumerate("ab", start=1))


@pytest.fixture
def store() -> FaultyStore:
    return FaultyStore(MemoryStore())


def hosts(store: FaultyStore, *, grace_s: float, believed: tuple[LiveHost, ...] = ()):
    return living_hosts(store, grace_s=grace_s, believed=believed, retry=Retry(lambda low, high: 0.0))


async def live(store: FaultyStore, *records: LiveHost) -> None:
    await store.commit([], [Put(keys.host(record.name), codec.encode(record)) for record in records])


async def until(told: AsyncGenerator[HostEvent, None], holds: Callable[[HostEvent], bool]) -> list[HostEvent]:
    """Everything up to and with the first event that `holds` is true of."""
    heard = [await anext(told)]
    while not holds(heard[-1]):
        heard.append(await anext(told))
    return heard


async def test_who_lives_is_told_then_who_comes_changes_and_dies(store: FaultyStore) -> None:
    await live(store, A)
    async with aclosing(hosts(store, grace_s=0)) as told:
        assert [await anext(told), await anext(told)] == [HostUp(A), HostsKnown()]
        await live(store, B)
        assert await anext(told) == HostUp(B)
        moved = LiveHost(name="b", vtep="172.16.0.9")
        await live(store, moved)
        assert await anext(told) == HostUp(moved)
        await store.commit([], [Delete(keys.host("a"))])
        assert await anext(told) == HostDown("a")


async def test_a_record_that_becomes_unreadable_is_none(store: FaultyStore) -> None:
    await live(store, A)
    async with aclosing(hosts(store, grace_s=0)) as told:
        assert [await anext(told), await anext(told)] == [HostUp(A), HostsKnown()]
        await store.commit([], [Put(keys.host("a"), b"{"), Put(keys.host("b"), codec.encode(A))])
        assert await anext(told) == HostDown("a")


async def test_after_an_outage_only_a_host_that_stays_away_is_dead(store: FaultyStore) -> None:
    memory = store._store
    await live(store, A, B)
    async with aclosing(hosts(store, grace_s=0.05)) as told:
        await until(told, lambda event: event == HostsKnown())
        store.lose()
        assert isinstance(await anext(told), Unavailable)
        await memory.commit([], [Delete(keys.host("a")), Delete(keys.host("b"))])
        store.find()
        assert await anext(told) == Available()
        await live(store, B)
        assert await anext(told) == HostDown("a")


async def test_after_a_restart_without_a_store_believed_hosts_have_the_same_grace(store: FaultyStore) -> None:
    store.lose()
    async with aclosing(hosts(store, grace_s=0.05, believed=(A,))) as told:
        assert await anext(told) == HostUp(A)
        assert isinstance(await anext(told), Unavailable)
        store.find()
        assert [await anext(told), await anext(told)] == [Available(), HostsKnown()]
        assert await anext(told) == HostDown("a")


async def test_a_believed_host_may_show_up_after_all_others_are_known(store: FaultyStore) -> None:
    await live(store, B)
    async with aclosing(hosts(store, grace_s=3600, believed=(A,))) as told:
        heard = await until(told, lambda event: event == HostsKnown())
        assert heard == [HostUp(A), HostUp(B), HostsKnown()]
        moved = LiveHost(name="a", vtep="172.16.0.9")
        await live(store, moved)
        assert await anext(told) == HostUp(moved)


async def test_a_believed_host_that_does_not_show_up_is_dead(store: FaultyStore) -> None:
    async with aclosing(hosts(store, grace_s=0.05, believed=(A,))) as told:
        heard = await until(told, lambda event: event == HostDown("a"))
    assert heard == [HostUp(A), HostsKnown(), HostDown("a")]
