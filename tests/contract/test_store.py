"""What every store driver must do: reading and committing."""

import asyncio
from contextlib import aclosing

import pytest

from plait.store.api import (
    ABSENT,
    MAX_COMMIT_BYTES,
    MAX_COMMIT_OPS,
    Change,
    Committed,
    Conflict,
    Delete,
    KeyAt,
    PrefixUnchanged,
    Put,
    Revision,
    Store,
)


async def put(store: Store, key: str, value: bytes = b"v") -> Revision:
    committed = await store.commit([], [Put(key, value)])
    assert isinstance(committed, Committed)
    return committed.revision


async def test_a_snapshot_holds_what_was_written_and_the_revision_of_each_key(store, root):
    first = await put(store, root + "a", b"1")
    second = await put(store, root + "b", b"2")
    snapshot = await store.snapshot(root)
    assert {key: (item.value, item.revision) for key, item in snapshot.items.items()} == {
        root + "a": (b"1", first),
        root + "b": (b"2", second),
    }
    assert snapshot.revision == second > first


async def test_a_prefix_ends_where_its_text_ends(store, root):
    inside = [root + "net/", root + "net/1", root + "net/é", root + "net/\U0010ffff"]
    outside = [root + "net", root + "net0", root + "nes/~", root + "Net/1", root + "net.", root + "other"]
    for key in inside + outside:
        await put(store, key)
    assert set((await store.snapshot(root + "net/")).items) == set(inside)


async def test_a_prefix_may_end_in_the_last_character_before_a_gap_of_unicode(store, root):
    for key in ("a\ud7ff/x", "a\ud7ff", "a\ue000", "b"):
        await put(store, root + key)
    assert set((await store.snapshot(root + "a\ud7ff")).items) == {root + "a\ud7ff/x", root + "a\ud7ff"}


async def test_the_empty_prefix_is_everything(store, root):
    await put(store, root + "a")
    await put(store, root + "\U0010ffff")
    assert {root + "a", root + "\U0010ffff"} <= set((await store.snapshot("")).items)


async def test_several_prefixes_are_read_in_their_order_whatever_they_hold(store, root):
    for key in ("a/1", "a/2", "b/1", "c"):
        await put(store, root + key)
    prefixes = [root + prefix for prefix in ("b/", "nothing/", "a/", "", "a/")]
    found = await store.snapshots(prefixes)
    assert [sorted(key.removeprefix(root) for key in each.items) for each in found] == [
        ["b/1"],
        [],
        ["a/1", "a/2"],
        ["a/1", "a/2", "b/1", "c"],
        ["a/1", "a/2"],
    ]
    assert len({each.revision for each in found}) == 1
    assert await store.snapshots([]) == []


async def test_hundreds_of_prefixes_large_and_small_are_read_whole(store, root):
    sizes = {f"{number:03}/": (number * 7) % 23 for number in range(200)} | {"100/": 1300, "150/": 501}
    keys = [f"{root}{prefix}{number}" for prefix, size in sizes.items() for number in range(size)]
    for start in range(0, len(keys), MAX_COMMIT_OPS):
        writes = [Put(key, key.encode()) for key in keys[start : start + MAX_COMMIT_OPS]]
        assert isinstance(await store.commit([], writes), Committed)
    found = await store.snapshots([root + prefix for prefix in sizes])
    assert [len(each.items) for each in found] == list(sizes.values())
    assert {key: item.value for each in found for key, item in each.items.items()} == {
        key: key.encode() for key in keys
    }


async def test_several_prefixes_are_read_at_one_revision_while_others_write(store, root, engine):
    writer = engine.open()
    prefixes = [f"{root}{number:03}/" for number in range(150)]
    await put(writer, prefixes[0] + "token")
    is_over = False

    async def pass_it_on() -> None:
        at = 0
        while not is_over:
            to = (at + 77) % len(prefixes)
            await writer.commit([], [Delete(prefixes[at] + "token"), Put(prefixes[to] + "token", b"")])
            at = to

    passing = asyncio.ensure_future(pass_it_on())
    for _ in range(20):
        found = await store.snapshots(prefixes)
        assert sum(len(each.items) for each in found) == 1
    is_over = True
    await passing


async def test_get_gives_those_keys_that_exist(store, root):
    revision = await put(store, root + "a", b"1")
    snapshot = await store.get([root + "a", root + "missing"])
    assert set(snapshot.items) == {root + "a"}
    assert snapshot.items[root + "a"].value == b"1"
    assert snapshot.revision == revision
    assert not (await store.get([])).items


async def test_a_commit_without_effect_makes_no_revision(store, root):
    before = await put(store, root + "a")
    assert await store.commit([], [Delete(root + "never")]) == Committed(before)
    assert await store.commit([KeyAt(root + "a", before)], []) == Committed(before)


async def test_a_commit_is_done_whole_or_not_at_all(store, root):
    revision = await put(store, root + "a")
    writes = [Put(root + "x", b"1"), Put(root + "y", b"2"), Delete(root + "a")]
    wrong = KeyAt(root + "a", Revision(revision + 1))
    holds = KeyAt(root + "x", ABSENT)
    assert await store.commit([holds, wrong], writes) == Conflict((wrong,))
    assert set((await store.snapshot(root)).items) == {root + "a"}
    done = await store.commit([holds, KeyAt(root + "a", revision)], writes)
    assert isinstance(done, Committed)
    snapshot = await store.snapshot(root)
    assert {key: item.revision for key, item in snapshot.items.items()} == {
        root + "x": done.revision,
        root + "y": done.revision,
    }


async def test_a_conflict_names_exactly_the_compares_that_failed(store, root):
    a = await put(store, root + "a")
    b = await put(store, root + "p/b")
    failing = (
        KeyAt(root + "a", ABSENT),
        KeyAt(root + "missing", a),
        PrefixUnchanged(root + "p/", a),
    )
    holding = (
        KeyAt(root + "a", a),
        KeyAt(root + "missing", ABSENT),
        PrefixUnchanged(root + "p/", b),
        PrefixUnchanged(root + "empty/", Revision(1)),
    )
    conflict = await store.commit([*holding, *failing], [Put(root + "never", b"")])
    assert isinstance(conflict, Conflict)
    assert set(conflict.failed) == set(failing)
    assert isinstance(await store.commit(holding, []), Committed)


async def test_absent_holds_again_after_a_key_was_deleted(store, root):
    await put(store, root + "a")
    await store.commit([], [Delete(root + "a")])
    assert isinstance(await store.commit([KeyAt(root + "a", ABSENT)], [Put(root + "a", b"2")]), Committed)


async def test_a_prefix_is_unchanged_by_a_write_beside_it_and_changed_by_one_in_it(store, root):
    await put(store, root + "net/1")
    seen = (await store.snapshot(root + "net/")).revision
    await put(store, root + "nettle")
    unchanged = PrefixUnchanged(root + "net/", seen)
    assert isinstance(await store.commit([unchanged], []), Committed)
    await put(store, root + "net/2")
    assert await store.commit([unchanged], []) == Conflict((unchanged,))


async def test_of_two_that_saw_a_prefix_empty_one_may_fill_it(engine, root):
    stores = [engine.open(), engine.open()]
    for attempt in range(20):
        prefix = f"{root}{attempt}/"
        seen = [(await store.snapshot(prefix)).revision for store in stores]
        outcomes = await asyncio.gather(
            *(
                store.commit([PrefixUnchanged(prefix, revision)], [Put(f"{prefix}{number}", b"")])
                for number, (store, revision) in enumerate(zip(stores, seen, strict=True))
            )
        )
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Committed", "Conflict"]
        assert len(await store_keys(stores[0], prefix)) == 1


async def store_keys(store: Store, prefix: str) -> set[str]:
    return set((await store.snapshot(prefix)).items)


async def test_a_commit_takes_as_many_writes_and_compares_as_promised_and_no_more(store, root):
    compares = [KeyAt(f"{root}{number}", ABSENT) for number in range(MAX_COMMIT_OPS)]
    writes = [Put(f"{root}{number}", b"") for number in range(MAX_COMMIT_OPS)]
    assert isinstance(await store.commit(compares, writes), Committed)
    again = await store.commit(compares, writes)
    assert again == Conflict(tuple(compares))
    assert len(await store_keys(store, root)) == MAX_COMMIT_OPS
    assert len((await store.get([write.key for write in writes])).items) == MAX_COMMIT_OPS
    with pytest.raises(ValueError, match="121"):
        await store.commit([], [*writes, Put(root + "more", b"")])
    with pytest.raises(ValueError, match="121"):
        await store.commit([*compares, KeyAt(root + "more", ABSENT)], [])
    with pytest.raises(ValueError, match="121"):
        await store.get([*(write.key for write in writes), root + "more"])


async def test_big_values_pass_up_to_the_promised_size(store, root):
    big = bytes(range(256)) * ((MAX_COMMIT_BYTES - 100) // 256)
    seen = await put(store, root + "big", big)
    assert (await store.get([root + "big"])).items[root + "big"].value == big
    async with aclosing(store.watch(root, Revision(seen - 1))) as watch:
        assert (await anext(watch)).changes == (Change(root + "big", big),)
    with pytest.raises(ValueError, match=str(MAX_COMMIT_BYTES)):
        await store.commit([], [Put(root + "bigger", bytes(MAX_COMMIT_BYTES))])


@pytest.mark.parametrize("key", ["", "a\0b", "a\ud800"])
async def test_what_is_no_key_is_refused(store, key):
    with pytest.raises(ValueError, match="key"):
        await store.commit([], [Put(key, b"")])
    with pytest.raises(ValueError, match="key"):
        await store.get([key])


async def test_a_key_may_be_written_once_in_a_commit(store, root):
    with pytest.raises(ValueError, match="twice"):
        await store.commit([], [Put(root + "a", b"1"), Delete(root + "a")])


async def test_many_keys_are_one_snapshot(store, root):
    for start in range(0, 3000, 100):
        await store.commit([], [Put(f"{root}{start + number:05}", b"x" * 100) for number in range(100)])
    assert await store_keys(store, root) == {f"{root}{number:05}" for number in range(3000)}


async def test_counting_up_by_compare_and_swap_loses_no_update(engine, root):
    stores = [engine.open() for _ in range(4)]
    times = 25

    async def count(store: Store) -> None:
        done = 0
        while done < times:
            item = (await store.get([root + "n"])).items.get(root + "n")
            seen, value = (ABSENT, 0) if item is None else (item.revision, int(item.value))
            outcome = await store.commit([KeyAt(root + "n", seen)], [Put(root + "n", b"%d" % (value + 1))])
            done += isinstance(outcome, Committed)

    await asyncio.gather(*map(count, stores))
    assert (await stores[0].get([root + "n"])).items[root + "n"].value == b"%d" % (len(stores) * times)


async def test_compaction_harms_no_snapshot_and_no_compare(store, root):
    a = await put(store, root + "a")
    b = await put(store, root + "b")
    await store.compact(b)
    assert {key: item.revision for key, item in (await store.snapshot(root)).items.items()} == {
        root + "a": a,
        root + "b": b,
    }
    assert isinstance(await store.commit([KeyAt(root + "a", a), PrefixUnchanged(root, b)], []), Committed)
