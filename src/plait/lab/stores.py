"""A store that can be lost and found again, and that counts what is asked of it: around any driver."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from plait.store.api import (
    Batch,
    Committed,
    Compare,
    Conflict,
    LeaseId,
    Revision,
    Snapshot,
    Store,
    StoreUnavailable,
    Write,
)


class FaultyStore:
    """Passes everything on to `store` until `lose` is called, and again after `find`.

    `asked` counts the calls by name and key or prefix, `told` the changes that a watch brought by its prefix.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lost = asyncio.Event()
        self.asked: Counter[tuple[str, str]] = Counter()
        self.told: Counter[str] = Counter()

    def lose(self) -> None:
        """From now on every call fails, and running watches end as if the server had gone."""
        self._lost.set()

    def find(self) -> None:
        self._lost.clear()

    def count(self, call: str) -> int:
        """How often `call` was called, whatever for."""
        return sum(number for (name, _), number in self.asked.items() if name == call)

    async def snapshot(self, prefix: str) -> Snapshot:
        self._ask("snapshot", prefix)
        return await self._store.snapshot(prefix)

    async def snapshots(self, prefixes: Sequence[str]) -> list[Snapshot]:
        self._ask("snapshots")
        self._ask("snapshot", *prefixes)
        return await self._store.snapshots(prefixes)

    async def get(self, keys: Sequence[str]) -> Snapshot:
        self._ask("get", *keys)
        return await self._store.get(keys)

    async def commit(self, compares: Sequence[Compare], writes: Sequence[Write]) -> Committed | Conflict:
        self._ask("commit", *(write.key for write in writes))
        return await self._store.commit(compares, writes)

    async def watch(self, prefix: str, after: Revision) -> AsyncGenerator[Batch, None]:
        self._ask("watch", prefix)
        async with aclosing(self._store.watch(prefix, after)) as batches:
            while (batch := await self._unless_lost(batches)) is not None:
                self.told[prefix] += len(batch.changes)
                yield batch

    async def grant(self, ttl_s: float) -> LeaseId:
        self._ask("grant")
        return await self._store.grant(ttl_s)

    async def keep_alive(self, lease: LeaseId) -> None:
        self._ask("keep_alive")
        await self._store.keep_alive(lease)

    async def revoke(self, lease: LeaseId) -> None:
        self._ask("revoke")
        await self._store.revoke(lease)

    async def close(self) -> None:
        await self._store.close()

    def _ask(self, call: str, *keys: str) -> None:
        self._check()
        for key in keys or ("",):
            self.asked[call, key] += 1

    def _check(self) -> None:
        if self._lost.is_set():
            raise StoreUnavailable("the store was lost on purpose: find it again")

    async def _unless_lost(self, batches: AsyncGenerator[Batch, None]) -> Batch | None:
        """The next batch; None at the end of the watch."""
        batch = asyncio.ensure_future(anext(batches, None))
        lost = asyncio.ensure_future(self._lost.wait())
        try:
            await asyncio.wait((batch, lost), return_when=asyncio.FIRST_COMPLETED)
            if not batch.done():
                self._check()
            return await batch
        finally:
            for task in (batch, lost):
                task.cancel()
            await asyncio.gather(batch, lost, return_exceptions=True)
