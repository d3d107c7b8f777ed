"""Stored records that can't be understood: refused, counted, and said once each."""

from typing import TypeVar

import structlog

from plait.model import codec
from plait.model.checks import Invalid
from plait.model.entities import Entity

log = structlog.get_logger(__name__)

_REMEMBERED = 1000
_LONGEST_TEXT = 300

E = TypeVar("E", bound=Entity)


class Refusals:
    """Decodes records; a bad one costs nothing but itself. `count` is how many were refused so far."""

    def __init__(self) -> None:
        self.count = 0
        self._said: set[str] = set()

    def decode(self, kind: type[E], key: str, value: bytes) -> E | None:
        """The record under `key`, or None if it is refused."""
        try:
            return codec.decode(kind, value)
        except Invalid as error:
            self.refuse(key, str(error))
            return None

    def refuse(self, key: str, reason: str) -> None:
        """Count the record under `key` as refused, and log it the first time."""
        self.count += 1
        if key in self._said or len(self._said) >= _REMEMBERED:
            return
        self._said.add(key)
        # A record comes from outside: only its escaped, shortened picture may reach a log.
        log.warning(
            "record refused, the rest goes on",
            key=ascii(key)[1:-1][:_LONGEST_TEXT],
            reason=ascii(reason)[1:-1][:_LONGEST_TEXT],
        )
