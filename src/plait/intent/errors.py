"""What can be wrong with a wish. Every message names the value; after the colon stands the way out."""

from collections.abc import Sequence


def counted(count: int, thing: str) -> str:
    """Like "1 port" or "3 addresses"."""
    if count == 1:
        return f"{count} {thing}"
    return f"{count} {thing}{'es' if thing.endswith('s') else 's'}"


def some(thing: str, of: Sequence[str], *, shown: int = 3) -> str:
    """Like "5 ports (a, b, c, ...)"."""
    listed = ", ".join(sorted(of)[:shown]) + (", ..." if len(of) > shown else "")
    return f"{counted(len(of), thing)} ({listed})"


class IntentError(Exception):
    """The wish can't be granted as things stand; nothing was written."""

    def __init__(self, problem: str, way_out: str) -> None:
        super().__init__(f"{problem}: {way_out}")
        self.problem = problem
        self.way_out = way_out


class NotFound(IntentError):
    """There is no such thing in this project."""


class Taken(IntentError):
    """Somebody else has the name, address, MAC, VNI or device."""


class InUse(IntentError):
    """Others depend on the thing that was to go."""


class Full(IntentError):
    """No address or number is left."""


class Stale(IntentError):
    """The store changed under every attempt; trying again may well work."""


class NotUp(IntentError):
    """A port did not come up: its agent reported an error, or nothing in time."""
