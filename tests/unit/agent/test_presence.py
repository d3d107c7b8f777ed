"""How a host stands in the store: under a lease, alone with its name, whatever others do to its records."""

import asyncio
from collections.abc import Callable

from plait.agent.presence import NAME, Presence
from plait.lab.stores import FaultyStore
from plait.model import codec
from plait.model.entities import Health, LiveHost
from plait.store import keys
from plait.store.api import Delete, LeaseId, Put, Store
from plait.store.memory import MemoryStore

from .feeds import running

HOUR_S = 3600.0
HERE, THERE = "172.16.0.1", "172.16.0.9"


class Leases(MemoryStore):
    """Remembers what was granted, so that a test can end a lease as its time would."""

    def __init__(self) -> None:
        super().__init__()
        self.granted: list[tuple[LeaseId, float]] = []

    async def grant(self, ttl_s: float) -> LeaseId:
        lease = await super().grant(ttl_s)
        self.granted.append((lease, ttl_s))
        return lease


def presence(store: Store, address: str = HERE, names: list[bool] | None = None) -> Presence:
    heard = (names if names is not None else []).append
    made = Presence(store, "h1", address=address, ttl_s=HOUR_S, stopped_ttl_s=2 * HOUR_S, on_name=heard)
    made.appear(LiveHost(name="h1", vtep=address))
    return made


async def found(store: Store, key: str) -> bytes | None:
    item = (await store.get([key])).items.get(key)
    return None if item is None else item.value


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0)


async def until_stands(store: Store, key: str, value: bytes | None) -> None:
    async with asyncio.timeout(10):
        while await found(store, key) != value:  # noqa: ASYNC110 - a store has no event
            await asyncio.sleep(0)


LIVE = codec.encode(LiveHost(name="h1", vtep=HERE))


async def test_a_host_is_known_for_good_and_alive_under_its_lease() -> None:
    store = Leases()
    async with running(presence(store).run()):
        await until_stands(store, keys.host("h1"), LIVE)
    await store.revoke(store.granted[0][0])
    assert await found(store, keys.inventory("h1")) is not None
    assert await found(store, keys.host("h1")) is None
    assert await found(store, keys.health("h1")) is None


async def test_what_is_wrong_with_a_part_is_said_and_said_again_when_it_is_well() -> None:
    store = MemoryStore()
    present = presence(store)

    async def components() -> dict[str, str]:
        value = await found(store, keys.health("h1"))
        return {} if value is None else dict(codec.decode(Health, value).components)

    async with running(present.run()), asyncio.timeout(10):
        present.component("disk", "full")
        while (await components()).get("disk") != "full":  # noqa: ASYNC110 - a store has no event
            await asyncio.sleep(0)
        present.component("disk", "ok")
        while (await components()).get("disk") != "ok":  # noqa: ASYNC110 - a store has no event
            await asyncio.sleep(0)


async def test_a_clean_stop_leaves_the_host_alive_for_its_time_and_the_agent_gone() -> None:
    store = Leases()
    present = presence(store)
    async with running(present.run()):
        await until_stands(store, keys.host("h1"), LIVE)
    await present.part(for_good=False)
    assert await found(store, keys.host("h1")) == LIVE
    assert await found(store, keys.health("h1")) is None
    lease, ttl_s = store.granted[-1]
    assert ttl_s == 2 * HOUR_S
    await store.revoke(lease)
    assert await found(store, keys.host("h1")) is None


async def test_a_host_that_shuts_down_leaves_at_once() -> None:
    store = MemoryStore()
    present = presence(store)
    async with running(present.run()):
        await until_stands(store, keys.host("h1"), LIVE)
    await present.part(for_good=True)
    assert await found(store, keys.host("h1")) is None


async def test_a_record_that_somebody_removed_or_replaced_is_written_anew() -> None:
    store = MemoryStore()
    present = presence(store)
    async with running(present.run()):
        await until_stands(store, keys.host("h1"), LIVE)
        for change in (
            Delete(keys.host("h1")),
            Delete(keys.inventory("h1")),
            Put(keys.host("h1"), b"nonsense"),
        ):
            await store.commit([], [change])
            present.doubt()
            await until_stands(store, keys.host("h1"), LIVE)
            async with asyncio.timeout(10):
                while await found(store, keys.inventory("h1")) is None:  # noqa: ASYNC110 - a store has no event
                    await asyncio.sleep(0)


async def test_doubt_without_reason_writes_nothing() -> None:
    memory = MemoryStore()
    store = FaultyStore(memory)
    present = presence(store)
    async with running(present.run()):
        await until_stands(memory, keys.host("h1"), LIVE)
        commits, gets = store.count("commit"), store.asked["get", keys.host("h1")]
        present.doubt()
        await until(lambda: store.asked["get", keys.host("h1")] > gets)
        await until(lambda: store.count("keep_alive") == 0)
        assert store.count("commit") == commits


async def test_an_outage_is_waited_for_and_the_host_stands_again_afterwards() -> None:
    memory = MemoryStore()
    store = FaultyStore(memory)
    store.lose()
    present = presence(store)
    async with running(present.run()):
        await until(lambda: store.count("get") == 0)
        store.find()
        await until_stands(memory, keys.host("h1"), LIVE)


async def test_the_second_agent_of_a_name_says_so_and_is_silent_until_the_first_is_gone() -> None:
    store = Leases()
    names: list[bool] = []
    first, second = presence(store), presence(store, THERE, names)
    async with running(first.run()):
        await until_stands(store, keys.host("h1"), LIVE)
        health = await found(store, keys.health("h1"))
        async with running(second.run()):
            await until(lambda: names == [False])
            assert HERE in second.components[NAME]
            assert "of its own" in second.components[NAME]
            assert await found(store, keys.host("h1")) == LIVE
            assert await found(store, keys.health("h1")) == health
            await store.revoke(store.granted[0][0])
            await until_stands(store, keys.host("h1"), codec.encode(LiveHost(name="h1", vtep=THERE)))
            assert names[-1] is True
            assert second.components[NAME] == "ok"


async def test_an_agent_that_slept_while_another_took_its_name_does_not_take_it_back() -> None:
    store = Leases()
    names: list[bool] = []
    first, second = presence(store, names=names), presence(store, THERE)
    other = codec.encode(LiveHost(name="h1", vtep=THERE))
    async with running(first.run()):
        await until_stands(store, keys.host("h1"), LIVE)
    await store.revoke(store.granted[0][0])
    async with running(second.run()):
        await until_stands(store, keys.host("h1"), other)
        names.clear()
        first.doubt()
        async with running(first.run()):
            await until(lambda: False in names)
            assert await found(store, keys.host("h1")) == other


async def test_a_host_whose_address_changed_is_no_stranger_once_its_old_agent_is_gone() -> None:
    store = MemoryStore()
    before = presence(store, THERE)
    async with running(before.run()):
        await until_stands(store, keys.host("h1"), codec.encode(LiveHost(name="h1", vtep=THERE)))
    await before.part(for_good=False)
    async with running(presence(store).run()):
        await until_stands(store, keys.host("h1"), LIVE)
