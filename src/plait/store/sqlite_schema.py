"""The tables of the SQLite store, opening a file of unknown origin, and errors that say the way out."""

import os
import sqlite3
from pathlib import Path
from uuid import uuid4

from plait.store.api import StoreError, StoreUnavailable

APPLICATION_ID = 0x506C6169  # "Plai": file(1) and we tell our file from another's by it
SCHEMA_VERSION = 1

_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS state (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    revision INTEGER NOT NULL,
    compacted INTEGER NOT NULL,
    history_bytes INTEGER NOT NULL
);
INSERT OR IGNORE INTO state VALUES (1, 0, 0, 0);
CREATE TABLE IF NOT EXISTS items (
    key TEXT PRIMARY KEY,
    value BLOB NOT NULL,
    revision INTEGER NOT NULL,
    lease INTEGER
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS items_of_lease ON items (lease) WHERE lease IS NOT NULL;
CREATE TABLE IF NOT EXISTS history (
    revision INTEGER NOT NULL,
    key TEXT NOT NULL,
    value BLOB,
    PRIMARY KEY (revision, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS leases (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    ttl_s REAL NOT NULL,
    expires REAL NOT NULL,
    boot TEXT NOT NULL
);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""


def open_database(path: Path, synchronous: str) -> tuple[sqlite3.Connection, os.stat_result]:
    """The database at `path`, made if there is none, and the file that it is.

    Raises StoreError if it is not ours or newer than this program, sqlite3.Error as `explain` reads it.
    """
    _check_directory(path)
    try:
        if not path.exists():
            _make(path)
        may_use = os.access(path, os.R_OK | os.W_OK, effective_ids=True)
    except OSError as error:
        raise _no_right(path, error.strerror) from error
    if not may_use:
        raise _no_right(path, "Permission denied")
    db = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        _check_origin(db, path)
        (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise StoreError(f"store {path}: no write-ahead log on this file system: use a local disk")
        db.execute(f"PRAGMA synchronous = {synchronous}")
        if _pragma(db, "user_version") == 0:
            db.executescript(_SCHEMA)
    except BaseException:
        db.close()
        raise
    return db, path.stat()


def _make(path: Path) -> None:
    """An empty file, readable by owner and group alone; SQLite gives its side files the same mode.

    Made under another name: to open the file itself and close it would drop the locks that another store of
    this process may have on it by then (fcntl(2), POSIX locks). Raises OSError.
    """
    new = path.with_name(f"{path.name}-new-{uuid4().hex}")
    os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640))
    try:
        os.link(new, path)
    except FileExistsError:
        pass  # Another was first.
    finally:
        os.unlink(new)


def _no_right(path: Path, reason: str | None) -> StoreError:
    return StoreError(f"store {path}: {reason}: give this user the right to write the file and its directory")


def _check_directory(path: Path) -> None:
    if not path.parent.is_dir():
        raise StoreError(f"store {path}: no directory {path.parent}: make it (mkdir -p {path.parent})")
    if path.is_dir():
        raise StoreError(f"store {path} is a directory: name a file in it, as {path / 'plait.db'}")


def _check_origin(db: sqlite3.Connection, path: Path) -> None:
    # One transaction: between two, another process may make the tables that the first didn't see.
    db.execute("BEGIN")
    application_id, version = _pragma(db, "application_id"), _pragma(db, "user_version")
    (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    db.execute("COMMIT")
    if application_id != APPLICATION_ID and (tables or application_id):
        raise StoreError(f"store {path} is a database of another program: name another file")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"store {path} has schema {version}, this program knows up to {SCHEMA_VERSION}: use a newer Plait"
        )


def _pragma(db: sqlite3.Connection, name: str) -> int:
    (value,) = db.execute(f"PRAGMA {name}").fetchone()
    return int(value)


def explain(path: Path, error: sqlite3.Error) -> StoreError:
    """What SQLite's error means to an operator, and the way out. Source: sqlite.org/rescode.html."""
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_NOTADB:
            return StoreError(f"store {path} is no SQLite database: name another file, or move this one away")
        case sqlite3.SQLITE_CORRUPT:
            return StoreError(
                f"store {path} is damaged ({error}): restore a backup, or try `sqlite3 {path} .recover`"
            )
        case sqlite3.SQLITE_FULL:
            return StoreUnavailable(f"store {path}: the disk is full, nothing was written: free some space")
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_AUTH:
            return StoreError(
                f"store {path}: {error}: give this user the right to write the file, its -wal and -shm files "
                "and their directory"
            )
        case sqlite3.SQLITE_IOERR:
            return StoreUnavailable(f"store {path}: {error}: look at the disk and the kernel log")
        case _:
            return StoreError(f"store {path}: {error}")
