"""Labs for tests: real hosts, switches and agents, so all of this needs root and Open vSwitch."""

import os
import signal
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import FrameType

import pytest

from plait.lab.errors import LabError, require
from plait.lab.lab import Lab

_HERE = Path(__file__).parent
_numbers = count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests below this folder need a lab; where none can be, they are skipped and say why."""
    try:
        require("tcpdump")
        missing = ""
    except LabError as error:
        missing = str(error)
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.lab)
            if missing:
                item.add_marker(pytest.mark.skip(reason=missing))


@pytest.fixture(scope="session", autouse=True)
def _labs_go_down_on_termination() -> Iterator[None]:
    """SIGTERM ends the session in order, so that its labs are taken down."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, leave)
    yield
    signal.signal(signal.SIGTERM, before)


def lab_name() -> str:
    """Unique among all labs of this machine that run at the same time."""
    return f"t{os.getpid()}-{next(_numbers)}"


@pytest.fixture
def bare() -> Iterator[Lab]:
    """Two hosts without agents."""
    with Lab.up(lab_name(), hosts=2) as lab:
        yield lab
