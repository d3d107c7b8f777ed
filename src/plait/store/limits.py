"""What every driver refuses before it asks its engine, so that no intent fits one engine and not another.

Keys are non-empty text without NUL: etcd reads a NUL at the end of a range as "everything", and SQLite's own
tools stop reading there.
"""

from collections.abc import Iterable, Sequence

from plait.store.api import MAX_COMMIT_BYTES, MAX_COMMIT_OPS, Compare, KeyAt, Put, Write

_LAST_CHARACTER = "\U0010ffff"
_BEFORE_SURROGATES = "\ud7ff"
_AFTER_SURROGATES = "\ue000"


def check_keys(keys: Iterable[str]) -> None:
    """Raises ValueError for a key that not every engine can hold."""
    for key in keys:
        if not key or "\0" in key:
            raise ValueError(f"key {key!r} is empty or has a NUL in it: keys are plain text")
        try:
            key.encode()
        except UnicodeEncodeError:
            raise ValueError(f"key {key!r} has half a surrogate pair in it: keys are valid Unicode") from None


def check_get(keys: Sequence[str]) -> None:
    """Raises ValueError if `keys` are too many for one read, or not keys."""
    if len(keys) > MAX_COMMIT_OPS:
        raise ValueError(f"{len(keys)} keys in one read, at most {MAX_COMMIT_OPS}: read a prefix")
    check_keys(keys)


def check_commit(compares: Sequence[Compare], writes: Sequence[Write]) -> None:
    """Raises ValueError if a commit is larger than every driver can take, or writes a key twice."""
    if len(compares) > MAX_COMMIT_OPS or len(writes) > MAX_COMMIT_OPS:
        raise ValueError(
            f"a commit of {len(compares)} compares and {len(writes)} writes: split it, "
            f"at most {MAX_COMMIT_OPS} of each"
        )
    check_keys(compare.key for compare in compares if isinstance(compare, KeyAt))
    keys = [write.key for write in writes]
    check_keys(keys)
    if len(set(keys)) != len(keys):
        twice = sorted({key for key in keys if keys.count(key) > 1})
        raise ValueError(f"a commit writes {twice[0]!r} twice: a key may be written once")
    size_bytes = sum(len(write.key) + (len(write.value) if isinstance(write, Put) else 0) for write in writes)
    if size_bytes > MAX_COMMIT_BYTES:
        raise ValueError(f"a commit of {size_bytes} bytes, at most {MAX_COMMIT_BYTES}: split it")


def check_ttl(ttl_s: float) -> None:
    """Raises ValueError if a lease would live less than a second."""
    if not ttl_s >= 1:
        raise ValueError(f"a lease of {ttl_s} s: at least 1 s")


def after_prefix(prefix: str) -> str | None:
    """The first text, in code point order, behind every key that starts with `prefix`; None if there is none.

    Code point order is the order of UTF-8 bytes, so it holds for SQLite's BINARY collation and for etcd.
    """
    head = prefix.rstrip(_LAST_CHARACTER)
    if not head:
        return None
    last = head[-1]
    following = _AFTER_SURROGATES if last == _BEFORE_SURROGATES else chr(ord(last) + 1)
    return head[:-1] + following
