"""The record of a lab: what it names is ended, and nothing else."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from plait.lab.journal import Journal
from plait.lab.processes import ProcessId, spawn


def test_a_process_is_on_record_with_its_start_time_and_is_ended_by_undo(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    process = spawn(["sleep", "1000"], name="h1/sleeper", journal=journal.path, log=tmp_path / "log")
    try:
        found = journal.process("h1/sleeper")
        assert found is not None
        assert found.id == process.id
        journal.undo()
        assert not process.alive
        assert journal.processes() == []
    finally:
        process.kill()


def test_a_pid_that_went_to_another_process_is_left_alone(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    with subprocess.Popen(["sleep", "1000"]) as stranger:
        identity = ProcessId.of(stranger.pid)
        assert identity is not None
        journal.path.write_text(
            f'{{"process":"h1/agent","pid":{identity.pid},"start":{identity.start - 1}}}\n'
        )
        journal.undo()
        assert stranger.poll() is None
        assert ProcessId(identity.pid, identity.start - 1).wait_gone(0)
        stranger.kill()


def test_a_lab_is_abandoned_once_its_owner_is_dead_unless_it_stands(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.begin()
    assert not journal.abandoned
    own = ProcessId.of(os.getpid())
    assert own is not None
    journal.path.write_text(f'{{"owner":{own.pid},"start":{own.start - 1}}}\n')
    assert journal.abandoned
    journal.stands()
    assert not journal.abandoned


def test_a_last_line_cut_short_is_passed_over(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.namespace("lab-h1")
    journal.namespace("lab-h2")
    journal.namespace_gone("lab-h1")
    with journal.path.open("a") as file:
        file.write('{"namesp')
    assert journal.namespaces() == ["lab-h2"]


def test_waiting_for_a_process_ends_when_it_ends(tmp_path: Path) -> None:
    process = spawn(["cat", "/dev/zero"], name="reader", journal=tmp_path / "journal", log=Path(os.devnull))
    assert not process.id.wait_gone(0)
    process.kill(signal.SIGTERM)
    assert process.id.wait_gone(0)


@pytest.mark.parametrize("text", ["", "sleep"])
def test_output_is_added_to_the_log(tmp_path: Path, text: str) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    process = spawn(["echo", text], name="echo", journal=tmp_path / "journal", log=log)
    assert process.id.wait_gone(10)
    assert log.read_text() == f"before\n{text}\n"
