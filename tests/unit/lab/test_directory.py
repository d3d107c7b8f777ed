"""Where labs are kept: names are given once, and what killed labs left goes first."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from plait.lab import directory
from plait.lab.errors import LabError
from plait.lab.journal import Journal


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PLAIT_LAB_DIR", str(tmp_path))
    return tmp_path


def test_a_lab_without_a_name_gets_the_first_that_is_free(root: Path) -> None:
    assert [directory.claim(None).name for _ in range(3)] == ["lab", "lab2", "lab3"]
    directory.remove(root / "lab2")
    assert directory.claim(None).name == "lab2"
    assert directory.labs() == ["lab", "lab2", "lab3"]


def test_a_name_is_given_once_also_to_many_at_the_same_time() -> None:
    with ThreadPoolExecutor(16) as pool:
        names = [path.name for path in pool.map(lambda _: directory.claim(None), range(16))]
    assert len(set(names)) == 16
    with pytest.raises(LabError, match="lab 'lab2' exists already"):
        directory.claim("lab2")


def test_a_claim_removes_labs_whose_owner_is_dead_and_no_others(root: Path) -> None:
    for name in ("stands", "in-use", "left"):
        directory.claim(name)
    Journal(root / "stands").stands()
    (root / "left" / "journal").write_text('{"owner":1,"start":1}\n')
    directory.claim("new")
    assert directory.labs() == ["in-use", "new", "stands"]


def test_a_directory_whose_sockets_could_not_be_opened_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLAIT_LAB_DIR", str(root / ("long" * 25)))
    with pytest.raises(LabError, match="choose a shorter name or PLAIT_LAB_DIR"):
        directory.claim("lab")
    assert directory.labs() == []
