"""A store in one process: the fake that the contract suite verifies, for tests and simulations.

It has no engine below it, so it also says plainest what the contract means. Time is the event loop's, so that
in a loop with virtual time leases expire in virtual time.
"""

import asyncio
from bisect import bisect_left, insort
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Sequence

from plait.store.api import (
    ABSENT,
    Batch,
    Change,
    Committed,
    Compacted,
    Compare,
    Conflict,
    Delete,
    Item,
    KeyAt,
    LeaseId,
    LeaseLost,
    PrefixUnchanged,
    Put,
    Revision,
    Snapshot,
    StoreError,
    Write,
)
from plait.store.interest import Interest, Watch
from plait.store.limits import after_prefix, check_commit, check_get, check_ttl

_BATCH_CHANGES = 1000


class _Lease:
    __slots__ = ("expires", "keys", "ttl_s")

    def __init__(self, ttl_s: float, expires: float) -> None:
        self.ttl_s = ttl_s
        self.expires = expires
        self.keys: set[str] = set()


class MemoryStore:
    """The store contract in memory; `history_commits` is how far back a watch can begin."""

    def __init__(self, *, history_commits: int = 10_000) -> None:
        self._items: dict[str, Item] = {}
        self._sorted_keys: list[str] = []
        self._revision = Revision(0)
        self._history: deque[tuple[Change, ...]] = deque()
        self._history_commits = history_commits
        self._leases: dict[LeaseId, _Lease] = {}
        self._lease_of: dict[str, LeaseId] = {}
        self._last_lease = 0
        self._timer: asyncio.TimerHandle | None = None
        self._interest = Interest()
        self._closed = False

    async def snapshot(self, prefix: str) -> Snapshot:
        return (await self.snapshots([prefix]))[0]

    async def snapshots(self, prefixes: Sequence[str]) -> list[Snapshot]:
        await self._turn()
        return [
            Snapshot(self._revision, {key: self._items[key] for key in self._keys_under(prefix)})
            for prefix in prefixes
        ]

    async def get(self, keys: Sequence[str]) -> Snapshot:
        check_get(keys)
        await self._turn()
        return Snapshot(self._revision, {key: self._items[key] for key in keys if key in self._items})

    async def commit(self, compares: Sequence[Compare], writes: Sequence[Write]) -> Committed | Conflict:
        check_commit(compares, writes)
        await self._turn()
        failed = tuple(compare for compare in compares if not self._holds(compare))
        if failed:
            return Conflict(failed)
        for write in writes:
            if isinstance(write, Put) and write.lease is not None and write.lease not in self._leases:
                raise LeaseLost(f"lease {write.lease} is gone: grant a new one and write again")
        self._apply(writes)
        return Committed(self._revision)

    async def watch(self, prefix: str, after: Revision) -> AsyncGenerator[Batch, None]:
        self._check_open()
        watch = Watch(prefix, after)
        with self._interest.following(watch):
            while not self._closed:
                await watch.news()
                if not self._closed and (batch := self._read(watch)) is not None:
                    yield batch

    async def grant(self, ttl_s: float) -> LeaseId:
        check_ttl(ttl_s)
        await self._turn()
        self._last_lease += 1
        lease = LeaseId(self._last_lease)
        self._leases[lease] = _Lease(ttl_s, self._now() + ttl_s)
        self._arm()
        return lease

    async def keep_alive(self, lease: LeaseId) -> None:
        await self._turn()
        if (held := self._leases.get(lease)) is None:
            raise LeaseLost(f"lease {lease} is gone: grant a new one and write what stood under it again")
        held.expires = self._now() + held.ttl_s

    async def revoke(self, lease: LeaseId) -> None:
        await self._turn()
        self._end_lease(lease)

    async def close(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._interest.wake_all()

    async def compact(self, revision: Revision) -> None:
        """Forget the history up to and with `revision`, as engines do from time to time by themselves."""
        await self._turn()
        while self._history and self._compacted < revision:
            self._history.popleft()

    @property
    def _compacted(self) -> int:
        return self._revision - len(self._history)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the store is closed: open it again")

    async def _turn(self) -> None:
        """Let others run first, as any store behind a wire does; what is due by then expires."""
        self._check_open()
        await asyncio.sleep(0)
        self._check_open()
        self._expire()

    def _keys_under(self, prefix: str) -> list[str]:
        first = bisect_left(self._sorted_keys, prefix)
        end = after_prefix(prefix)
        last = len(self._sorted_keys) if end is None else bisect_left(self._sorted_keys, end)
        return self._sorted_keys[first:last]

    def _holds(self, compare: Compare) -> bool:
        match compare:
            case KeyAt(key, revision):
                item = self._items.get(key)
                return (ABSENT if item is None else item.revision) == revision
            case PrefixUnchanged(prefix, revision):
                return all(self._items[key].revision <= revision for key in self._keys_under(prefix))

    def _apply(self, writes: Iterable[Write]) -> None:
        """One commit: writes that change nothing make no revision."""
        effective = [write for write in writes if isinstance(write, Put) or write.key in self._items]
        if not effective:
            return
        self._revision = Revision(self._revision + 1)
        for write in effective:
            self._write(write)
        changes = tuple(
            Change(write.key, write.value if isinstance(write, Put) else None) for write in effective
        )
        self._history.append(changes)
        if len(self._history) > self._history_commits:
            self._history.popleft()
        self._interest.touch(self._revision, (change.key for change in changes))

    def _write(self, write: Write) -> None:
        if (lease := self._lease_of.pop(write.key, None)) is not None:
            self._leases[lease].keys.discard(write.key)
        if isinstance(write, Delete):
            del self._items[write.key]
            del self._sorted_keys[bisect_left(self._sorted_keys, write.key)]
            return
        if write.key not in self._items:
            insort(self._sorted_keys, write.key)
        self._items[write.key] = Item(write.value, self._revision)
        if write.lease is not None:
            self._lease_of[write.key] = write.lease
            self._leases[write.lease].keys.add(write.key)

    def _read(self, watch: Watch) -> Batch | None:
        """What `watch` has not read yet: whole commits, not many more than `_BATCH_CHANGES` changes."""
        first = watch.begin_reading()
        if first is None:
            return None
        if first <= self._compacted:
            raise Compacted(f"revision {first} is forgotten, up to {self._compacted}: take a new snapshot")
        found: list[Change] = []
        at = first - 1
        while at < self._revision and len(found) < _BATCH_CHANGES:
            at += 1
            commit = self._history[at - self._compacted - 1]
            found.extend(change for change in commit if change.key.startswith(watch.prefix))
        watch.end_reading(Revision(at), more=at < self._revision)
        return Batch(Revision(at), tuple(found)) if found else None

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _end_lease(self, lease: LeaseId) -> None:
        if lease in self._leases:
            self._apply([Delete(key) for key in sorted(self._leases[lease].keys)])
            del self._leases[lease]

    def _expire(self) -> None:
        now = self._now()
        for lease in [lease for lease, held in self._leases.items() if held.expires <= now]:
            self._end_lease(lease)

    def _arm(self) -> None:
        """Look at the leases again when the first of them is due."""
        if self._timer is not None:
            self._timer.cancel()
        if self._leases:
            due = min(held.expires for held in self._leases.values())
            self._timer = asyncio.get_running_loop().call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._expire()
        self._arm()
