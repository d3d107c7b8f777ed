"""What a lab has made, written down *before* it is made, one JSON line each; only that is ever undone.

Rule 1: the line comes first, the thing second: a lab killed in between leaves a line too many, never a thing.
Rule 2: processes are matched by pid and start time, namespaces by the unique name that the lab gave them;
nothing is ever looked for by a pattern.
"""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from plait.lab.processes import Process, ProcessId

JOURNAL = "journal"


class Journal:
    """The record of one lab, in its directory. Appending is atomic, so several processes may write."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / JOURNAL

    def begin(self) -> None:
        """The lab is being made by this process; until `stands`, its death makes the lab a leftover."""
        owner = ProcessId.of(os.getpid())
        assert owner is not None
        self._append({"owner": owner.pid, "start": owner.start})

    def stands(self) -> None:
        """The lab is complete and outlives the process that made it."""
        self._append({"stands": True})

    def namespace(self, name: str) -> None:
        """`name` is about to be made."""
        self._append({"namespace": name})

    def namespace_gone(self, name: str) -> None:
        self._append({"gone": name})

    def plugged(self, *, vni: int, mac: str, at: str) -> None:
        """An endpoint is about to live at underlay address `at`."""
        self._append({"plugged": mac, "vni": vni, "at": at})

    def places(self) -> dict[tuple[int, str], set[str]]:
        """Underlay addresses at which (VNI, MAC) ever lived: where frames for it may have gone."""
        places: dict[tuple[int, str], set[str]] = {}
        for line in self._lines():
            if "plugged" in line:
                places.setdefault((line["vni"], line["plugged"]), set()).add(line["at"])
        return places

    def processes(self) -> list[Process]:
        """Those that still run, the youngest first."""
        names = {
            ProcessId(line["pid"], line["start"]): line["process"]
            for line in self._lines()
            if "process" in line
        }
        return [Process(name, identity) for identity, name in reversed(names.items()) if identity.alive]

    def process(self, name: str) -> Process | None:
        """The running process that was started last under `name`."""
        return next((process for process in self.processes() if process.name == name), None)

    def namespaces(self) -> list[str]:
        made: dict[str, None] = {}
        for line in self._lines():
            if "namespace" in line:
                made[line["namespace"]] = None
            elif "gone" in line:
                made.pop(line["gone"], None)
        return list(made)

    @property
    def abandoned(self) -> bool:
        """True if the lab belongs to a process that is dead: killed while it was making or using it."""
        abandoned = True
        for line in self._lines():
            if "owner" in line:
                abandoned = not ProcessId(line["owner"], line["start"]).alive
            elif "stands" in line:
                abandoned = False
        return abandoned

    def undo(self) -> None:
        """End all processes and remove all namespaces on record. Running it again is no error."""
        processes = self.processes()
        for process in processes:
            process.id.signal(signal.SIGKILL)
        for process in processes:
            process.id.wait_gone(10)
        present = [name for name in self.namespaces() if Path("/run/netns", name).exists()]
        batch = "".join(f"netns del {name}\n" for name in present)
        if batch:
            subprocess.run(
                ["ip", "-force", "-batch", "-"], input=batch, text=True, capture_output=True, check=False
            )

    def _append(self, line: dict[str, Any]) -> None:
        with self.path.open("ab", buffering=0) as file:
            file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")

    def _lines(self) -> Iterator[dict[str, Any]]:
        try:
            text = self.path.read_text()
        except FileNotFoundError:
            return
        for line in text.splitlines():
            # A lab killed while writing may leave its last line cut short: what it announced was not made.
            with contextlib.suppress(ValueError):
                yield json.loads(line)
