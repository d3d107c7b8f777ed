"""The store on an etcd cluster (3.4 or newer), over its v3 gRPC API."""

import math
from collections.abc import AsyncGenerator, Sequence
from typing import assert_never

from plait.store.api import (
    Batch,
    Committed,
    Compare,
    Conflict,
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
from plait.store.etcd_client import (
    COMPACT,
    GRANT,
    KEEP_ALIVE,
    REVOKE,
    TXN,
    EtcdClient,
    Login,
    Tls,
)
from plait.store.etcd_grpc import grpc
from plait.store.etcd_pb import etcd_pb2 as pb
from plait.store.etcd_ranges import range_of, text
from plait.store.etcd_reading import EtcdReading, item
from plait.store.etcd_watch import BUFFER_BYTES, PATIENCE_S, EtcdWatches
from plait.store.limits import check_commit, check_get, check_ttl

TIMEOUT_S = 5.0
"""How long a request may take, with every endpoint tried, before the store counts as unavailable."""


class EtcdStore:
    """The store contract on the etcd cluster at `endpoints` ("host:port"); connects at first use.

    `timeout_s` bounds a request, `patience_s` how long a watch waits for a lost server, `buffer_bytes` what
    a watch holds for a slow reader. Raises StoreError if a file of `tls` can't be used.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        tls: Tls | None = None,
        login: Login | None = None,
        timeout_s: float = TIMEOUT_S,
        patience_s: float = PATIENCE_S,
        buffer_bytes: int = BUFFER_BYTES,
    ) -> None:
        self._client = EtcdClient(endpoints, tls=tls, login=login, timeout_s=timeout_s)
        self._reading = EtcdReading(self._client)
        self._watches = EtcdWatches(self._client, patience_s=patience_s, buffer_bytes=buffer_bytes)
        self._closed = False

    async def snapshot(self, prefix: str) -> Snapshot:
        return (await self.snapshots([prefix]))[0]

    async def snapshots(self, prefixes: Sequence[str]) -> list[Snapshot]:
        while True:
            self._check_open()
            try:
                return await self._reading.read(prefixes)
            except grpc.aio.AioRpcError as error:
                # Compacted between two requests: all begins again, at a newer revision.
                if error.code() is not grpc.StatusCode.OUT_OF_RANGE:
                    raise

    async def get(self, keys: Sequence[str]) -> Snapshot:
        check_get(keys)
        reads = [pb.RequestOp(request_range=pb.RangeRequest(key=key.encode())) for key in keys]
        self._check_open()
        answer = await self._client.ask(TXN, pb.TxnRequest(success=reads))
        found = [kv for response in answer.responses for kv in response.response_range.kvs]
        return Snapshot(Revision(answer.header.revision), {text(kv.key): item(kv) for kv in found})

    async def commit(self, compares: Sequence[Compare], writes: Sequence[Write]) -> Committed | Conflict:
        check_commit(compares, writes)
        self._check_open()
        request = pb.TxnRequest(
            compare=[_compare(compare) for compare in compares],
            success=[_write(write) for write in writes],
            # If a compare fails, the same transaction says which: asked later, the answer might be another.
            failure=[_what_stands(compare) for compare in compares],
        )
        try:
            answer = await self._client.tell(TXN, request)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            raise LeaseLost("the lease of a write is gone: grant a new one and write again") from error
        if answer.succeeded:
            return Committed(Revision(answer.header.revision))
        stood = zip(compares, answer.responses, strict=True)
        return Conflict(
            tuple(compare for compare, response in stood if not _held(compare, response.response_range))
        )

    async def watch(self, prefix: str, after: Revision) -> AsyncGenerator[Batch, None]:
        self._check_open()
        batches = self._watches.follow(prefix, after)
        try:
            async for batch in batches:
                yield batch
        finally:
            await batches.aclose()

    async def grant(self, ttl_s: float) -> LeaseId:
        """A lease of whole seconds, rounded up; etcd itself gives no less than two."""
        check_ttl(ttl_s)
        self._check_open()
        # Asked twice, the lease that nobody has heard of expires by itself.
        return LeaseId((await self._client.ask(GRANT, pb.LeaseGrantRequest(TTL=math.ceil(ttl_s)))).ID)

    async def keep_alive(self, lease: LeaseId) -> None:
        self._check_open()
        answer = await self._client.ask_stream(KEEP_ALIVE, pb.LeaseKeepAliveRequest(ID=lease))
        if answer.TTL <= 0:
            raise LeaseLost(f"lease {lease} is gone: grant a new one and write what stood under it again")

    async def revoke(self, lease: LeaseId) -> None:
        self._check_open()
        try:
            await self._client.ask(REVOKE, pb.LeaseRevokeRequest(ID=lease))
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise

    async def compact(self, revision: Revision) -> None:
        """Have etcd forget the history before `revision`.

        A cluster does so by itself where --auto-compaction-retention is set.
        """
        self._check_open()
        try:
            await self._client.ask(COMPACT, pb.CompactionRequest(revision=revision, physical=True))
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.OUT_OF_RANGE:
                raise

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await self._watches.close()
            await self._client.close()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the store is closed: open it again")


def _compare(compare: Compare) -> pb.Compare:
    match compare:
        case KeyAt(key, revision):
            # An absent key has mod revision 0, which is ABSENT.
            return pb.Compare(
                key=key.encode(), target=pb.Compare.MOD, result=pb.Compare.EQUAL, mod_revision=revision
            )
        case PrefixUnchanged(prefix, revision):
            # Over a range the compare holds if it holds for every key in it; so it does for none.
            first, range_end = range_of(prefix)
            return pb.Compare(
                key=first,
                range_end=range_end,
                target=pb.Compare.MOD,
                result=pb.Compare.LESS,
                mod_revision=revision + 1,
            )
        case _:
            assert_never(compare)


def _what_stands(compare: Compare) -> pb.RequestOp:
    """A read that shows whether `compare` holds: the key itself, or the first newer one under the prefix."""
    match compare:
        case KeyAt(key, _):
            return pb.RequestOp(request_range=pb.RangeRequest(key=key.encode(), keys_only=True))
        case PrefixUnchanged(prefix, revision):
            first, range_end = range_of(prefix)
            newer = pb.RangeRequest(
                key=first, range_end=range_end, min_mod_revision=revision + 1, limit=1, keys_only=True
            )
            return pb.RequestOp(request_range=newer)
        case _:
            assert_never(compare)


def _held(compare: Compare, stands: pb.RangeResponse) -> bool:
    match compare:
        case KeyAt(_, revision):
            return (stands.kvs[0].mod_revision if stands.kvs else 0) == revision
        case PrefixUnchanged():
            return not stands.kvs
        case _:
            assert_never(compare)


def _write(write: Write) -> pb.RequestOp:
    key = write.key.encode()
    if isinstance(write, Put):
        return pb.RequestOp(request_put=pb.PutRequest(key=key, value=write.value, lease=write.lease or 0))
    return pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=key))
