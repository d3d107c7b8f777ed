"""What etcd's and gRPC's errors mean to an operator, and which of them prove that nothing was done.

Source: etcd `api/v3rpc/rpctypes/error.go`. The texts are part of the API: clients have nothing else to go by.
"""

import re

from plait.store.api import StoreError, StoreUnavailable
from plait.store.etcd_grpc import grpc

_RENEW_LOGIN = ("invalid auth token", "revision of auth store is old", "user name is empty")
_NOT_DONE = ("etcdserver: no leader", "etcdserver: not leader", "etcdserver: too many requests")
_REASONS = (
    (r"CERTIFICATE_VERIFY_FAILED.*certificate has expired", "its certificate has expired"),
    (r"CERTIFICATE_VERIFY_FAILED", "its certificate is not signed by the given CA"),
    (r"Hostname Verification", "its certificate is for another name"),
    (r"Unwrap failed|DATA_CORRUPTED|alert", "it refuses our certificate, or wants one: check cert and key"),
    (r"Handshake read failed|WRONG_VERSION", "it knows no TLS: use etcd:// instead of etcds://"),
    (r"(?i)handshake|ssl|tls", "the TLS handshake failed: check ca, cert and key"),
    (r"Connection refused", "connection refused"),
    (r"No route to host|Network is unreachable", "no route to it"),
    (r"(?i)errors resolving|dns|getaddrinfo|Domain name not found", "its name can't be resolved"),
    (r"(?i)http1|http/1|HTTP2 client preface", "it is no etcd"),
    (r"Socket closed", "it hangs up: with TLS use etcds:// instead of etcd://"),
    (r"(?i)connection reset|EOF|GOAWAY|closed", "the connection was lost"),
)

WAY_OUT = "check that etcd runs and that the store URL is right"


def short(details: str | None) -> str:
    """The cause in gRPC's long-winded `details`, in a few words and without control characters."""
    text = details or "no reason given"
    for pattern, reason in _REASONS:
        if re.search(pattern, text) and not text.startswith("etcdserver:"):
            return reason
    return re.sub(r"[^\x20-\x7e]+", " ", text)[:200]


def wants_new_login(details: str | None) -> bool:
    """The request was refused before it was carried out, for a token that has expired or is outdated."""
    return any(text in (details or "") for text in _RENEW_LOGIN)


def is_surely_not_done(error: grpc.aio.AioRpcError) -> bool:
    """No server has begun the request, so that even a write may be sent to another one."""
    details = error.details() or ""
    return details in _NOT_DONE or details.startswith("failed to connect to all addresses")


def is_elsewhere_better(error: grpc.aio.AioRpcError) -> bool:
    """Another endpoint, or the same a little later, may well answer."""
    return (
        error.code()
        in (
            grpc.StatusCode.UNAVAILABLE,
            grpc.StatusCode.DEADLINE_EXCEEDED,
            grpc.StatusCode.CANCELLED,
            grpc.StatusCode.UNKNOWN,
        )
        or (error.details() or "") in _NOT_DONE
    )


def explain(error: grpc.aio.AioRpcError, endpoint: str, user: str | None) -> StoreError:
    """The error of a request that `endpoint` refused, or did not answer."""
    details = error.details() or ""
    if "authentication failed" in details:
        return StoreError(
            f"etcd {endpoint} refuses user {user!r}: wrong name or password: check the store URL's login"
        )
    if "user name is empty" in details:
        return StoreError(
            f"etcd {endpoint} wants a login: name a user (etcd://user:password@…) and its password"
        )
    if "permission denied" in details or error.code() is grpc.StatusCode.PERMISSION_DENIED:
        return StoreError(
            f"etcd {endpoint} denies user {user!r} these keys: grant a role with readwrite plait/"
        )
    if "database space exceeded" in details:
        return StoreUnavailable(
            f"etcd {endpoint} has used up its quota: compact and defragment it, then `etcdctl alarm disarm`"
        )
    if error.code() is grpc.StatusCode.UNIMPLEMENTED:
        return StoreError(f"etcd {endpoint} does not know the request: etcd 3.4 or newer is needed")
    if is_elsewhere_better(error):
        return StoreUnavailable(f"etcd {endpoint}: {short(details)}: {WAY_OUT}")
    return StoreError(f"etcd {endpoint}: {short(details)}")
