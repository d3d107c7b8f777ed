"""Following a prefix: whoever applies what is told holds what the store holds, whatever happens to it."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import pytest

from plait.lab.stores import FaultyStore
from plait.store.api import Batch, Change, Compacted, Delete, Put, Revision
from plait.store.follow import Available, Changes, Followed, Full, Retry, Unavailable, follow
from plait.store.memory import MemoryStore


def at_once() -> Retry:
    return Retry(lambda low, high: 0.0)


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def store(memory: MemoryStore) -> FaultyStore:
    return FaultyStore(memory)


@pytest.fixture
async def told(store: FaultyStore) -> AsyncIterator[AsyncGenerator[Followed, None]]:
    events = follow(store, "a/", retry=at_once())
    yield events
    await events.aclose()


def apply(state: dict[str, bytes], event: Followed) -> None:
    match event:
        case Full(_, items):
            state.clear()
            state.update(items)
        case Changes(_, changes):
            for change in changes:
                if change.value is None:
                    state.pop(change.key, None)
                else:
                    state[change.key] = change.value


async def test_it_begins_with_everything_and_goes_on_with_every_change(memory, told) -> None:
    await memory.commit([], [Put("a/1", b"x"), Put("b/1", b"other")])
    assert await anext(told) == Full(Revision(1), {"a/1": b"x"})
    await memory.commit([], [Put("b/1", b"still other")])
    await memory.commit([], [Put("a/2", b"y"), Delete("a/1")])
    assert await anext(told) == Changes(Revision(3), (Change("a/2", b"y"), Change("a/1", None)))


async def test_a_lost_store_takes_nothing_back_and_only_what_was_missed_is_told(memory, store, told) -> None:
    await memory.commit([], [Put("a/1", b"x")])
    await anext(told)
    store.lose()
    assert isinstance(await anext(told), Unavailable)
    await memory.commit([], [Put("a/2", b"y")])
    store.find()
    assert await anext(told) == Available()
    assert await anext(told) == Changes(Revision(2), (Change("a/2", b"y"),))
    assert store.asked["snapshot", "a/"] == 1


async def test_the_return_of_the_store_is_told_though_nothing_changed(memory, store, told) -> None:
    await memory.commit([], [Put("a/1", b"x")])
    await anext(told)
    store.lose()
    assert isinstance(await anext(told), Unavailable)
    store.find()
    assert await anext(told) == Available()


async def test_a_store_that_is_away_at_the_start_is_told_once_and_waited_for(memory, store, told) -> None:
    store.lose()
    assert isinstance(await anext(told), Unavailable)
    waiting = asyncio.ensure_future(anext(told))
    while store.asked["snapshot", "a/"] < 0 or not await several_turns():
        pass
    assert not waiting.done()
    store.find()
    assert await waiting == Available()
    assert await anext(told) == Full(Revision(0), {})


async def several_turns() -> bool:
    for _ in range(100):
        await asyncio.sleep(0)
    return True


async def test_after_compaction_only_the_difference_is_told(memory, store, told) -> None:
    await memory.commit([], [Put("a/keep", b"same"), Put("a/change", b"old"), Put("a/remove", b"x")])
    await anext(told)
    store.lose()
    assert isinstance(await anext(told), Unavailable)
    await memory.commit([], [Put("a/change", b"new")])
    await memory.commit([], [Delete("a/remove"), Put("a/add", b"y"), Put("b/", b"")])
    await memory.compact(Revision(3))
    store.find()
    assert await anext(told) == Available()
    event = await anext(told)
    assert event == Changes(
        Revision(3), (Change("a/remove", None), Change("a/add", b"y"), Change("a/change", b"new"))
    )


async def test_a_key_removed_and_written_again_is_at_most_told_again(memory, store, told) -> None:
    await memory.commit([], [Put("a/1", b"x")])
    state: dict[str, bytes] = {}
    apply(state, await anext(told))
    store.lose()
    await anext(told)
    await memory.commit([], [Delete("a/1")])
    await memory.commit([], [Put("a/1", b"x")])
    await memory.compact(Revision(3))
    store.find()
    assert await anext(told) == Available()
    apply(state, await anext(told))
    assert state == {"a/1": b"x"}


async def test_what_was_told_as_removed_is_not_told_again_after_compaction(memory, store, told) -> None:
    await memory.commit([], [Put("a/1", b"x"), Put("a/2", b"y")])
    await anext(told)
    await memory.commit([], [Delete("a/1")])
    await anext(told)
    store.lose()
    await anext(told)
    await memory.commit([], [Delete("a/2")])
    await memory.compact(Revision(3))
    store.find()
    assert await anext(told) == Available()
    assert await anext(told) == Changes(Revision(3), (Change("a/2", None),))


async def test_a_store_restored_from_a_backup_is_compared_as_a_whole() -> None:
    present, backup = MemoryStore(), MemoryStore()
    for number in range(5):
        await present.commit([], [Put(f"a/{number}", b"new")])
    await backup.commit([], [Put("a/0", b"old")])
    front = FaultyStore(present)
    events = follow(front, "a/", retry=at_once())
    state: dict[str, bytes] = {}
    apply(state, await anext(events))
    front.lose()
    await anext(events)
    front._store = backup
    front.find()
    assert await anext(events) == Available()
    apply(state, await anext(events))
    assert state == {"a/0": b"old"}
    await events.aclose()


async def test_a_store_that_came_back_from_a_backup_unnoticed_counts_as_one_that_was_away() -> None:
    present, backup = MemoryStore(), MemoryStore()
    for number in range(5):
        await present.commit([], [Put(f"a/{number}", b"new")])
    await backup.commit([], [Put("a/0", b"old")])
    front = Restored(present)
    events = follow(front, "a/", retry=at_once())
    state: dict[str, bytes] = {}
    apply(state, await anext(events))
    front.restore(backup)
    assert isinstance(away := await anext(events), Unavailable)
    assert "backup" in away.reason
    assert await anext(events) == Available()
    apply(state, await anext(events))
    assert state == {"a/0": b"old"}
    await events.aclose()


class Restored(FaultyStore):
    """A store that is exchanged for an older one, of which only a watch tells: that its history is gone."""

    def restore(self, backup: MemoryStore) -> None:
        self._store = backup

    async def watch(self, prefix: str, after: Revision) -> AsyncGenerator[Batch, None]:
        if (await self._store.get([])).revision < after:
            raise Compacted("it stands behind you: take a new snapshot")
        async with aclosing(self._store.watch(prefix, after)) as batches:
            async for batch in batches:
                yield batch


async def test_it_ends_when_the_store_is_closed(memory, told) -> None:
    await anext(told)
    ending = asyncio.ensure_future(anext(told, None))
    await several_turns()
    await memory.close()
    assert await ending is None


@pytest.mark.parametrize("seed", range(20))
async def test_random_histories_with_outages_and_compaction_end_equal_to_the_store(seed: int) -> None:
    dice = random.Random(seed)
    memory = MemoryStore()
    store = FaultyStore(memory)
    state: dict[str, bytes] = {}
    reached = asyncio.Event()

    async def consume() -> None:
        async for event in follow(store, "a/", retry=at_once()):
            apply(state, event)
            if "a/last" in state:
                reached.set()

    consumer = asyncio.ensure_future(consume())
    for step in range(200):
        match dice.randrange(12):
            case 0:
                store.lose()
            case 1:
                store.find()
            case 2:
                now = (await memory.snapshot("")).revision
                await memory.compact(now)
            case 3 | 4:
                await several_turns()
            case 5 | 6:
                await memory.commit([], [Delete(f"a/{dice.randrange(8)}"), Delete(f"b/{dice.randrange(8)}")])
            case _:
                await memory.commit([], [Put(f"{dice.choice('ab')}/{dice.randrange(8)}", b"%d" % step)])
    store.find()
    await memory.commit([], [Put("a/last", b"end")])
    await reached.wait()
    wanted = await memory.snapshot("a/")
    assert state == {key: item.value for key, item in wanted.items.items()}
    consumer.cancel()


def test_attempts_slow_down_up_to_a_bound_and_start_again_after_success() -> None:
    retry = Retry(lambda low, high: high)
    delays = [retry.next_delay_s() for _ in range(20)]
    assert delays[:3] == [0.1, 0.2, 0.4]
    assert delays[-1] == 3.0
    retry.succeeded()
    assert retry.next_delay_s() == 0.1
