"""The contract of a store: a strongly consistent key-value space with revisions.

Rule 1: a revision is a point in the history of the whole store; every commit that changes something makes the
next one.
Rule 2: the watch is a hint, the revision is the truth: a snapshot at a revision, then a watch from there,
misses nothing.
Rule 3: every write is a transaction of compares and writes; it happens whole or not at all.
Rule 4: keys and prefixes are text, values are bytes; a prefix is scoped by characters, so end it with "/".

One contract suite (`tests/contract/`) decides whether a driver ships.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import NewType, Protocol

import msgspec

Revision = NewType("Revision", int)
LeaseId = NewType("LeaseId", int)

ABSENT = Revision(0)


class Item(msgspec.Struct, frozen=True, gc=False):
    """A value and the revision of the commit that last wrote it."""

    value: bytes
    revision: Revision


class Snapshot(msgspec.Struct, frozen=True):
    """Everything under a prefix (or of some keys) as it stood at one `revision`."""

    revision: Revision
    items: Mapping[str, Item]


class KeyAt(msgspec.Struct, frozen=True):
    """True while `key` was last written by the commit `revision`; `ABSENT` means that it must not exist."""

    key: str
    revision: Revision


class PrefixUnchanged(msgspec.Struct, frozen=True):
    """True while no key that now exists under `prefix` was written after `revision`.

    With a snapshot that saw the prefix empty at `revision` this means "still empty".
    """

    prefix: str
    revision: Revision


class Put(msgspec.Struct, frozen=True):
    """Write `value`. With `lease`, the key lives no longer than the lease; an earlier lease is detached."""

    key: str
    value: bytes
    lease: LeaseId | None = None


class Delete(msgspec.Struct, frozen=True):
    """Remove `key`; removing an absent key is no error and no event."""

    key: str


Compare = KeyAt | PrefixUnchanged
Write = Put | Delete


class Committed(msgspec.Struct, frozen=True):
    """All compares held and all writes are done, at `revision`."""

    revision: Revision


class Conflict(msgspec.Struct, frozen=True):
    """A compare failed and nothing was written. `failed` names the compares that did not hold."""

    failed: tuple[Compare, ...]


class Change(msgspec.Struct, frozen=True, gc=False):
    """One key written (`value`) or removed (`None`)."""

    key: str
    value: bytes | None


class Batch(msgspec.Struct, frozen=True):
    """The changes of one or more whole commits, up to and with `revision`; never a part of a commit."""

    revision: Revision
    changes: tuple[Change, ...]


class StoreError(Exception):
    """Something is wrong with the store or with how it was asked; the message says what to do."""


class StoreUnavailable(StoreError):
    """The store can't be reached or gave no answer in time. Nothing is known about a commit under way."""


class Compacted(StoreError):
    """The watch asked for history that is gone. Take a new snapshot and compare."""


class LeaseLost(StoreError):
    """The lease has expired or was revoked; whatever was under it is gone."""


MAX_COMMIT_OPS = 120
"""Writes or compares that one commit may have (etcd allows 128 by default)."""

MAX_COMMIT_BYTES = 1_000_000
"""Keys and values that one commit may write, together (etcd allows 1.5 MiB for a request by default)."""


class Store(Protocol):
    """A driver. Every method may raise `StoreUnavailable`; none blocks the event loop."""

    async def snapshot(self, prefix: str) -> Snapshot:
        """All keys that start with `prefix`, at one revision."""
        ...

    async def snapshots(self, prefixes: Sequence[str]) -> list[Snapshot]:
        """As `snapshot`, of several prefixes, all at one revision: in fewer requests than one for each."""
        ...

    async def get(self, keys: Sequence[str]) -> Snapshot:
        """Those of `keys` that exist, all at one revision (at most `MAX_COMMIT_OPS` keys)."""
        ...

    async def commit(self, compares: Sequence[Compare], writes: Sequence[Write]) -> Committed | Conflict:
        """All `writes`, if all `compares` hold. At most `MAX_COMMIT_OPS` of each; a key may be written once.

        Without an effect (no writes, or only deletes of absent keys) the revision stays as it is. Raises
        LeaseLost if a `Put` names a lease that is gone, ValueError if the limits (`MAX_COMMIT_OPS`,
        `MAX_COMMIT_BYTES`) are broken.
        """
        ...

    def watch(self, prefix: str, after: Revision) -> AsyncGenerator[Batch, None]:
        """Every change under `prefix` made after revision `after`, in order, each once.

        Survives a short loss of the server by itself, from where it stood. Raises `Compacted` when the
        history it would need is gone: a slow reader is never buffered for without bound, it reads on from the
        history, while there is one. May raise it, too, for a revision that the store has not reached, since
        such a store came back from a backup. Raises `StoreUnavailable` when the server stays away; ends when
        the store is closed. Leave it by `contextlib.aclosing` (or aclose), which frees everything at once.
        """
        ...

    async def grant(self, ttl_s: float) -> LeaseId:
        """A new lease that lives `ttl_s` seconds (at least 1) from now and from every `keep_alive`."""
        ...

    async def keep_alive(self, lease: LeaseId) -> None:
        """Start the lease's time again. Raises LeaseLost when it is gone."""
        ...

    async def revoke(self, lease: LeaseId) -> None:
        """End the lease and remove its keys at once; a lease that is gone is no error."""
        ...

    async def close(self) -> None:
        """Let go of connections and files; watches end. Leases are left to expire."""
        ...
