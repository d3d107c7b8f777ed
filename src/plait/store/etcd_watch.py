"""The watches of one etcd client: one stream for all of them.

One stream, not one for each: a stream costs the server some 18 KB, a watch on it 350 bytes (etcd's benchmark
of watch memory), and a host that is in fifty networks has a hundred watches.

Rule 1: a watch stands at the revision that it received last; a new stream resumes it from there.
Rule 2: a batch is whole commits: fragments of a response are joined before anybody sees them.
Rule 3: nobody is buffered for without bound. A reader that falls behind has its watch cancelled, and begun
again where it stands once it has read what it was given: the history is etcd's, until etcd forgets it.
Rule 4: a watch begins *at* the revision it already has and skips what it knows. Etcd before 3.4.34 (#18089)
forgets a deletion at the very revision that it was compacted to, and would not say so to a watch that begins
right there.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import suppress

from plait.store.api import Batch, Change, Compacted, Revision, StoreError, StoreUnavailable
from plait.store.etcd_client import WATCH, Endpoint, EtcdClient, Metadata, stream
from plait.store.etcd_errors import explain, is_elsewhere_better, wants_new_login
from plait.store.etcd_grpc import grpc
from plait.store.etcd_pb import etcd_pb2 as pb
from plait.store.etcd_ranges import range_of, text

PATIENCE_S = 4.0
"""How long watches wait for a server to come back before they say that the store is unavailable.

Shorter than what is left of a lease at the worst (two thirds of 10 s), so that no lease can run out in an
outage that nobody heard of: hosts get a grace only after one that was.
"""

BUFFER_BYTES = 4 << 20
"""How much a watch may hold for a slow reader."""

BEGUN_AT_ONCE = 16
"""How many watches begin before etcd has answered for one of them: hundreds of answers in a burst, each a
packet of its own, overflow the queues of a userspace switch on the same link."""

_CHANGE_BYTES = 200
_FIRST_RETRY_S = 0.05
_LAST_RETRY_S = 1.0


class _Watch:
    """One reader: where it stands, and what it hasn't read yet."""

    def __init__(self, prefix: str, after: Revision) -> None:
        self.prefix = prefix
        self.after = after
        self.number = 0
        self.refused_login = False
        self.failure: StoreError | None = None
        self.news = asyncio.Event()
        self._batches: deque[tuple[Batch, int]] = deque()
        self._buffered_bytes = 0
        self._fragments: list[pb.Event] = []

    def begin(self, number: int) -> pb.WatchRequest:
        """A request for everything that this watch doesn't have yet."""
        self.number = number
        self._fragments = []
        key, range_end = range_of(self.prefix)
        create = pb.WatchCreateRequest(
            key=key,
            range_end=range_end,
            start_revision=max(1, self.after),
            progress_notify=True,
            watch_id=number,
            fragment=True,
        )
        return pb.WatchRequest(create_request=create)

    def receive(self, response: pb.WatchResponse) -> None:
        events = [*self._fragments, *response.events]
        self._fragments = []
        if response.fragment and events:
            # The last commit may go on in the next fragment; those before it are whole.
            last = events[-1].kv.mod_revision
            self._fragments = [event for event in events if event.kv.mod_revision == last]
            events = events[: -len(self._fragments)]
        if events:
            self._keep(events)
        elif not (response.created or response.fragment):
            # A progress notice: nothing up to here concerns us.
            self.after = max(self.after, Revision(response.header.revision))

    def _keep(self, events: Sequence[pb.Event]) -> None:
        """Whole commits, ready to be read."""
        changes = tuple(
            Change(text(event.kv.key), None if event.type == pb.Event.DELETE else event.kv.value)
            for event in events
            if event.kv.mod_revision > self.after
        )
        self.after = max(self.after, Revision(events[-1].kv.mod_revision))
        if changes:
            size_bytes = sum(_CHANGE_BYTES + len(change.value or b"") for change in changes)
            self._batches.append((Batch(self.after, changes), size_bytes))
            self._buffered_bytes += size_bytes
            self.news.set()

    def take(self) -> Batch | None:
        if not self._batches:
            return None
        batch, size_bytes = self._batches.popleft()
        self._buffered_bytes -= size_bytes
        return batch

    def is_full(self, limit_bytes: int) -> bool:
        return self._buffered_bytes > limit_bytes

    def fail(self, error: StoreError) -> None:
        self.failure = error
        self.news.set()


class _Requests:
    """What is to be said on one stream, in order; watches begin a few at a time."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[pb.WatchRequest | None] = asyncio.Queue()
        self._may_begin = asyncio.Semaphore(BEGUN_AT_ONCE)
        self._is_over = False

    def put(self, request: pb.WatchRequest) -> None:
        self._waiting.put_nowait(request)

    def answered(self) -> None:
        """A watch has begun, or was refused: another may begin."""
        self._may_begin.release()

    def end(self) -> None:
        """Nobody listens any more: whoever waits for the next request gets none."""
        self._is_over = True
        self._may_begin.release()
        self._waiting.put_nowait(None)

    async def each(self) -> AsyncIterator[pb.WatchRequest]:
        while (request := await self._waiting.get()) is not None:
            if request.HasField("create_request"):
                await self._may_begin.acquire()
            if self._is_over:
                return
            yield request


class EtcdWatches:
    """Every watch of one client."""

    def __init__(self, client: EtcdClient, *, patience_s: float, buffer_bytes: int) -> None:
        self._client = client
        self._patience_s = patience_s
        self._buffer_bytes = buffer_bytes
        self._watches: dict[int, _Watch] = {}
        self._last_number = 0
        self._requests = _Requests()
        self._unanswered: deque[int] = deque()
        self._streaming: asyncio.Task[None] | None = None
        self._heard = False
        self._closed = False

    async def follow(self, prefix: str, after: Revision) -> AsyncGenerator[Batch, None]:
        """The batches of one watch, as `Store.watch` promises them."""
        watch = _Watch(prefix, after)
        self._begin(watch)
        try:
            while not self._closed:
                while (batch := watch.take()) is not None:
                    yield batch
                if watch.failure is not None:
                    raise watch.failure
                if watch.number not in self._watches:
                    self._begin(watch)
                await watch.news.wait()
                watch.news.clear()
        finally:
            self._end(watch)

    async def close(self) -> None:
        self._closed = True
        for watch in self._watches.values():
            watch.news.set()
        if self._streaming is not None:
            self._streaming.cancel()
            with suppress(asyncio.CancelledError):
                await self._streaming

    def _begin(self, watch: _Watch) -> None:
        self._last_number += 1
        self._watches[self._last_number] = watch
        self._request(watch.begin(self._last_number))
        if self._streaming is None or self._streaming.done():
            self._streaming = asyncio.create_task(self._stream_for_ever())

    def _end(self, watch: _Watch) -> None:
        """Stop the server's side of `watch`; what is still under way for it belongs to no watch any more."""
        if self._watches.pop(watch.number, None) is not None:
            cancel = pb.WatchCancelRequest(watch_id=watch.number)
            self._requests.put(pb.WatchRequest(cancel_request=cancel))

    def _request(self, create: pb.WatchRequest) -> None:
        self._requests.put(create)
        self._unanswered.append(create.create_request.watch_id)

    async def _stream_for_ever(self) -> None:
        """Holds a stream, and makes a new one when it is lost, as long as the server doesn't stay away."""
        lost_at = self._now()
        pause_s = _FIRST_RETRY_S
        while True:
            self._heard = False
            try:
                await self._stream()
            except StoreUnavailable as error:
                if self._heard:
                    lost_at = self._now()
                    pause_s = _FIRST_RETRY_S
                if self._now() - lost_at > self._patience_s:
                    self._fail_all(error)
                    return
            except StoreError as error:
                self._fail_all(error)
                return
            except Exception as error:
                self._fail_all(StoreError(f"etcd can't be watched: {error!r}"))
                return
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LAST_RETRY_S)

    async def _stream(self) -> None:
        """One stream, until it is lost or refused (raises StoreError) or needs a new login (returns)."""
        endpoint, metadata = await self._client.connected()
        with endpoint.in_use():
            await self._stream_from(endpoint, metadata)

    async def _stream_from(self, endpoint: Endpoint, metadata: Metadata) -> None:
        self._begin_all()
        requests = self._requests
        call = stream(endpoint, WATCH, requests.each(), metadata)
        try:
            async for response in call:
                self._heard = True
                if not self._receive(response, metadata):
                    return
            raise StoreUnavailable(f"etcd {endpoint.address} ended the watch")
        except grpc.aio.AioRpcError as error:
            if wants_new_login(error.details()):
                self._client.forget_login(metadata)
            elif is_elsewhere_better(error):
                self._client.avoid(endpoint)
            raise explain(error, endpoint.address, self._client.user) from error
        finally:
            call.cancel()
            # gRPC goes on waiting for requests after the end of a call that it didn't end itself.
            requests.end()

    def _begin_all(self) -> None:
        """On a new stream: every watch again, from where it stands."""
        self._requests = _Requests()
        self._unanswered = deque()
        for number, watch in self._watches.items():
            self._request(watch.begin(number))

    def _receive(self, response: pb.WatchResponse, metadata: Metadata) -> bool:
        """False if the stream has to begin again with a new login."""
        number = response.watch_id
        if response.created and self._unanswered:
            # In the order of the requests; a refused one may come without its number (-1, since etcd 3.5.6).
            number = self._unanswered.popleft()
            self._requests.answered()
        watch = self._watches.get(number)
        if watch is None:
            return True
        if response.canceled:
            return self._cancelled(watch, response, metadata)
        if response.created:
            watch.refused_login = False
            if response.header.revision < watch.after:
                # From a revision of its future this watch would be silent for a long time.
                self._end(watch)
                watch.fail(
                    Compacted(
                        f"etcd stands at revision {response.header.revision} and {watch.prefix!r} at "
                        f"{watch.after}: it came back from a backup, take a new snapshot"
                    )
                )
                return True
        watch.receive(response)
        if watch.is_full(self._buffer_bytes):
            self._end(watch)
        return True

    def _cancelled(self, watch: _Watch, response: pb.WatchResponse, metadata: Metadata) -> bool:
        reason = response.cancel_reason
        if response.compact_revision:
            error: StoreError = Compacted(
                f"etcd has forgotten what was before revision {response.compact_revision}, "
                f"{watch.prefix!r} stands at {watch.after}: take a new snapshot"
            )
        elif self._client.user and not watch.refused_login:
            # Etcd 3.4 says "permission denied" for an expired token too, so one new login decides.
            watch.refused_login = True
            self._client.forget_login(metadata)
            return False
        else:
            who = f" for user {self._client.user!r}" if self._client.user else ""
            error = StoreError(f"etcd refuses to watch {watch.prefix!r}{who}: {reason or 'no reason given'}")
        self._watches.pop(watch.number, None)
        watch.fail(error)
        return True

    def _fail_all(self, error: StoreError) -> None:
        for watch in self._watches.values():
            watch.fail(type(error)(*error.args))
        self._watches = {}

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
