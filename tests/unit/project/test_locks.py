"""What is installed is locked: exact, hashed, and tied to no index."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LOCKS = ("requirements.lock", "requirements-dev.lock")
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


def pinned(lock: str) -> dict[str, str]:
    return {_canonical(name): version for name, version in _PINNED.findall((ROOT / lock).read_text())}


def _canonical(requirement: str) -> str:
    """A project's name without version, as PEP 503 normalises it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[<>=!~\[; ]", requirement)[0]).lower()


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_index_and_every_line_has_a_hash(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert not re.search(r"^\s*--(?!hash=sha256:)", text, re.MULTILINE)
    for requirement in re.split(r"\n(?=\w)", text)[1:]:
        assert "--hash=sha256:" in requirement, requirement.splitlines()[0]


def test_everything_that_is_asked_for_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = {_canonical(each) for each in project["project"]["dependencies"]}
    tools = {_canonical(each) for each in project["project"]["optional-dependencies"]["dev"]}
    assert needed <= pinned("requirements.lock").keys(), "run `make lock`"
    assert needed | tools <= pinned("requirements-dev.lock").keys(), "run `make lock`"


def test_what_is_tested_is_what_a_host_installs() -> None:
    runtime, tested = pinned("requirements.lock"), pinned("requirements-dev.lock")
    assert {name: tested.get(name) for name in runtime} == runtime
