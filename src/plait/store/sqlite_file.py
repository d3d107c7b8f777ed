"""The SQLite file of a store: its tables, and every transaction as a function that blocks.

Rule 1: one thread uses an object of this class (`sqlite.py` owns it).
Rule 2: every operation is one SQL transaction, and runs again from its start while another process is busy.
Rule 3: leases that are due end before anything else is read or written, so nobody sees what is no more.

A lease counts in CLOCK_MONOTONIC, which all processes of a machine share and which stands still while it
sleeps; with it goes the boot id, so that a lease from before a reboot counts as expired.
"""

import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from plait.store.api import (
    ABSENT,
    Batch,
    Change,
    Committed,
    Compacted,
    Compare,
    Conflict,
    Delete,
    Item,
    KeyAt,
    LeaseId,
    LeaseLost,
    PrefixUnchanged,
    Put,
    Revision,
    Snapshot,
    StoreError,
    StoreUnavailable,
    Write,
)
from plait.store.bell import Bell
from plait.store.limits import after_prefix
from plait.store.sqlite_schema import explain, open_database

_T = TypeVar("_T")

Synchronous = Literal["full", "normal"]

_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_RETRY_AFTER_S = (0.000_2, 0.002)
_BATCH_CHANGES = 1000
_BATCH_BYTES = 1 << 20
_NEWS_REVISIONS = 1000
_ENTRY_BYTES = 100
_TRIM_SHARE = 64


class News(NamedTuple):
    """What happened up to `revision`: the keys by revision, or None if that is no longer known."""

    revision: Revision
    touched: Sequence[tuple[Revision, str]] | None
    more: bool
    next_expiry_s: float | None


class Read(NamedTuple):
    """A watch's next batch (None: nothing that concerns it), how far it goes, and whether there is more."""

    batch: Batch | None
    up_to: Revision
    more: bool


class SqliteFile:
    """One open database. Every method may raise StoreError, and StoreUnavailable if others keep it locked."""

    def __init__(
        self,
        path: Path,
        *,
        synchronous: Synchronous,
        patience_s: float,
        history_bytes: int,
        bell: Bell,
    ) -> None:
        self._path = path
        self._synchronous = synchronous
        self._patience_s = patience_s
        self._history_bytes = history_bytes
        self._bell = bell
        self._has_news = False
        self._stopping = threading.Event()
        self._db: sqlite3.Connection | None = None
        self._opened: os.stat_result | None = None
        self._boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()

    def stop(self) -> None:
        """From any thread: whoever waits for other processes gives up."""
        self._stopping.set()

    def open(self) -> None:
        """Open file and bell now, not at first use."""
        self._database()

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
        self._bell.release()

    def snapshots(self, prefixes: Sequence[str]) -> list[Snapshot]:
        def work(db: sqlite3.Connection) -> list[Snapshot]:
            revision, found = _revision(db), []
            for prefix in prefixes:
                condition, bounds = _under(prefix)
                rows = db.execute(f"SELECT key, value, revision FROM items WHERE {condition}", bounds)
                found.append(Snapshot(revision, {key: Item(value, at) for key, value, at in rows}))
            return found

        return self._read(work)

    def get(self, keys: Sequence[str]) -> Snapshot:
        def work(db: sqlite3.Connection) -> Snapshot:
            marks = ",".join("?" * len(keys))
            rows = db.execute(f"SELECT key, value, revision FROM items WHERE key IN ({marks})", tuple(keys))
            return Snapshot(_revision(db), {key: Item(value, revision) for key, value, revision in rows})

        return self._read(work)

    def commit(self, compares: Sequence[Compare], writes: Sequence[Write]) -> Committed | Conflict:
        def work(db: sqlite3.Connection) -> Committed | Conflict | LeaseLost:
            failed = tuple(compare for compare in compares if not _holds(db, compare))
            if failed:
                return Conflict(failed)
            for lease in {write.lease for write in writes if isinstance(write, Put)} - {None}:
                if db.execute("SELECT 1 FROM leases WHERE id = ?", (lease,)).fetchone() is None:
                    return LeaseLost(f"lease {lease} is gone: grant a new one and write again")
            self._apply(db, writes)
            return Committed(_revision(db))

        outcome = self._write(work)
        if isinstance(outcome, LeaseLost):
            raise outcome
        return outcome

    def changes(self, prefix: str, first: Revision) -> Read:
        """The commits from `first` on, as far as they fit a batch. Raises Compacted."""

        def work(db: sqlite3.Connection) -> Read:
            if first <= (compacted := _compacted(db)):
                raise Compacted(f"revision {first} is forgotten, up to {compacted}: take a new snapshot")
            condition, bounds = _under(prefix)
            rows = db.execute(
                f"SELECT revision, key, value FROM history WHERE revision >= ? AND {condition}"
                " ORDER BY revision, key",
                (first, *bounds),
            )
            found: list[Change] = []
            last, size_bytes = Revision(first - 1), 0
            for revision, key, value in rows:
                if revision != last and (len(found) >= _BATCH_CHANGES or size_bytes >= _BATCH_BYTES):
                    return Read(Batch(last, tuple(found)), last, more=True)
                last = revision
                found.append(Change(key, value))
                size_bytes += len(value or b"")
            return Read(Batch(last, tuple(found)) if found else None, _revision(db), more=False)

        return self._read(work)

    def news(self, after: Revision | None) -> News:
        """Which keys changed since `after` (None: since now), and when the next lease is due."""

        def work(db: sqlite3.Connection) -> News:
            now = _revision(db)
            since = now if after is None else after
            if since < _compacted(db):
                return News(now, None, more=False, next_expiry_s=self._next_expiry_s(db))
            up_to = min(now, Revision(since + _NEWS_REVISIONS))
            touched = db.execute(
                "SELECT revision, key FROM history WHERE revision > ? AND revision <= ? ORDER BY revision",
                (since, up_to),
            ).fetchall()
            return News(up_to, touched, more=up_to < now, next_expiry_s=self._next_expiry_s(db))

        return self._read(work)

    def grant(self, ttl_s: float) -> LeaseId:
        def work(db: sqlite3.Connection) -> LeaseId:
            cursor = db.execute(
                "INSERT INTO leases (ttl_s, expires, boot) VALUES (?, ?, ?)",
                (ttl_s, time.monotonic() + ttl_s, self._boot),
            )
            assert cursor.lastrowid is not None
            # Others have to know when to look for its end.
            self._has_news = True
            return LeaseId(cursor.lastrowid)

        return self._write(work)

    def keep_alive(self, lease: LeaseId) -> None:
        def work(db: sqlite3.Connection) -> int:
            update = "UPDATE leases SET expires = ? + ttl_s WHERE id = ?"
            return db.execute(update, (time.monotonic(), lease)).rowcount

        if not self._write(work):
            raise LeaseLost(f"lease {lease} is gone: grant a new one and write what stood under it again")

    def revoke(self, lease: LeaseId) -> None:
        self._write(lambda db: self._end_lease(db, lease))

    def compact(self, revision: Revision) -> None:
        """Forget the history up to and with `revision`."""
        self._write(lambda db: _forget(db, min(revision, _revision(db))))

    def _read(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        def unless_due(db: sqlite3.Connection) -> _T | None:
            return None if self._due(db) else work(db)

        result = self._transact("BEGIN", unless_due)
        return self._write(work) if result is None else result

    def _write(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        def after_expiry(db: sqlite3.Connection) -> _T:
            self._has_news = False
            for lease in self._due(db):
                self._end_lease(db, lease)
            return work(db)

        result = self._transact("BEGIN IMMEDIATE", after_expiry)
        if self._has_news:
            self._bell.ring()
        return result

    def _transact(self, begin: str, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Run `work` in a transaction of its own, from its start again while others are in the way."""
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                return self._once(begin, work)
            except sqlite3.Error as error:
                if (getattr(error, "sqlite_errorcode", 0) & 0xFF) not in _BUSY:
                    raise explain(self._path, error) from error
            if time.monotonic() > deadline or self._stopping.is_set():
                raise StoreUnavailable(
                    f"store {self._path}: another process has kept it locked for {self._patience_s} s: "
                    f"find it (fuser {self._path}) and end it"
                )
            self._stopping.wait(random.uniform(*_RETRY_AFTER_S))

    def _once(self, begin: str, work: Callable[[sqlite3.Connection], _T]) -> _T:
        db = self._database()
        self._hold_bell()
        try:
            db.execute(begin)
            result = work(db)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        return result

    def _database(self) -> sqlite3.Connection:
        """The connection, opened at first use.

        A file that was removed or replaced under us would take our writes and show them to nobody: an error.
        """
        if self._db is None:
            self._db, self._opened = open_database(self._path, self._synchronous)
            return self._db
        try:
            same = self._opened is not None and os.path.samestat(os.stat(self._path), self._opened)
        except FileNotFoundError:
            same = False
        if not same:
            raise StoreError(f"store {self._path} was removed or replaced while in use: start again")
        return self._db

    def _hold_bell(self) -> None:
        try:
            self._bell.hold()
        except OSError as error:
            bell = f"{self._path}-bell"
            raise StoreError(
                f"store {bell}: {error.strerror}: give this user the right to write it"
            ) from error

    def _due(self, db: sqlite3.Connection) -> list[LeaseId]:
        rows = db.execute(
            "SELECT id FROM leases WHERE expires <= ? OR boot <> ?", (time.monotonic(), self._boot)
        )
        return [LeaseId(lease) for (lease,) in rows]

    def _next_expiry_s(self, db: sqlite3.Connection) -> float | None:
        (first,) = db.execute("SELECT min(expires) FROM leases").fetchone()
        return None if first is None else max(0.0, first - time.monotonic())

    def _end_lease(self, db: sqlite3.Connection, lease: LeaseId) -> None:
        keys = db.execute("SELECT key FROM items WHERE lease = ? ORDER BY key", (lease,)).fetchall()
        self._apply(db, [Delete(key) for (key,) in keys])
        db.execute("DELETE FROM leases WHERE id = ?", (lease,))

    def _apply(self, db: sqlite3.Connection, writes: Sequence[Write]) -> None:
        """One commit: items, history and revision. Writes that change nothing make no revision."""
        revision = _revision(db) + 1
        changes: list[tuple[int, str, bytes | None]] = []
        for write in writes:
            if isinstance(write, Put):
                db.execute(
                    "INSERT INTO items (key, value, revision, lease) VALUES (?1, ?2, ?3, ?4)"
                    " ON CONFLICT (key) DO UPDATE SET value = ?2, revision = ?3, lease = ?4",
                    (write.key, write.value, revision, write.lease),
                )
                changes.append((revision, write.key, write.value))
            elif db.execute("DELETE FROM items WHERE key = ?", (write.key,)).rowcount:
                changes.append((revision, write.key, None))
        if not changes:
            return
        db.executemany("INSERT INTO history (revision, key, value) VALUES (?, ?, ?)", changes)
        size_bytes = sum(_ENTRY_BYTES + len(key) + len(value or b"") for _, key, value in changes)
        db.execute("UPDATE state SET revision = ?, history_bytes = history_bytes + ?", (revision, size_bytes))
        self._has_news = True
        self._trim(db)

    def _trim(self, db: sqlite3.Connection) -> None:
        """Hold the history to its size: forget a little of its oldest part whenever it has grown over it."""
        (size_bytes,) = db.execute("SELECT history_bytes FROM state").fetchone()
        if size_bytes <= self._history_bytes:
            return
        surplus = size_bytes - self._history_bytes + self._history_bytes // _TRIM_SHARE
        rows = db.execute(f"SELECT revision, {_SIZE} FROM history ORDER BY revision")
        up_to = 0
        while surplus > 0:
            up_to, entry_bytes = rows.fetchone()
            surplus -= entry_bytes
        rows.close()
        _forget(db, up_to)


_SIZE = f"{_ENTRY_BYTES} + length(CAST(key AS BLOB)) + ifnull(length(value), 0)"


def _forget(db: sqlite3.Connection, up_to: int) -> None:
    (size_bytes,) = db.execute(
        f"SELECT ifnull(sum({_SIZE}), 0) FROM history WHERE revision <= ?", (up_to,)
    ).fetchone()
    db.execute("DELETE FROM history WHERE revision <= ?", (up_to,))
    db.execute(
        "UPDATE state SET compacted = max(compacted, ?), history_bytes = history_bytes - ?",
        (up_to, size_bytes),
    )


def _revision(db: sqlite3.Connection) -> Revision:
    (revision,) = db.execute("SELECT revision FROM state").fetchone()
    return Revision(revision)


def _compacted(db: sqlite3.Connection) -> Revision:
    (compacted,) = db.execute("SELECT compacted FROM state").fetchone()
    return Revision(compacted)


def _under(prefix: str) -> tuple[str, tuple[str, ...]]:
    """The SQL condition for keys under `prefix`, and its values."""
    end = after_prefix(prefix)
    return ("key >= ?", (prefix,)) if end is None else ("key >= ? AND key < ?", (prefix, end))


def _holds(db: sqlite3.Connection, compare: Compare) -> bool:
    match compare:
        case KeyAt(key, revision):
            row = db.execute("SELECT revision FROM items WHERE key = ?", (key,)).fetchone()
            return (ABSENT if row is None else row[0]) == revision
        case PrefixUnchanged(prefix, revision):
            condition, bounds = _under(prefix)
            newer = f"SELECT 1 FROM items WHERE {condition} AND revision > ? LIMIT 1"
            return db.execute(newer, (*bounds, revision)).fetchone() is None
