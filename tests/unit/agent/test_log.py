"""What a log line looks like, and what never gets into one."""

import io
import json
import logging
import os
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from plait.agent import log
from plait.agent.log import text_line, without_secrets


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(format: str, level: str = "info") -> tuple[structlog.stdlib.BoundLogger, io.StringIO]:
    stream = io.StringIO()
    log.configure(level=level, format=format, stream=stream, environment={})
    return structlog.get_logger("plait.test"), stream


def test_text_says_when_how_grave_what_and_the_fields() -> None:
    said, stream = lines("text")
    said.info("flows applied", added=12, took_ms=4.0, table="port security")
    moment, rest = stream.getvalue().split(" ", 1)
    assert len(moment) == len("12:00:01.234")
    assert rest == 'INFO    flows applied  added=12 took_ms=4 table="port security"\n'


def test_json_is_one_object_a_line() -> None:
    said, stream = lines("json")
    said.warning("store lost", reason="no\nanswer", added=3, what=object)
    (line,) = stream.getvalue().splitlines()
    event = json.loads(line)
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "level": "warning",
        "event": "store lost",
        "reason": "no\nanswer",
        "added": 3,
        "what": "<class 'object'>",
    }


def test_what_is_less_important_than_the_level_is_not_written() -> None:
    said, stream = lines("text", "warning")
    said.info("nothing much")
    said.warning("something")
    assert "nothing" not in stream.getvalue()
    assert "something" in stream.getvalue()


@pytest.mark.parametrize("format", ["text", "json"])
def test_secrets_are_not_written(format: str) -> None:
    said, stream = lines(format)
    said.info(
        "store opened",
        store="etcd://plait:hunter2@10.0.0.1:2379",
        password="hunter2",
        auth_token="hunter2",
    )
    assert "hunter2" not in stream.getvalue()
    assert "etcd://plait:***@10.0.0.1:2379" in stream.getvalue()


@given(st.text(), st.text())
def test_whatever_is_logged_stays_on_one_printable_line(said: str, value: str) -> None:
    line = text_line(None, "info", {"event": said, "level": "info", "value": value})
    assert line.isprintable()


def test_a_traceback_stands_below_its_event_without_control_characters() -> None:
    said, stream = lines("text")
    try:
        raise ValueError("from \x1b outside")
    except ValueError:
        said.exception("call failed", call="status")
    first, *rest = stream.getvalue().splitlines()
    assert first.endswith("ERROR   call failed  call=status")
    assert rest[-1] == "ValueError: from \\x1b outside"


def test_libraries_are_heard_from_warning_on_in_the_same_form() -> None:
    _, stream = lines("json", "debug")
    logging.getLogger("grpc").info("chatter")
    logging.getLogger("grpc").warning("trouble with %s", "it")
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["event"] == "trouble with it"


def test_a_reader_that_is_gone_does_not_stop_the_agent() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", buffering=1) as stream:
        log.configure(stream=stream, environment={})
        structlog.get_logger().info("into nothing")
        # What stays in the buffer would fail once more when the test closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), writer)


def test_the_journal_gets_priorities_instead_of_times(tmp_path) -> None:
    path = tmp_path / "journal"
    with path.open("w") as stream:
        found = os.fstat(stream.fileno())
        journal = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        log.configure(stream=stream, environment=journal)
        structlog.get_logger().warning("store lost", reason="x")
    assert path.read_text() == "<4>WARNING store lost  reason=x\n"


def test_only_the_password_of_a_url_is_hidden() -> None:
    event = without_secrets(None, "info", {"event": "x", "mail": "a@b", "url": "etcd://u:p@h,etcd://v:q@i"})
    assert event == {"event": "x", "mail": "a@b", "url": "etcd://u:***@h,etcd://v:***@i"}
