"""Reading prefixes from etcd: many in one request, and large ones in pages.

Rule 1: no answer holds more than a page of keys, however many prefixes are asked for: a burst of megabytes
overflows the queues of a userspace switch that carries tenants' packets over the same link.
Rule 2: every request is at the revision of the first.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence

from plait.store.api import Item, Revision, Snapshot
from plait.store.etcd_client import TXN, EtcdClient
from plait.store.etcd_pb import etcd_pb2 as pb
from plait.store.etcd_ranges import range_of, text

_PAGE_KEYS = 100
"""About 25 KB of endpoints."""

_REQUESTS_AT_ONCE = 2
"""Of one client, whoever asks: see rule 1."""

_KEYS_PER_S = 20_000
_FREE_KEYS = 1500
"""How fast many prefixes are read, after so many keys at once; one prefix is read as fast as its pages come.
Two hundred networks of a router are read without a pause, ten thousand endpoints in half a second."""

_RANGES_AT_ONCE = 20
"""Prefixes in one request (etcd allows 128 by default). Each may bring five keys at first: a network with two
subnets that a router is on is read whole."""


class _Range:
    """What is to be read of a prefix yet: `key` to `end`, and how many keys that are, as far as is known."""

    def __init__(self, prefix: str, left: int) -> None:
        self.key, self.end = range_of(prefix)
        self.left = left
        self.items: dict[str, Item] = {}

    def request(self, limit: int, revision: int) -> pb.RequestOp:
        asked = pb.RangeRequest(key=self.key, range_end=self.end, limit=limit, revision=revision)
        return pb.RequestOp(request_range=asked)

    def take(self, page: pb.RangeResponse) -> bool:
        """True if there is more to read."""
        self.items.update((text(kv.key), item(kv)) for kv in page.kvs)
        if page.more:
            # Counted are all from the key that was asked for.
            self.left = page.count - len(page.kvs)
            self.key = page.kvs[-1].key + b"\0"
        return page.more


class EtcdReading:
    """Reads for all users of one client."""

    def __init__(self, client: EtcdClient) -> None:
        self._client = client
        self._turns = asyncio.Semaphore(_REQUESTS_AT_ONCE)
        self._paid_until = 0.0

    async def read(self, prefixes: Sequence[str]) -> list[Snapshot]:
        """All of `prefixes` at one revision. Raises AioRpcError: out of range if that was compacted since."""
        share = _PAGE_KEYS // min(max(1, len(prefixes)), _RANGES_AT_ONCE)
        ranges = [_Range(prefix, share) for prefix in prefixes]
        waiting, revision = deque(ranges), 0
        while waiting:
            portion = list(_portion(waiting))
            request = pb.TxnRequest(success=[each.request(limit, revision) for each, limit in portion])
            async with self._turns:
                answer = await self._client.ask(TXN, request)
                if len(ranges) > 1:
                    await self._pace(sum(len(each.response_range.kvs) for each in answer.responses))
            revision = revision or answer.header.revision
            for (each, _), response in zip(portion, answer.responses, strict=True):
                if each.take(response.response_range):
                    waiting.append(each)
        return [Snapshot(Revision(revision), each.items) for each in ranges]

    async def _pace(self, keys: int) -> None:
        """Hold the turn until `keys` more may have been read."""
        now = asyncio.get_running_loop().time()
        self._paid_until = max(self._paid_until, now - _FREE_KEYS / _KEYS_PER_S) + keys / _KEYS_PER_S
        if self._paid_until > now:
            await asyncio.sleep(self._paid_until - now)


def _portion(waiting: deque[_Range]) -> Iterator[tuple[_Range, int]]:
    """What is asked for in the next request, each with how many keys of it at most; together, a page."""
    room = _PAGE_KEYS
    for _ in range(min(len(waiting), _RANGES_AT_ONCE)):
        if room <= 0:
            return
        each = waiting.popleft()
        limit = min(each.left, room)
        room -= limit
        yield each, limit


def item(kv: pb.KeyValue) -> Item:
    """A key's value as the contract says it."""
    return Item(kv.value, Revision(kv.mod_revision))
