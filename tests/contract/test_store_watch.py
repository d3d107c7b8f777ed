"""What every store driver must do: watching."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from plait.store.api import Batch, Change, Committed, Compacted, Delete, Put, Revision, Store, StoreError


async def put(store: Store, key: str, value: bytes = b"v") -> Revision:
    committed = await store.commit([], [Put(key, value)])
    assert isinstance(committed, Committed)
    return committed.revision


async def changes_until(batches: AsyncIterator[Batch], key: str) -> list[Change]:
    """Everything a watch tells, up to and with a change of `key`."""
    changes: list[Change] = []
    async for batch in batches:
        changes += batch.changes
        if any(change.key == key for change in batch.changes):
            return changes
    raise AssertionError(f"the watch ended before it told of {key}")


async def test_a_watch_tells_every_change_under_its_prefix_in_order_and_no_other(store, root):
    start = (await store.snapshot(root)).revision
    await put(store, root + "in/a", b"1")
    await put(store, root + "out", b"1")
    await put(store, root + "in/a", b"2")
    async with aclosing(store.watch(root + "in/", start)) as watch:
        await store.commit([], [Put(root + "in/b", b"3"), Put(root + "inn", b"no"), Delete(root + "in/a")])
        last = await put(store, root + "in/end")
        changes = await changes_until(watch, root + "in/end")
    assert [change for change in changes if change.key.endswith("a")] == [
        Change(root + "in/a", b"1"),
        Change(root + "in/a", b"2"),
        Change(root + "in/a", None),
    ]
    assert {change.key for change in changes} == {root + "in/a", root + "in/b", root + "in/end"}
    assert changes[-1] == Change(root + "in/end", b"v")
    assert (await store.snapshot(root)).revision == last


async def test_the_changes_of_one_commit_come_in_one_batch_at_its_revision(store, root):
    start = (await store.snapshot(root)).revision
    done = await store.commit([], [Put(f"{root}{number}", b"x" * 10_000) for number in range(90)])
    async with aclosing(store.watch(root, start)) as watch:
        batch = await anext(watch)
    assert isinstance(done, Committed)
    assert batch.revision == done.revision
    assert len(batch.changes) == 90


async def test_a_watch_that_has_much_to_catch_up_with_is_told_whole_commits(store, root):
    start = (await store.snapshot(root)).revision
    for _ in range(30):
        done = await store.commit([], [Put(f"{root}{number}", b"x") for number in range(90)])
    assert isinstance(done, Committed)
    told = 0
    async with aclosing(store.watch(root, start)) as watch:
        async for batch in watch:
            assert len(batch.changes) % 90 == 0
            told += len(batch.changes)
            if batch.revision == done.revision:
                break
    assert told == 30 * 90


async def test_a_watch_after_a_revision_to_come_tells_nothing_before_it(store, root):
    """It waits, or says `Compacted`, as a store does that takes itself for one restored from a backup."""
    now = (await store.snapshot(root)).revision
    async with aclosing(store.watch(root, Revision(now + 2))) as watch:
        first = asyncio.ensure_future(anext(watch))
        await put(store, root + "early-1")
        await put(store, root + "early-2")
        wanted = await put(store, root + "wanted")
        try:
            told = await first
        except Compacted:
            return
        assert told == Batch(wanted, (Change(root + "wanted", b"v"),))


async def test_a_watch_hears_of_commits_of_other_clients(engine, root):
    reader, writer = engine.open(), engine.open()
    start = (await reader.snapshot(root)).revision
    async with aclosing(reader.watch(root, start)) as watch:
        for number in range(50):
            revision = await put(writer, f"{root}{number}")
            assert await anext(watch) == Batch(revision, (Change(f"{root}{number}", b"v"),))


async def test_snapshot_and_watch_together_miss_nothing_and_repeat_nothing(engine, root):
    """Writers count keys up while readers join; every reader must see each count once and in order."""
    writers = [engine.open() for _ in range(3)]
    counts = 60

    async def write(number: int, store: Store) -> None:
        for count in range(counts):
            await store.commit(
                [], [Put(f"{root}{number}", str(count).encode()), Put(f"{root}x{number}", b"")]
            )

    async def read(store: Store, started_after: int) -> None:
        while (snapshot := await store.snapshot(root)).revision < start + started_after:
            pass
        seen = {key: int(item.value) for key, item in snapshot.items.items() if item.value}
        at = snapshot.revision
        async with aclosing(store.watch(root, snapshot.revision)) as watch:
            while min(seen.get(f"{root}{number}", -1) for number in range(len(writers))) < counts - 1:
                batch = await anext(watch)
                assert batch.revision > at
                at = batch.revision
                for change in batch.changes:
                    if change.value:
                        assert int(change.value) == seen.get(change.key, -1) + 1
                        seen[change.key] = int(change.value)

    readers = [engine.open() for _ in range(3)]
    start = (await readers[0].snapshot(root)).revision
    await asyncio.gather(
        *(write(number, store) for number, store in enumerate(writers)),
        *(read(store, 20 * number) for number, store in enumerate(readers)),
    )


async def test_many_watches_each_hear_their_own_prefix(store, root):
    start = (await store.snapshot(root)).revision

    async def hear(number: int) -> list[Change]:
        async with aclosing(store.watch(f"{root}{number}/", start)) as watch:
            return await changes_until(watch, f"{root}{number}/end")

    hearing = [asyncio.ensure_future(hear(number)) for number in range(50)]
    for number in range(50):
        await store.commit([], [Put(f"{root}{number}/end", b""), Put(f"{root}{number}", b"")])
    for number, changes in enumerate(await asyncio.gather(*hearing)):
        assert changes == [Change(f"{root}{number}/end", b"")]


async def test_a_watch_of_forgotten_history_says_so(store, root):
    start = (await store.snapshot(root)).revision
    await put(store, root + "a")
    await put(store, root + "a")
    last = await put(store, root + "b")
    await store.compact(last)
    with pytest.raises(Compacted, match="snapshot"):
        async with aclosing(store.watch(root, start)) as watch:
            await anext(watch)
    async with aclosing(store.watch(root, last)) as watch:
        revision = await put(store, root + "c")
        assert (await anext(watch)).revision == revision


async def test_a_reader_that_was_slow_while_history_lasted_misses_nothing(store, root):
    start = (await store.snapshot(root)).revision
    async with aclosing(store.watch(root, start)) as watch:
        await put(store, root + "first")
        assert (await anext(watch)).changes == (Change(root + "first", b"v"),)
        for number in range(200):
            await put(store, f"{root}{number:03}", b"x" * 1000)
        changes = await changes_until(watch, root + "199")
    assert [change.key for change in changes] == [f"{root}{number:03}" for number in range(200)]


async def test_closing_the_store_ends_its_watches(engine, root):
    store = engine.open()
    start = (await store.snapshot(root)).revision

    async def follow() -> int:
        return len([batch async for batch in store.watch(root, start)])

    following = asyncio.ensure_future(follow())
    other = engine.open()
    if other is not store:
        await put(other, root + "a")
    await asyncio.sleep(0)
    await store.close()
    assert await following <= 1
    with pytest.raises(StoreError, match="closed"):
        await store.snapshot(root)
    await store.close()


async def test_leaving_a_watch_leaves_the_others_alone(store, root):
    start = (await store.snapshot(root)).revision
    async with aclosing(store.watch(root, start)) as staying:
        async with aclosing(store.watch(root, start)) as leaving:
            await put(store, root + "a")
            await anext(leaving)
        await anext(staying)
        revision = await put(store, root + "b")
        assert (await anext(staying)).revision == revision


async def test_a_watch_that_is_cancelled_while_it_waits_can_be_begun_again(store, root):
    start = (await store.snapshot(root)).revision
    for _ in range(3):
        async with aclosing(store.watch(root, start)) as watch:
            waiting = asyncio.ensure_future(anext(watch))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
    async with aclosing(store.watch(root, start)) as watch:
        revision = await put(store, root + "a")
        assert (await anext(watch)).revision == revision
