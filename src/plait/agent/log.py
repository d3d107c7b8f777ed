"""How events are written: a line of text for people, or an object a line for machines, on standard error.

An event is a short sentence and its fields: `log.info("flows applied", added=12, took_ms=4.1)`. Whatever
comes from outside leaves here escaped, on one line; what looks like a secret leaves as `***`.
"""

import logging
import os
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import msgspec
import structlog

Event = MutableMapping[str, Any]

_SECRET_NAME = re.compile(r"(password|passwd|secret|token|credential|private_key)", re.IGNORECASE)
_SECRET_IN_URL = re.compile(r"(://[^\s/:@]*:)[^\s/@]+(?=@)")
_PLAIN = re.compile(r"[!-~]+\Z")
_FIRST_FIELDS = ("timestamp", "level", "event", "logger")
_SYSLOG_PRIORITY = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}


def configure(
    *,
    level: str = "info",
    format: str = "text",
    stream: TextIO | None = None,
    environment: Mapping[str, str] = os.environ,
) -> None:
    """Set up the process's log; `level` and `format` are those of the options `log_level` and `log_format`.

    Under systemd's journal, which adds the time itself, lines begin with their priority instead
    (sd-daemon(3)). Libraries that log by `logging` are heard from WARNING on, in the same form.
    """
    stream = stream or sys.stderr
    in_journal = _is_journal(stream, environment.get("JOURNAL_STREAM", ""))
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    shared: list[structlog.typing.Processor] = [structlog.processors.add_log_level]
    if format == "json" or not in_journal:
        shared.append(stamp)
    render = json_line if format == "json" else _JournalLine() if in_journal else text_line
    tail: list[structlog.typing.Processor] = [structlog.processors.format_exc_info, without_secrets, render]
    number = getattr(logging, level.upper())
    structlog.configure(
        processors=[*shared, *tail],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=_Lines(stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[_drop_meta, *tail])
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING))


def text_line(logger: object, method: str, event: Event) -> str:
    """`12:00:01.234 INFO    flows applied  added=12 took_ms=4.1`, with a traceback behind it if there is
    one."""
    exception = "\n".join(map(_escaped, str(event.pop("exception", "")).splitlines()))
    moment = str(event.pop("timestamp", ""))[11:23]
    level = str(event.pop("level", method)).upper()
    said = _escaped(str(event.pop("event", "")))
    event.pop("logger", None)
    fields = " ".join(f"{name}={_text_value(value)}" for name, value in event.items())
    line = f"{moment} {level:<7} {said}".lstrip()
    return "\n".join(part for part in (f"{line}  {fields}".rstrip(), exception) if part)


def json_line(logger: object, method: str, event: Event) -> str:
    """One JSON object: timestamp, level and event first, then the fields."""
    first = {name: event.pop(name) for name in _FIRST_FIELDS if name in event}
    return msgspec.json.encode({**first, **event}, enc_hook=str).decode()


def without_secrets(logger: object, method: str, event: Event) -> Event:
    """Fields that are called like secrets, and passwords inside URLs, are not written."""
    for name, value in event.items():
        if _SECRET_NAME.search(name):
            event[name] = "***"
        elif isinstance(value, str) and "@" in value:
            event[name] = _SECRET_IN_URL.sub(r"\1***", value)
    return event


def _text_value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    text = str(value)
    return text if _PLAIN.match(text) and not {'"', "="} & set(text) else f'"{_escaped(text, quote=True)}"'


def _escaped(text: str, *, quote: bool = False) -> str:
    """Printable as one line; letters of other scripts stay."""
    safe = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
    return safe.replace('"', '\\"') if quote else safe


def _drop_meta(logger: object, method: str, event: Event) -> Event:
    """What the bridge from `logging` adds for itself."""
    event.pop("_record", None)
    event.pop("_from_structlog", None)
    return event


class _JournalLine:
    """A text line behind the priority that the journal takes off again."""

    def __call__(self, logger: object, method: str, event: Event) -> str:
        priority = _SYSLOG_PRIORITY.get(str(event.get("level", method)), 6)
        return "\n".join(f"<{priority}>{line}" for line in text_line(logger, method, event).splitlines())


class _Lines:
    """Makes structlog's innermost loggers: they write lines and never raise."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, *args: object) -> "_Lines":
        return self

    def msg(self, line: str) -> None:
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            # The reader is gone or the disk full: an agent does not end for want of a log.
            return

    log = debug = info = warning = error = critical = fatal = exception = msg


def _is_journal(stream: TextIO, journal: str) -> bool:
    """Whether `stream` is the one that systemd connected to the journal: $JOURNAL_STREAM, systemd.exec(5)."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    return journal == f"{found.st_dev}:{found.st_ino}"
