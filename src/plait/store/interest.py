"""Who must hear of a changed key: from keys to the watches whose prefix they have.

Rule 1: a change wakes the watches it concerns and no other; a thousand watches elsewhere cost it nothing.
Rule 2: a watch that is woken is handed no data, only the revision from which it has to read. So a slow watch
holds two numbers, however much happens meanwhile, and catches up from the history at its own pace.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from plait.store.api import Revision, StoreError


class Watch:
    """One reader of one prefix: where it stands, and from where there is something to read."""

    __slots__ = ("_news", "_touched_from", "_touched_to", "after", "failure", "prefix")

    def __init__(self, prefix: str, after: Revision) -> None:
        self.prefix = prefix
        self.after = after
        self.failure: StoreError | None = None
        self._touched_from: int | None = after + 1
        self._touched_to: int = after
        self._news = asyncio.Event()
        self._news.set()

    def touch(self, revision: int) -> None:
        """Something under the prefix changed at `revision`."""
        if revision <= self.after:
            return
        if self._touched_from is None:
            self._touched_from = revision
        self._touched_to = max(self._touched_to, revision)
        self._news.set()

    def wake(self) -> None:
        """Look again: the store closes or fails."""
        self._news.set()

    async def news(self) -> None:
        """Waits until the watch was touched or woken since the last call."""
        await self._news.wait()
        self._news.clear()

    def begin_reading(self) -> Revision | None:
        """The first revision that has to be read; None if there is none."""
        first, self._touched_from = self._touched_from, None
        return None if first is None else Revision(max(first, self.after + 1))

    def end_reading(self, up_to: Revision, *, more: bool) -> None:
        """Everything up to and with `up_to` is read; with `more`, there is something to read right behind it.

        What was touched while the reading went on, and lies behind `up_to`, stays to be read.
        """
        self.after = max(self.after, up_to)
        if more or self._touched_to > self.after:
            self._touched_from = self.after + 1
            self._news.set()
        else:
            self._touched_from = None


class Interest:
    """The watches of one store, found by the keys that they want to hear of."""

    def __init__(self) -> None:
        self._by_prefix: dict[str, set[Watch]] = {}
        self._lengths: Counter[int] = Counter()

    def __len__(self) -> int:
        return sum(map(len, self._by_prefix.values()))

    @contextmanager
    def following(self, watch: Watch) -> Iterator[None]:
        """`watch` hears of changes inside the block."""
        self._by_prefix.setdefault(watch.prefix, set()).add(watch)
        self._lengths[len(watch.prefix)] += 1
        try:
            yield
        finally:
            watches = self._by_prefix[watch.prefix]
            watches.discard(watch)
            if not watches:
                del self._by_prefix[watch.prefix]
            self._lengths[len(watch.prefix)] -= 1
            if not self._lengths[len(watch.prefix)]:
                del self._lengths[len(watch.prefix)]

    def touch(self, revision: int, keys: Iterable[str]) -> None:
        """`keys` changed at `revision`: mark and wake those that watch them.

        Costs one lookup for every key and distinct length of a watched prefix, not for every watch.
        """
        for key in keys:
            for length in self._lengths:
                for watch in self._by_prefix.get(key[:length], ()):
                    watch.touch(revision)

    def touch_all(self, revision: int) -> None:
        """Nobody knows any more what changed since `revision`: every watch has to read."""
        for watches in self._by_prefix.values():
            for watch in watches:
                watch.touch(revision)

    def fail_all(self, error: StoreError) -> None:
        """Whoever watches now has to end with `error`: it can't be told of changes any more."""
        for watches in self._by_prefix.values():
            for watch in watches:
                watch.failure = type(error)(*error.args)
                watch.wake()

    def wake_all(self) -> None:
        """Every watch looks again, whatever it waits for."""
        for watches in self._by_prefix.values():
            for watch in watches:
                watch.wake()
