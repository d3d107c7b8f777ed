"""Asking one of several etcd endpoints: connecting, failing over, logging in.

Rule 1: a read may go to any endpoint that can be connected to, again and again, until its time is up.
Rule 2: a write goes out once. It is repeated only if no server can have begun it: else a commit that was
done would come back as a conflict with itself.
Rule 3: every request says that it needs a leader, so a member that is cut off from the others refuses it.

A connection is watched by HTTP/2 pings, so a server that is gone without a word is noticed within 15 s.
"""

import asyncio
import random
import ssl
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from plait.store.api import StoreError, StoreUnavailable
from plait.store.etcd_errors import (
    WAY_OUT,
    explain,
    is_elsewhere_better,
    is_surely_not_done,
    short,
    wants_new_login,
)
from plait.store.etcd_grpc import grpc
from plait.store.etcd_pb import etcd_pb2 as pb

_RETRY_AFTER_S = 0.05
_CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    # Else an idle watch gets a ping a minute from the third on.
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
)

_FOR_THE_CALLER = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.OUT_OF_RANGE)

Metadata = tuple[tuple[str, str], ...]


class Message(Protocol):
    """What we need of a protobuf message."""

    def SerializeToString(self) -> bytes: ...  # noqa: N802


_Question = TypeVar("_Question", bound=Message)
_Answer = TypeVar("_Answer", bound=Message)


@dataclass(frozen=True, slots=True)
class Method(Generic[_Question, _Answer]):
    """A method of an etcd service, by its path on the wire."""

    path: str
    question: type[_Question]
    answer: type[_Answer]


TXN = Method("/etcdserverpb.KV/Txn", pb.TxnRequest, pb.TxnResponse)
COMPACT = Method("/etcdserverpb.KV/Compact", pb.CompactionRequest, pb.CompactionResponse)
GRANT = Method("/etcdserverpb.Lease/LeaseGrant", pb.LeaseGrantRequest, pb.LeaseGrantResponse)
REVOKE = Method("/etcdserverpb.Lease/LeaseRevoke", pb.LeaseRevokeRequest, pb.LeaseRevokeResponse)
KEEP_ALIVE = Method("/etcdserverpb.Lease/LeaseKeepAlive", pb.LeaseKeepAliveRequest, pb.LeaseKeepAliveResponse)
WATCH = Method("/etcdserverpb.Watch/Watch", pb.WatchRequest, pb.WatchResponse)
AUTHENTICATE = Method("/etcdserverpb.Auth/Authenticate", pb.AuthenticateRequest, pb.AuthenticateResponse)


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files: who signs the servers' certificates (default: known authorities), and who we are."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class Login:
    """A user of etcd; the password shows in no repr, and so in no log."""

    user: str
    password: str = field(repr=False)


class Endpoint:
    """One etcd server and the connection to it, made at first use."""

    def __init__(self, address: str, credentials: grpc.ChannelCredentials | None) -> None:
        self.address = address
        self._credentials = credentials
        self._channel: grpc.aio.Channel | None = None
        self._users = 0

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Inside the block the connection is not given up for a new one."""
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1

    def channel(self) -> grpc.aio.Channel:
        if self._channel is None:
            self._channel = (
                grpc.aio.insecure_channel(self.address, options=_CHANNEL_OPTIONS)
                if self._credentials is None
                else grpc.aio.secure_channel(self.address, self._credentials, options=_CHANNEL_OPTIONS)
            )
        return self._channel

    async def why_not_connected(self, within_s: float) -> str | None:
        """Connects; the reason if that fails or takes longer than `within_s`, else None."""
        await self._forget_old_failure()
        channel = self.channel()
        try:
            async with asyncio.timeout(within_s):
                with self.in_use():
                    return await self._why_not_connected(channel)
        except TimeoutError:
            return f"no answer within {within_s:.1f} s"

    async def _why_not_connected(self, channel: grpc.aio.Channel) -> str | None:
        while (state := channel.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.READY:
            if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                return await self._failure()
            await channel.wait_for_state_change(state)
        return None

    async def _forget_old_failure(self) -> None:
        """gRPC repeats an old failure until it is time to try again; a new channel tries at once."""
        channel = self._channel
        if channel is None or self._users:
            return
        if channel.get_state() is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            self._channel = None
            await channel.close()

    async def _failure(self) -> str | None:
        """Why the connection fails: gRPC says it only to a request, which it then doesn't send."""
        try:
            await unary(self, AUTHENTICATE, pb.AuthenticateRequest(), (), 1.0)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                return short(error.details())
        return None

    async def close(self) -> None:
        if self._channel is not None:
            await self._channel.close()


async def unary(
    endpoint: Endpoint,
    method: Method[_Question, _Answer],
    question: _Question,
    metadata: Metadata,
    timeout_s: float,
) -> _Answer:
    """One question, one answer. Raises AioRpcError."""
    call = endpoint.channel().unary_unary(
        method.path,
        request_serializer=method.question.SerializeToString,
        response_deserializer=method.answer.FromString,  # type: ignore[attr-defined]
    )
    with endpoint.in_use():
        answer: _Answer = await call(question, metadata=metadata, timeout=timeout_s)
    return answer


def stream(
    endpoint: Endpoint,
    method: Method[_Question, _Answer],
    questions: Any,
    metadata: Metadata,
    timeout_s: float | None = None,
) -> Any:
    """Questions and answers, each a stream; the caller holds the endpoint in use."""
    call = endpoint.channel().stream_stream(
        method.path,
        request_serializer=method.question.SerializeToString,
        response_deserializer=method.answer.FromString,  # type: ignore[attr-defined]
    )
    return call(questions, metadata=metadata, timeout=timeout_s)


async def _first_answer(
    endpoint: Endpoint,
    method: Method[_Question, _Answer],
    question: _Question,
    metadata: Metadata,
    timeout_s: float,
) -> _Answer:
    with endpoint.in_use():
        async for answer in stream(endpoint, method, [question], metadata, timeout_s):
            first: _Answer = answer
            return first
    raise StoreUnavailable(f"etcd {endpoint.address} ended the stream without an answer: {WAY_OUT}")


_Send = Callable[[Endpoint, Method[_Question, _Answer], _Question, Metadata, float], Awaitable[_Answer]]


class EtcdClient:
    """Asks whichever of `endpoints` ("host:port") answers. Every request ends within `timeout_s`."""

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        tls: Tls | None,
        login: Login | None,
        timeout_s: float,
    ) -> None:
        credentials = None if tls is None else _credentials(tls)
        self._endpoints = [Endpoint(address, credentials) for address in endpoints]
        # Spread the clients of a cluster over its members.
        self._at = random.randrange(len(self._endpoints))
        self._login = login
        self._timeout_s = timeout_s
        self._token: str | None = None
        self._logging_in = asyncio.Lock()

    @property
    def user(self) -> str | None:
        return None if self._login is None else self._login.user

    async def ask(self, method: Method[_Question, _Answer], question: _Question) -> _Answer:
        """The answer to a question that may be asked twice: a read, or a write that does nothing more then.

        Raises StoreUnavailable when no endpoint answers in time, StoreError, and AioRpcError for what is not
        found or out of range: only the caller knows what that means.
        """
        return await self._request(unary, method, question, lambda error: True)

    async def ask_stream(self, method: Method[_Question, _Answer], question: _Question) -> _Answer:
        """As `ask`, for a method that has a stream of answers: the first of them."""
        return await self._request(_first_answer, method, question, lambda error: True)

    async def tell(self, method: Method[_Question, _Answer], question: _Question) -> _Answer:
        """As `ask`, for a write that must not be done twice.

        Raises StoreUnavailable also when the answer was lost: nobody knows then whether the write was done.
        """
        return await self._request(unary, method, question, is_surely_not_done)

    async def connected(self) -> tuple[Endpoint, Metadata]:
        """An endpoint that can be asked now, and what goes with a request to it. Raises StoreError."""
        deadline = self._now() + self._timeout_s
        endpoint = await self._connect(deadline)
        try:
            return endpoint, await self._metadata(endpoint, deadline)
        except grpc.aio.AioRpcError as error:
            self.avoid(endpoint)
            raise explain(error, endpoint.address, self.user) from error

    def avoid(self, endpoint: Endpoint) -> None:
        """Begin with the next endpoint from now on."""
        if self._endpoints[self._at] is endpoint:
            self._at = (self._at + 1) % len(self._endpoints)

    def forget_login(self, metadata: Metadata) -> None:
        """The token in `metadata` is no good any more; with a newer one this does nothing."""
        if (self._token or None) == dict(metadata).get("token"):
            self._token = None

    async def close(self) -> None:
        for endpoint in self._endpoints:
            await endpoint.close()

    async def _request(
        self,
        send: _Send[_Question, _Answer],
        method: Method[_Question, _Answer],
        question: _Question,
        may_repeat: Callable[[grpc.aio.AioRpcError], bool],
    ) -> _Answer:
        deadline = self._now() + self._timeout_s
        logged_in_again = False
        while True:
            endpoint = await self._connect(deadline)
            metadata: Metadata = ()
            try:
                metadata = await self._metadata(endpoint, deadline)
                return await send(endpoint, method, question, metadata, max(0.1, deadline - self._now()))
            except grpc.aio.AioRpcError as error:
                if self._login and not logged_in_again and wants_new_login(error.details()):
                    self.forget_login(metadata)
                    logged_in_again = True
                    continue
                if error.code() in _FOR_THE_CALLER:
                    raise
                if not is_elsewhere_better(error):
                    raise explain(error, endpoint.address, self.user) from error
                self.avoid(endpoint)
                if self._now() + _RETRY_AFTER_S >= deadline or not may_repeat(error):
                    raise explain(error, endpoint.address, self.user) from error
            await asyncio.sleep(_RETRY_AFTER_S)

    async def _connect(self, deadline: float) -> Endpoint:
        """The first endpoint that can be connected to, beginning with the one used last."""
        reasons = []
        for left in range(len(self._endpoints), 0, -1):
            endpoint = self._endpoints[self._at]
            within_s = max(0.1, (deadline - self._now()) / left)
            reason = await endpoint.why_not_connected(within_s)
            if reason is None:
                return endpoint
            reasons.append(f"{endpoint.address}: {reason}")
            self.avoid(endpoint)
        raise StoreUnavailable(f"etcd can't be reached ({', '.join(sorted(reasons))}): {WAY_OUT}")

    async def _metadata(self, endpoint: Endpoint, deadline: float) -> Metadata:
        needs_leader = (("hasleader", "true"),)
        if self._login is None:
            return needs_leader
        async with self._logging_in:
            if self._token is None:
                self._token = await self._log_in(endpoint, self._login, max(0.1, deadline - self._now()))
        return (*needs_leader, ("token", self._token)) if self._token else needs_leader

    async def _log_in(self, endpoint: Endpoint, login: Login, timeout_s: float) -> str:
        """A token; empty if the cluster has no users."""
        request = pb.AuthenticateRequest(name=login.user, password=login.password)
        try:
            return (await unary(endpoint, AUTHENTICATE, request, (), timeout_s)).token
        except grpc.aio.AioRpcError as error:
            if "authentication is not enabled" in (error.details() or ""):
                return ""
            if is_elsewhere_better(error):
                raise
            raise explain(error, endpoint.address, login.user) from error

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _credentials(tls: Tls) -> grpc.ChannelCredentials:
    """Raises StoreError for files that can't be read or used: gRPC would only say that a handshake failed."""
    if (tls.cert is None) != (tls.key is None):
        raise StoreError("etcd with TLS: cert and key belong together: name both, or none")
    context = ssl.create_default_context()
    at = tls.ca
    try:
        if tls.ca is not None:
            context.load_verify_locations(tls.ca)
        at = tls.cert
        if tls.cert is not None:
            context.load_cert_chain(tls.cert, tls.key, password="")
    except ssl.SSLError as error:
        raise StoreError(
            f"etcd with TLS: {at} (or its key) is no PEM file that fits: {error.reason}"
        ) from error
    except OSError as error:
        raise StoreError(
            f"etcd with TLS: {at} (or its key): {error.strerror}: name a readable file"
        ) from error
    contents = [None if path is None else path.read_bytes() for path in (tls.ca, tls.key, tls.cert)]
    return grpc.ssl_channel_credentials(*contents)
