"""Waiting for a condition of the outside world, with a bound and a reason."""

import time
from collections.abc import Callable
from typing import TypeVar

from plait.lab.errors import LabError

T = TypeVar("T")


class WaitedInVain(LabError):
    """The condition did not become true in time."""


def wait_until(condition: Callable[[], T], what: str, *, timeout_s: float = 20, every_s: float = 0.005) -> T:
    """The first true value of `condition`. Raises WaitedInVain naming `what` after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise WaitedInVain(f"waited {timeout_s:g} s in vain: {what}")
        time.sleep(every_s)
