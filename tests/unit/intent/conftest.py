import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence

import pytest

from plait.intent import Intent, audit
from plait.store.api import Batch, Committed, Compare, Conflict, LeaseId, Revision, Snapshot, Write
from plait.store.memory import MemoryStore

Refused = Callable[[Awaitable[object], type[Exception], str], Awaitable[None]]


@pytest.fixture
async def store() -> AsyncIterator[MemoryStore]:
    """A store that is audited when the test is over: nothing leaked, nothing missing."""
    store = MemoryStore()
    yield store
    assert await audit(store) == []
    await store.close()


@pytest.fixture
def intent(store: MemoryStore) -> Intent:
    return Intent(store)


@pytest.fixture
def refused(store: MemoryStore) -> Refused:
    """Assert that a wish is refused with a message that contains the text, and the store is as before."""

    async def check(wish: Awaitable[object], error: type[Exception], text: str) -> None:
        before = (await store.snapshot("")).items
        with pytest.raises(error) as caught:
            await wish
        assert text in str(caught.value)
        assert (await store.snapshot("")).items == before

    return check


class Interleaving:
    """A memory store whose answers come in an order that a seed decides, so that tasks meet in every way."""

    def __init__(self, seed: int) -> None:
        self.below = MemoryStore()
        self.reads = 0
        self.conflicts = 0
        self._random = random.Random(seed)

    async def _let_others_run(self) -> None:
        for _ in range(self._random.randrange(4)):
            await asyncio.sleep(0)

    async def snapshot(self, prefix: str) -> Snapshot:
        self.reads += 1
        await self._let_others_run()
        return await self.below.snapshot(prefix)

    async def snapshots(self, prefixes: Sequence[str]) -> list[Snapshot]:
        self.reads += 1
        await self._let_others_run()
        return await self.below.snapshots(prefixes)

    async def get(self, keys: Sequence[str]) -> Snapshot:
        self.reads += 1
        await self._let_others_run()
        return await self.below.get(keys)

    async def commit(self, compares: Sequence[Compare], writes: Sequence[Write]) -> Committed | Conflict:
        await self._let_others_run()
        outcome = await self.below.commit(compares, writes)
        self.conflicts += isinstance(outcome, Conflict)
        await self._let_others_run()
        return outcome

    def watch(self, prefix: str, after: Revision) -> AsyncGenerator[Batch, None]:
        return self.below.watch(prefix, after)

    async def grant(self, ttl_s: float) -> LeaseId:
        return await self.below.grant(ttl_s)

    async def keep_alive(self, lease: LeaseId) -> None:
        await self.below.keep_alive(lease)

    async def revoke(self, lease: LeaseId) -> None:
        await self.below.revoke(lease)

    async def close(self) -> None:
        await self.below.close()


@pytest.fixture(scope="session")
def interleaving() -> type[Interleaving]:
    """Make one with a seed: `interleaving(7)`."""
    return Interleaving
