"""Where labs are kept: one directory each, under one lock while a lab is claimed or leftovers are removed."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from plait.lab.errors import LabError
from plait.lab.journal import JOURNAL, Journal

DEFAULT_ROOT = Path("/run/plait-lab")

# sun_path of unix(7) has 108 bytes with the zero; the longest of a lab is `<lab>/h250/ovs/ovsdb-server.ctl`.
_LONGEST_DIRECTORY = 107 - len("/h250/ovs/ovsdb-server.ctl")


def root() -> Path:
    """`$PLAIT_LAB_DIR`, or /run/plait-lab."""
    return Path(os.environ.get("PLAIT_LAB_DIR") or DEFAULT_ROOT)


def labs() -> list[str]:
    """Names of all labs with a record, in order."""
    return sorted(path.parent.name for path in root().glob(f"*/{JOURNAL}"))


def claim(name: str | None) -> Path:
    """A new directory with a journal that this process owns; what killed labs left is removed first.

    Without a name it is the first free of `lab`, `lab2`, `lab3` ... Raises LabError if the name is taken.
    """
    with _lock():
        for left in labs():
            if Journal(root() / left).abandoned:
                remove(root() / left)
        directory = root() / (name or _free_name())
        if len(os.fsencode(directory)) > _LONGEST_DIRECTORY:
            raise LabError(
                f"{directory} is too long for unix sockets below it: choose a shorter name or PLAIT_LAB_DIR"
            )
        try:
            directory.mkdir()
        except FileExistsError:
            raise LabError(
                f"lab {directory.name!r} exists already: choose another name, "
                f"or `plait lab down --name {directory.name}`"
            ) from None
        Journal(directory).begin()
        return directory


def remove(directory: Path) -> None:
    """End and remove everything that the journal of `directory` names, then the directory."""
    Journal(directory).undo()
    shutil.rmtree(directory, ignore_errors=True)


def _free_name() -> str:
    number = 1
    while (root() / (name := f"lab{number if number > 1 else ''}")).exists():
        number += 1
    return name


@contextlib.contextmanager
def _lock() -> Iterator[None]:
    root().mkdir(parents=True, exist_ok=True)
    fd = os.open(root() / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
