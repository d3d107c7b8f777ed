"""The last view on disk: what was saved outlives any kind of end, and no file stops an agent."""

import os
import random
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from plait.agent import cache
from plait.agent.cache import HEADER, CorruptView, DiskView, encode, replay
from plait.lab.waiting import wait_until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "view"


def saved(path: Path, *batches: dict[str, bytes | None]) -> bytes:
    disk = DiskView(path)
    disk.load()
    for batch in batches:
        disk.save(batch.items())
    disk.close()
    return path.read_bytes()


def loaded(path: Path) -> dict[str, bytes]:
    disk = DiskView(path)
    state = dict(disk.load())
    disk.close()
    return state


def test_what_was_saved_is_there_after_a_restart(path: Path) -> None:
    saved(path, {"a": b"1", "b": b"2"}, {"a": None, "c": b""}, {"b": b"3"})
    assert loaded(path) == {"b": b"3", "c": b""}


def test_without_a_file_it_begins_empty_and_only_its_user_may_read_it(path: Path) -> None:
    assert loaded(path) == {}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_file_that_others_could_read_is_closed_to_them(path: Path) -> None:
    saved(path, {"a": b"1"})
    path.chmod(0o644)
    assert loaded(path) == {"a": b"1"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_saving_without_loading_keeps_what_was_there(path: Path) -> None:
    saved(path, {"a": b"1"})
    disk = DiskView(path)
    disk.save([("b", b"2")])
    disk.close()
    assert loaded(path) == {"a": b"1", "b": b"2"}


def test_a_torn_end_is_dropped_at_every_byte_and_the_rest_is_kept(path: Path) -> None:
    first = saved(path, {"a": b"1"})
    whole = saved(path, {"b": b"2", "c": b"3"})
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        assert loaded(path) == ({"a": b"1"} if end >= len(first) else {}), end
        assert saved(path, {"d": b"4"})
        assert loaded(path)["d"] == b"4"


def test_zeros_behind_the_end_as_a_power_failure_leaves_them_are_dropped(path: Path) -> None:
    whole = saved(path, {"a": b"1"}, {"b": b"2"})
    path.write_bytes(whole + bytes(4096))
    assert loaded(path) == {"a": b"1", "b": b"2"}
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "content",
    [
        b"plait-view 2\n" + b"future",
        b"\x7fELF",
        HEADER + b"garbage that is long enough to be a frame",
        HEADER + encode([("a", b"1")])[:-1] + b"\xff" + encode([("b", b"2")]),
    ],
)
def test_a_corrupt_file_is_moved_aside_said_and_replaced(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with capture_logs() as events:
        assert loaded(path) == {}
    assert [event["event"] for event in events] == ["last view is unreadable and moved aside"]
    assert path.with_name("view.corrupt").read_bytes() == content
    saved(path, {"a": b"1"})
    assert loaded(path) == {"a": b"1"}


def test_any_flipped_bit_is_noticed_or_costs_only_the_end(path: Path) -> None:
    dice = random.Random(1)
    batches: list[dict[str, bytes | None]] = [{f"key{n}": bytes([n]) * n} for n in range(12)]
    states = [dict(list(enumerate_states(batches))[n]) for n in range(13)]
    whole = bytearray(saved(path, *batches))
    for _ in range(500):
        bit = dice.randrange(len(whole) * 8)
        whole[bit // 8] ^= 1 << bit % 8
        path.write_bytes(whole)
        assert loaded(path) in states
        whole[bit // 8] ^= 1 << bit % 8


def enumerate_states(batches: list[dict[str, bytes | None]]) -> list[dict[str, bytes]]:
    states: list[dict[str, bytes]] = [{}]
    for batch in batches:
        states.append({**states[-1], **{key: value for key, value in batch.items() if value is not None}})
    return states


@given(st.binary(max_size=200), st.booleans())
@settings(max_examples=300, deadline=None)
def test_arbitrary_bytes_are_read_or_refused(data: bytes, has_header: bool) -> None:
    try:
        state, good = replay(HEADER + data if has_header else data)
    except CorruptView:
        return
    assert isinstance(state, dict)
    assert good <= len(HEADER) + len(data)


@given(st.lists(st.dictionaries(st.text(max_size=5), st.none() | st.binary(max_size=20)), max_size=10))
@settings(max_examples=200, deadline=None)
def test_a_journal_of_any_changes_is_read_back(batches: list[dict[str, bytes | None]]) -> None:
    wanted: dict[str, bytes] = {}
    journal = HEADER
    for batch in batches:
        journal += encode(list(batch.items()))
        for key, value in batch.items():
            wanted.pop(key, None)
            if value is not None:
                wanted[key] = value
    assert replay(journal) == (wanted, len(journal))


def test_a_journal_of_mostly_old_values_is_rewritten_and_nothing_is_lost(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "SPARE_BYTES", 10_000)
    disk = DiskView(path)
    disk.load()
    wanted: dict[str, bytes] = {}
    dice = random.Random(3)
    written = 0
    for number in range(3000):
        key, value = f"key{dice.randrange(20)}", b"%d" % number * 10
        disk.save([(key, value), (f"gone{number}", b"x"), (f"gone{number - 1}", None)])
        wanted[key] = value
        written += 80
    wanted["gone2999"] = b"x"

    def is_rewritten() -> bool:
        # The thread that rewrites works when the machine lets it; the next save takes its work over.
        disk.save([("key0", wanted["key0"])])
        return path.stat().st_size < written / 3

    wait_until(is_rewritten, "the journal is rewritten")
    disk.close()
    assert loaded(path) == wanted
    assert sorted(os.listdir(path.parent)) == ["view"]


def test_what_is_saved_while_the_journal_is_rewritten_is_kept(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "SPARE_BYTES", 1000)
    may_go_on = threading.Event()
    monkeypatch.setattr(cache.os, "fsync", lambda file: may_go_on.wait())
    disk = DiskView(path)
    disk.load()
    disk.save([("large", bytes(2000))])
    disk.save([("large", b"small")])
    disk.save([("late", b"1"), ("large", None)])
    may_go_on.set()
    disk.close()
    assert loaded(path) == {"late": b"1"}


def test_a_disk_that_takes_nothing_is_reported_once_and_what_is_owed_is_written_later(path: Path) -> None:
    path.parent.mkdir()
    path.mkdir()
    disk = DiskView(path)
    with capture_logs() as events:
        assert disk.load() == {}
        disk.save([("a", b"1"), ("b", b"2")])
        disk.save([("a", None)])
    assert [event["log_level"] for event in events] == ["warning"]
    assert disk.problem == "Is a directory"
    path.rmdir()
    disk.save([("c", b"3")])
    assert disk.problem is None
    disk.close()
    assert loaded(path) == {"b": b"2", "c": b"3"}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, a disk that is always full")
def test_a_full_disk_does_not_stop_anything(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = DiskView(path)
    disk.load()
    disk.save([("a", b"1")])
    kept, full = disk._file, os.open("/dev/full", os.O_RDWR)
    disk._file = full
    disk.save([("b", b"2")])
    assert disk.problem == "No space left on device"
    disk._file = kept
    os.close(full)
    disk.save([("c", b"3")])
    disk.close()
    assert loaded(path) == {"a": b"1", "b": b"2", "c": b"3"}


WRITER = """
import os, sys
from plait.agent import cache
cache.SPARE_BYTES = 20_000
disk = cache.DiskView(sys.argv[1])
disk.load()
number = 0
while True:
    number += 1
    disk.save([("one", b"%d" % number), ("other", b"%d" % number), ("filler", os.urandom(200))])
    if number == 500:
        print("started", flush=True)
"""


def test_a_writer_that_is_killed_leaves_whole_batches(path: Path) -> None:
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            writer.kill()
        state = loaded(path)
        assert int(state["one"]) >= 500
        assert state["one"] == state["other"]
        assert not path.with_name("view.corrupt").exists()
