"""The embedded store: one SQLite file that several processes of one machine share, without a server.

Every store has one worker thread that touches the file, so the event loop never waits for a disk. Other
processes hear of a commit through a bell (`bell.py`): no polling, no CPU at rest. One follower per store
hears the bell, reads which keys changed, and wakes the watches that these concern (`interest.py`); a watch
then reads its changes from the history in the file, so nothing is buffered for slow ones.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar, TypeVarTuple, Unpack

from plait.store.api import (
    ABSENT,
    Batch,
    Committed,
    Compare,
    Conflict,
    LeaseId,
    Revision,
    Snapshot,
    StoreError,
    Write,
)
from plait.store.bell import Bell
from plait.store.interest import Interest, Watch
from plait.store.limits import check_commit, check_get, check_ttl
from plait.store.sqlite_file import News, SqliteFile, Synchronous

_T = TypeVar("_T")
_Args = TypeVarTuple("_Args")

PATIENCE_S = 10.0
"""How long a transaction waits for other processes before it says that the store is unavailable."""

HISTORY_BYTES = 64 << 20
"""How much history is kept for watches: some 200,000 small commits."""


class SqliteStore:
    """The store contract over the file `path`, which is made at first use; its directory must exist.

    `synchronous`: "full" waits for the disk at every commit; "normal" may lose the last at a power cut.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        synchronous: Synchronous = "full",
        patience_s: float = PATIENCE_S,
        history_bytes: int = HISTORY_BYTES,
    ) -> None:
        self._path = Path(path).absolute()
        self._bell = Bell(self._path)
        self._file = SqliteFile(
            self._path,
            synchronous=synchronous,
            patience_s=patience_s,
            history_bytes=history_bytes,
            bell=self._bell,
        )
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="plait-sqlite")
        self._interest = Interest()
        self._rung = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None
        self._following: asyncio.Future[bool] | None = None
        self._told_up_to = ABSENT
        self._closed = False

    async def snapshot(self, prefix: str) -> Snapshot:
        return (await self.snapshots([prefix]))[0]

    async def snapshots(self, prefixes: Sequence[str]) -> list[Snapshot]:
        return await self._run(self._file.snapshots, prefixes)

    async def get(self, keys: Sequence[str]) -> Snapshot:
        check_get(keys)
        return await self._run(self._file.get, keys)

    async def commit(self, compares: Sequence[Compare], writes: Sequence[Write]) -> Committed | Conflict:
        check_commit(compares, writes)
        return await self._run(self._file.commit, compares, writes)

    async def watch(self, prefix: str, after: Revision) -> AsyncGenerator[Batch, None]:
        self._check_open()
        watch = Watch(prefix, after)
        with self._interest.following(watch):
            # The follower has to stand before the first read: else a commit between the two would be lost.
            if not await self._follow():
                return
            if self._told_up_to <= after:
                # Whatever comes behind `after` will be told: hundreds of watches that begin need no read.
                watch.end_reading(after, more=False)
            while not self._closed:
                await watch.news()
                if self._closed:
                    return
                if watch.failure is not None:
                    raise watch.failure
                if (first := watch.begin_reading()) is None:
                    continue
                read = await self._run(self._file.changes, prefix, first)
                watch.end_reading(read.up_to, more=read.more)
                if read.batch is not None:
                    yield read.batch

    async def grant(self, ttl_s: float) -> LeaseId:
        check_ttl(ttl_s)
        await self._follow()
        return await self._run(self._file.grant, ttl_s)

    async def keep_alive(self, lease: LeaseId) -> None:
        await self._run(self._file.keep_alive, lease)

    async def revoke(self, lease: LeaseId) -> None:
        await self._run(self._file.revoke, lease)

    async def compact(self, revision: Revision) -> None:
        """Forget the history up to and with `revision`; it is also held to its size without being asked."""
        await self._run(self._file.compact, revision)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._file.stop()
        self._interest.wake_all()
        if self._follower is not None:
            self._follower.cancel()
            with suppress(asyncio.CancelledError):
                await self._follower
        if self._following is not None and not self._following.done():
            self._following.set_result(False)
        await asyncio.get_running_loop().run_in_executor(self._worker, self._file.close)
        self._worker.shutdown(wait=False)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"store {self._path} is closed: open it again")

    async def _run(self, work: Callable[[Unpack[_Args]], _T], *args: *_Args) -> _T:
        self._check_open()
        return await asyncio.get_running_loop().run_in_executor(self._worker, work, *args)

    async def _follow(self) -> bool:
        """Returns once every change from now on is heard of; False if the store was closed meanwhile."""
        if self._follower is None or self._follower.done():
            self._following = asyncio.get_running_loop().create_future()
            self._follower = asyncio.create_task(self._follow_news(self._following))
        assert self._following is not None
        # Shielded: one who stops waiting must not stop the others.
        return await asyncio.shield(self._following)

    async def _follow_news(self, following: asyncio.Future[bool]) -> None:
        try:
            await self._run(self._file.open)
            self._bell.listen(self._rung.set)
            news = await self._run(self._file.news, None)
            self._told_up_to = news.revision
            following.set_result(True)
            while True:
                if not news.more:
                    await self._ring_or_expiry(news.next_expiry_s)
                self._rung.clear()
                after = news.revision
                # Reading ends the leases that are due.
                news = await self._run(self._file.news, after)
                self._tell(after, news)
                self._told_up_to = news.revision
                if self._bell.watch_files():
                    self._rung.set()
        except StoreError as error:
            self._fail(following, error)
        except Exception as error:
            self._fail(following, StoreError(f"store {self._path} can't be followed: {error!r}"))
        finally:
            self._bell.stop_listening()

    def _fail(self, following: asyncio.Future[bool], error: StoreError) -> None:
        if following.done():
            self._interest.fail_all(error)
        else:
            following.set_exception(error)

    async def _ring_or_expiry(self, next_expiry_s: float | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(next_expiry_s):
                await self._rung.wait()

    def _tell(self, after: Revision, news: News) -> None:
        if news.touched is None:
            self._interest.touch_all(after + 1)
            return
        for revision, key in news.touched:
            self._interest.touch(revision, (key,))
