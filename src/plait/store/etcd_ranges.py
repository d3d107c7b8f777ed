"""Prefixes as etcd's ranges, and its keys as text."""

from plait.store.limits import after_prefix

_ALL = b"\0"


def range_of(prefix: str) -> tuple[bytes, bytes]:
    """`key` and `range_end` of everything under `prefix`. Source: rpc.proto, RangeRequest.range_end."""
    end = after_prefix(prefix)
    return prefix.encode() or _ALL, _ALL if end is None else end.encode()


def text(key: bytes) -> str:
    """A key as text; a key that somebody else wrote and that is none has its bad bytes replaced."""
    return key.decode(errors="replace")
