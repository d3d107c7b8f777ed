"""What every store driver must do: leases, and what stands under them."""

import asyncio
from contextlib import aclosing

import pytest

from plait.store.api import Change, Committed, Conflict, Delete, KeyAt, LeaseLost, Put, Revision


async def test_a_lease_that_is_not_kept_alive_takes_its_keys_with_it_and_watches_hear_of_it(engine, root):
    owner, watcher = engine.open(), engine.open()
    start = (await watcher.snapshot(root)).revision
    async with aclosing(watcher.watch(root, start)) as watch:
        lease = await owner.grant(1)
        written = await owner.commit([], [Put(root + "a", b"1", lease), Put(root + "b", b"2", lease)])
        assert isinstance(written, Committed)
        assert (await anext(watch)).revision == written.revision
        ended = await anext(watch)
    assert set(ended.changes) == {Change(root + "a", None), Change(root + "b", None)}
    assert not (await owner.snapshot(root)).items
    with pytest.raises(LeaseLost):
        await owner.keep_alive(lease)
    with pytest.raises(LeaseLost):
        await owner.commit([], [Put(root + "a", b"", lease)])


async def test_a_reader_never_sees_what_stood_under_an_expired_lease(store, root):
    lease = await store.grant(1)
    await store.commit([], [Put(root + "a", b"1", lease)])
    while (await store.snapshot(root)).items:
        pass
    with pytest.raises(LeaseLost):
        await store.keep_alive(lease)


async def test_a_lease_that_is_kept_alive_outlives_one_that_is_not(store, root):
    start = (await store.snapshot(root)).revision
    kept, left = await store.grant(2), await store.grant(2)
    await store.commit([], [Put(root + "kept", b"", kept), Put(root + "left", b"", left)])

    async def keep() -> None:
        while True:
            await store.keep_alive(kept)
            await asyncio.sleep(0.1)

    keeping = asyncio.ensure_future(keep())
    async with aclosing(store.watch(root, start)) as watch:
        async for batch in watch:
            if Change(root + "left", None) in batch.changes:
                assert Change(root + "kept", None) not in batch.changes
                break
    assert set((await store.snapshot(root)).items) == {root + "kept"}
    keeping.cancel()


async def test_revoking_a_lease_removes_its_keys_at_once(store, root):
    start = (await store.snapshot(root)).revision
    lease = await store.grant(60)
    await store.commit([], [Put(root + "a", b"", lease), Put(root + "b", b"")])
    await store.revoke(lease)
    assert set((await store.snapshot(root)).items) == {root + "b"}
    async with aclosing(store.watch(root, start)) as watch:
        changes = (await anext(watch)).changes
        while Change(root + "a", None) not in changes:
            changes += (await anext(watch)).changes
    await store.revoke(lease)
    with pytest.raises(LeaseLost):
        await store.keep_alive(lease)


async def test_a_key_written_again_without_the_lease_stays(store, root):
    lease = await store.grant(60)
    await store.commit([], [Put(root + "a", b"1", lease), Put(root + "b", b"1", lease)])
    await store.commit([], [Put(root + "a", b"2")])
    await store.revoke(lease)
    assert set((await store.snapshot(root)).items) == {root + "a"}


async def test_a_key_goes_with_the_lease_that_wrote_it_last(store, root):
    first, second = await store.grant(60), await store.grant(60)
    await store.commit([], [Put(root + "a", b"1", first)])
    await store.commit([], [Put(root + "a", b"2", second)])
    await store.revoke(first)
    assert set((await store.snapshot(root)).items) == {root + "a"}
    await store.revoke(second)
    assert not (await store.snapshot(root)).items


async def test_a_deleted_key_is_not_deleted_again_when_its_lease_ends(store, root):
    lease = await store.grant(60)
    await store.commit([], [Put(root + "a", b"1", lease)])
    await store.commit([], [Delete(root + "a")])
    await store.commit([], [Put(root + "a", b"mine now")])
    await store.revoke(lease)
    assert (await store.get([root + "a"])).items[root + "a"].value == b"mine now"


async def test_a_commit_under_a_lost_lease_writes_nothing(store, root):
    lease = await store.grant(60)
    await store.revoke(lease)
    with pytest.raises(LeaseLost, match="grant a new one"):
        await store.commit([], [Put(root + "free", b""), Put(root + "leased", b"", lease)])
    assert not (await store.snapshot(root)).items


async def test_a_compare_that_fails_is_told_before_a_lost_lease(store, root):
    lease = await store.grant(60)
    await store.revoke(lease)
    wrong = KeyAt(root + "a", Revision(1))
    assert await store.commit([wrong], [Put(root + "b", b"", lease)]) == Conflict((wrong,))


async def test_a_lease_of_less_than_a_second_is_refused(store):
    for ttl_s in (0.5, 0, -1, float("nan")):
        with pytest.raises(ValueError, match="at least 1 s"):
            await store.grant(ttl_s)
