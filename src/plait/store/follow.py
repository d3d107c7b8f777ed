"""Following a prefix for ever: a snapshot, then changes, through compaction and outages of the store.

Rule 1: whoever applies `Full` and then every `Changes` in order holds what the store holds.
Rule 2: a lost store takes nothing back. What was told stands; after the return only what differs is told.
Rule 3: a snapshot is taken at the start and where the history is gone, never for a short loss.
Rule 4: a store that came back from a backup counts as one that was away, however fast it came.

A follower remembers keys, not values: what was written after its revision has changed, what it knew and is
not there any more was removed. So that a thousand of them cost little beside what their callers keep.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing

import msgspec

from plait.store.api import ABSENT, Change, Compacted, Revision, Snapshot, Store, StoreError

FIRST_RETRY_S = 0.1
LAST_RETRY_S = 3.0
"""The longest pause between two attempts; well below a lease's life, so that none is lost for want of
asking."""


TOGETHER = 256
"""Prefixes that are read at once at the start; what is read at once is in memory at once."""


class Full(msgspec.Struct, frozen=True):
    """Everything under the prefix at `revision`; told once, first."""

    revision: Revision
    items: Mapping[str, bytes]


class Changes(msgspec.Struct, frozen=True):
    """What became different, up to and with `revision`: whole commits; after a gap, the whole difference."""

    revision: Revision
    changes: tuple[Change, ...]


class Unavailable(msgspec.Struct, frozen=True):
    """The store can't be asked; told once for every outage. `reason` says why and what to do."""

    reason: str


class Available(msgspec.Struct, frozen=True):
    """The store answers again; what was missed follows."""


Followed = Full | Changes | Unavailable | Available


class Retry:
    """How long to wait before the next attempt: doubles from attempt to attempt up to `LAST_RETRY_S`.

    `uniform(low, high)` spreads the attempts, so that a cluster whose store returns does not ask all at once.
    """

    __slots__ = ("_attempts", "_uniform")

    def __init__(self, uniform: Callable[[float, float], float] = random.uniform) -> None:
        self._uniform = uniform
        self._attempts = 0

    def succeeded(self) -> None:
        self._attempts = 0

    def next_delay_s(self) -> float:
        longest = min(LAST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(self._attempts, 10))
        self._attempts += 1
        return longest * self._uniform(0.5, 1.0)


class Together:
    """The first reading of several prefixes, for all that begin to follow them at once: see `follow`."""

    def __init__(self, store: Store, prefixes: Sequence[str]) -> None:
        self._numbers = {prefix: number for number, prefix in enumerate(prefixes)}
        self._reading = asyncio.create_task(store.snapshots(list(self._numbers)))
        # Whoever wanted it may have been cancelled before it failed.
        self._reading.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def snapshot(self, prefix: str) -> Snapshot:
        """One of the prefixes. Raises StoreError."""
        return (await asyncio.shield(self._reading))[self._numbers[prefix]]


def read_together(store: Store, prefixes: Iterable[str]) -> dict[str, Together]:
    """By prefix, what to begin following it with: few requests to the store, whatever number there is."""
    ordered = list(prefixes)
    portions = (ordered[start : start + TOGETHER] for start in range(0, len(ordered), TOGETHER))
    return {
        prefix: first for portion in portions for first in (Together(store, portion),) for prefix in portion
    }


async def follow(
    store: Store, prefix: str, *, retry: Retry | None = None, first: Together | None = None
) -> AsyncGenerator[Followed, None]:
    """Tell everything under `prefix` and then every change. Ends when the store is closed under its watch.

    `first` has a snapshot to begin with, or an error as if it had been asked for here.

    Raises nothing of the store's: every `StoreError` is told as `Unavailable` and tried again. A consumer
    may be slow: nothing is buffered for it here, and what it misses for longer than the store's history
    comes as one difference. Leave it by `contextlib.aclosing`.
    """
    follower = _Follower(store, prefix, first)
    retry = retry or Retry()
    clock = asyncio.get_running_loop().time
    lost = False
    while True:
        asked_at = clock()
        knew = follower.revision
        try:
            news = await follower.catch_up()
            if follower.revision < knew and not lost:
                lost = True
                yield Unavailable("the store came back from a backup: what it forgot is told to it again")
            if lost:
                lost = False
                yield Available()
            if news is not None:
                yield news
            async with aclosing(store.watch(prefix, follower.revision)) as batches:
                async for batch in batches:
                    retry.succeeded()
                    yield follower.advance(batch.revision, batch.changes)
            return
        except Compacted:
            follower.forget_revision()
        except StoreError as error:
            if not lost:
                lost = True
                yield Unavailable(str(error))
        if clock() - asked_at > LAST_RETRY_S:
            retry.succeeded()
        await asyncio.sleep(retry.next_delay_s())


def difference(known: set[str], snapshot: Snapshot, *, since: Revision) -> tuple[Change, ...]:
    """From what stood at `since`, when exactly the keys `known` were there, to `snapshot`: removals first."""
    removed = [Change(key, None) for key in sorted(known - snapshot.items.keys())]
    written = [Change(key, item.value) for key, item in snapshot.items.items() if item.revision > since]
    return (*removed, *written)


class _Follower:
    """What is known of a prefix: which keys there are, as of `revision`."""

    def __init__(self, store: Store, prefix: str, first: Together | None) -> None:
        self._store = store
        self._first = first
        self._prefix = prefix
        self._known: set[str] | None = None
        self._can_resume = False
        self.revision = ABSENT

    def forget_revision(self) -> None:
        self._can_resume = False

    async def catch_up(self) -> Full | Changes | None:
        """Make sure that a watch from `revision` misses nothing; what a snapshot brought is returned."""
        if self._can_resume:
            # The answer shows that the store is back, before any change does. A store that was restored
            # from a backup stands behind us: a watch from a revision of its future would be silent for a
            # long time.
            probe = await self._store.get([self._prefix])
            if probe.revision >= self.revision:
                return None
        first, self._first = self._first, None
        return self._take(await (first or self._store).snapshot(self._prefix))

    def advance(self, revision: Revision, changes: tuple[Change, ...]) -> Changes:
        assert self._known is not None
        for change in changes:
            if change.value is None:
                self._known.discard(change.key)
            else:
                self._known.add(change.key)
        self.revision = revision
        return Changes(revision, changes)

    def _take(self, snapshot: Snapshot) -> Full | Changes | None:
        known, since = self._known, self.revision
        self._known = set(snapshot.items)
        self.revision = snapshot.revision
        self._can_resume = True
        if known is None:
            return Full(snapshot.revision, {key: item.value for key, item in snapshot.items.items()})
        # In a restored store the revisions say nothing about what we know: all of it counts as written.
        comparable = since if snapshot.revision >= since else ABSENT
        changes = difference(known, snapshot, since=comparable)
        return Changes(snapshot.revision, changes) if changes else None
