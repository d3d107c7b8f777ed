"""What only the SQLite driver can meet: bad files, a full disk, a reboot, others that hold the lock."""

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path

import pytest

from plait.store.api import (
    Change,
    Committed,
    Compacted,
    LeaseLost,
    Put,
    Revision,
    StoreError,
    StoreUnavailable,
)
from plait.store.sqlite import SqliteStore

PROGRAMS = Path(__file__).parent / "programs"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "plait.db"


async def error_of(store: SqliteStore) -> str:
    with pytest.raises(StoreError) as caught:
        await store.commit([], [Put("a", b"")])
    await store.close()
    return str(caught.value)


async def test_a_missing_directory_is_named_with_the_command_that_makes_it(tmp_path):
    message = await error_of(SqliteStore(tmp_path / "no" / "plait.db"))
    assert f"mkdir -p {tmp_path / 'no'}" in message


async def test_a_directory_is_no_store(tmp_path):
    assert f"{tmp_path / 'plait.db'}" in await error_of(SqliteStore(tmp_path))


async def test_a_file_that_is_no_database_is_refused_and_left_alone(path):
    path.write_text("precious notes " * 100)
    assert f"{path} is no SQLite database" in await error_of(SqliteStore(path))
    assert path.read_text() == "precious notes " * 100


async def test_the_database_of_another_program_is_refused_and_left_alone(path):
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE bookmarks (url TEXT)")
    before = path.read_bytes()
    assert f"{path} is a database of another program" in await error_of(SqliteStore(path))
    assert path.read_bytes() == before


async def test_a_newer_schema_asks_for_a_newer_program(path):
    store = SqliteStore(path)
    await store.commit([], [Put("a", b"")])
    await store.close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    assert "schema 99" in await error_of(SqliteStore(path))


async def test_a_damaged_file_says_how_to_recover_it(path):
    store = SqliteStore(path)
    for number in range(200):
        await store.commit([], [Put(f"{number}", bytes(3000))])
    await store.close()
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(os.urandom(path.stat().st_size - 8192))
    store = SqliteStore(path)
    with pytest.raises(StoreError, match=r"is damaged.*\.recover"):
        await store.snapshot("")
    await store.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_says_so_and_keeps_what_was_acknowledged(tmp_path):
    url = f"sqlite://{tmp_path}/plait.db"
    script = 'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@"'
    filling = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, tmp_path, sys.executable, PROGRAMS / "fill.py", url],
        capture_output=True,
        text=True,
        check=True,
    )
    first, second = filling.stdout.splitlines()
    assert first.startswith(f"StoreUnavailable store {tmp_path}/plait.db: the disk is full")
    assert second == "True"


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
async def test_a_user_without_the_right_is_told_which_right(tmp_path):
    path = tmp_path / "plait.db"
    store = SqliteStore(path)
    await store.commit([], [Put("a", b"")])
    for each in (tmp_path, *tmp_path.parents):
        if each.stat().st_uid == os.getuid() and each.is_relative_to("/tmp/pytest-of-root"):
            each.chmod(0o755)
    os.seteuid(65534)
    try:
        message = await error_of(SqliteStore(path))
    finally:
        os.seteuid(0)
    assert (
        message
        == f"store {path}: Permission denied: give this user the right to write the file and its directory"
    )
    await store.close()


async def test_a_store_kept_locked_by_somebody_else_is_unavailable_after_a_while(path):
    store = SqliteStore(path, patience_s=0.05)
    await store.commit([], [Put("a", b"1")])
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="fuser"):
        await store.commit([], [Put("a", b"2")])
    assert (await store.get(["a"])).items["a"].value == b"1"
    blocker.execute("COMMIT")
    assert isinstance(await store.commit([], [Put("a", b"3")]), Committed)
    blocker.close()
    await store.close()


async def test_a_file_removed_while_in_use_is_an_error_for_writers_and_watchers(path):
    store = SqliteStore(path)
    start = (await store.snapshot("")).revision
    async with aclosing(store.watch("", start)) as watch:
        hearing = asyncio.ensure_future(anext(watch))
        await store.commit([], [Put("a", b"")])
        await hearing
        hearing = asyncio.ensure_future(anext(watch))
        await asyncio.sleep(0)
        path.unlink()
        with pytest.raises(StoreError, match="removed or replaced"):
            await hearing
    assert "removed or replaced" in await error_of(store)


async def test_a_bell_that_somebody_removes_is_made_again(path):
    watching, writing = SqliteStore(path), SqliteStore(path)
    start = (await watching.snapshot("")).revision
    async with aclosing(watching.watch("", start)) as watch:
        for number in range(5):
            hearing = asyncio.ensure_future(anext(watch))
            await writing.commit([], [Put("a", b"%d" % number)])
            assert (await hearing).changes == (Change("a", b"%d" % number),)
            path.with_name("plait.db-bell").unlink()
    await watching.close()
    await writing.close()


async def test_history_is_held_to_its_size(path):
    store = SqliteStore(path, history_bytes=200_000)
    for number in range(300):
        await store.commit([], [Put(f"{number % 10}", bytes(2000))])
    with sqlite3.connect(path) as db:
        (size_bytes,) = db.execute("SELECT sum(length(value)) FROM history").fetchone()
        (counted_bytes,) = db.execute("SELECT history_bytes FROM state").fetchone()
    assert 100_000 < size_bytes < counted_bytes <= 200_000
    with pytest.raises(Compacted):
        async with aclosing(store.watch("", Revision(1))) as watch:
            await anext(watch)
    async with aclosing(store.watch("", Revision(299))) as watch:
        assert (await anext(watch)).revision == 300
    await store.close()


async def test_a_watch_that_is_not_concerned_by_what_is_forgotten_goes_on(path):
    store = SqliteStore(path, history_bytes=50_000)
    async with aclosing(store.watch("quiet/", Revision(0))) as watch:
        hearing = asyncio.ensure_future(anext(watch))
        for number in range(100):
            await store.commit([], [Put(f"loud/{number % 10}", bytes(2000))])
        await store.commit([], [Put("quiet/a", b"")])
        assert (await hearing).changes == (Change("quiet/a", b""),)
    await store.close()


async def test_a_reader_too_slow_for_the_history_is_told_so(path):
    store = SqliteStore(path, history_bytes=50_000)
    async with aclosing(store.watch("", Revision(0))) as watch:
        await store.commit([], [Put("a", b"")])
        await anext(watch)
        for number in range(100):
            await store.commit([], [Put(f"{number % 10}", bytes(2000))])
        with pytest.raises(Compacted):
            await anext(watch)
    await store.close()


async def test_a_lease_from_before_a_reboot_has_expired(path):
    store = SqliteStore(path)
    lease = await store.grant(3600)
    await store.commit([], [Put("leased", b"", lease), Put("free", b"")])
    await store.close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE leases SET boot = 'an earlier one'")
    store = SqliteStore(path)
    assert set((await store.snapshot("")).items) == {"free"}
    with pytest.raises(LeaseLost):
        await store.keep_alive(lease)
    await store.close()


async def test_files_are_not_readable_by_everybody(path):
    store = SqliteStore(path)
    await store.commit([], [Put("a", b"")])
    for file in path.parent.iterdir():
        assert not file.stat().st_mode & 0o007, file
    await store.close()


async def test_a_copy_made_while_others_write_can_be_opened(path):
    """`sqlite3 .backup` is the documented way; it must hold with our tables."""
    store = SqliteStore(path)
    for number in range(50):
        await store.commit([], [Put(f"{number}", b"x")])
    with sqlite3.connect(path) as source, sqlite3.connect(path.with_name("copy.db")) as copy:
        source.backup(copy)
    shutil.copy(path.with_name("copy.db"), path.with_name("moved.db"))
    other = SqliteStore(path.with_name("moved.db"))
    assert (await other.snapshot("")) == (await store.snapshot(""))
    await other.close()
    await store.close()


async def test_the_last_commit_of_a_process_that_died_before_it_could_tell_is_heard(path, run):
    store = SqliteStore(path)
    start = (await store.snapshot("")).revision
    async with aclosing(store.watch("", start)) as watch:
        hearing = asyncio.ensure_future(anext(watch))
        writer = await run("die_before_ringing.py", f"sqlite://{path}", "a")
        assert await writer.wait() == -signal.SIGKILL
        assert (await hearing).changes == (Change("a", b"last words"),)
    await store.close()


async def test_many_may_make_the_same_new_file_at_once(path):
    for attempt in range(30):
        stores = [SqliteStore(path.with_name(f"{attempt}.db")) for _ in range(6)]
        await asyncio.gather(*(store.commit([], [Put("a", b"")]) for store in stores))
        assert (await stores[0].snapshot("")).revision == len(stores)
        for store in stores:
            await store.close()


async def test_stores_of_one_process_do_not_drop_each_others_locks(path, run):
    """Closing any descriptor of a file drops all POSIX locks that the process has on it (fcntl(2))."""
    first, second = SqliteStore(path), SqliteStore(path)
    await first.commit([], [Put("n", b"0")])
    await second.get(["n"])
    for number in range(1, 4):
        other = await run("count_up.py", f"sqlite://{path}", "n", "1")
        assert await other.wait() == 0
        assert path.with_name("plait.db-wal").exists()
        assert (await first.get(["n"])).items["n"].value == b"%d" % number
        await second.commit([], [Put("seen", b"%d" % number)])
    await first.close()
    await second.close()


async def test_closing_while_a_watch_begins_ends_it(path):
    for _ in range(10):
        store = SqliteStore(path)
        watch = store.watch("", Revision(0))
        beginning = asyncio.ensure_future(anext(watch, None))
        await asyncio.sleep(0)
        await store.close()
        assert await beginning is None
