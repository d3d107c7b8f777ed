from contextlib import aclosing

import pytest

from plait.store.api import Change, Compacted, Put, Revision
from plait.store.memory import MemoryStore


async def test_history_is_held_to_its_length():
    store = MemoryStore(history_commits=10)
    for number in range(30):
        await store.commit([], [Put("a", b"%d" % number)])
    with pytest.raises(Compacted):
        async with aclosing(store.watch("", Revision(19))) as watch:
            await anext(watch)
    async with aclosing(store.watch("", Revision(20))) as watch:
        batch = await anext(watch)
    assert batch.revision == 30
    assert batch.changes == tuple(Change("a", b"%d" % number) for number in range(20, 30))


async def test_a_reader_that_is_not_concerned_by_what_is_forgotten_goes_on():
    store = MemoryStore(history_commits=10)
    async with aclosing(store.watch("quiet/", Revision(0))) as watch:
        await store.commit([], [Put("quiet/a", b"")])
        await anext(watch)
        for _ in range(30):
            await store.commit([], [Put("loud/a", b"")])
        await store.commit([], [Put("quiet/b", b"")])
        assert (await anext(watch)).changes == (Change("quiet/b", b""),)
