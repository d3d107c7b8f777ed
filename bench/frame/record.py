"""A benchmark's figures: printed as they come, and kept in `bench/results/` for `bench/run report`."""

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from frame.figures import HEAD, Figure, Goal

RESULTS = Path(__file__).resolve().parent.parent / "results"


class Record:
    """What one run of the benchmark `name` measured."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.figures: list[Figure] = []
        self._facts: dict[str, Any] = {
            "date": time.strftime("%Y-%m-%d %H:%M"),
            "command": " ".join(["bench/run", name, *sys.argv[1:]]),
            "machine": machine(),
            "load": os.getloadavg()[0],
        }
        print(f"{self._facts['machine']}; load {self._facts['load']:.2f}\n\n{HEAD}", flush=True)

    def add(
        self,
        what: str,
        values: Sequence[float],
        *,
        who: str = "Plait",
        at: str = "",
        unit: str = "ms",
        goal: Goal | None = None,
    ) -> Figure:
        """Print a figure and keep it; what was measured so far is on disk at any time."""
        figure = Figure(what, at, who, unit, tuple(values), goal)
        self.figures.append(figure)
        print(figure.row(), flush=True)
        RESULTS.mkdir(exist_ok=True)
        kept = {**self._facts, "figures": [asdict(each) for each in self.figures]}
        (RESULTS / f"{self.name}.json").write_text(json.dumps(kept, indent=1))
        return figure


def report() -> str:
    """All kept results as tables in Markdown."""
    sections = []
    for path in sorted(RESULTS.glob("*.json")):
        kept = json.loads(path.read_text())
        rows = [figure_of(each).row() for each in kept["figures"]]
        about = f"`{kept['command']}`, {kept['date']}, load before {kept['load']:.2f}; {kept['machine']}"
        sections.append("\n".join([f"### {path.stem}", "", about, "", HEAD, *rows]))
    return "\n\n".join(sections)


def figure_of(kept: dict[str, Any]) -> Figure:
    """A figure as it was kept."""
    goal = None if kept["goal"] is None else Goal(**kept["goal"])
    return Figure(**{**kept, "values": tuple(kept["values"]), "goal": goal})


def machine() -> str:
    """Processor, cores, memory and the versions of what is measured, in one line."""
    model = _first("/proc/cpuinfo", "model name")
    memory = int(_first("/proc/meminfo", "MemTotal").split()[0]) / 1024**2
    versions = [f"Linux {platform.release()}", f"Python {platform.python_version()}"]
    for tool, name in (("ovs-vswitchd", "Open vSwitch"), ("etcd", "etcd"), ("ovn-northd", "OVN")):
        if shutil.which(tool):
            first = subprocess.run([tool, "--version"], capture_output=True, text=True, check=False).stdout
            versions.append(f"{name} {first.splitlines()[0].split()[-1]}")
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, {', '.join(versions)}"


def _first(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        if line.startswith(name):
            return line.partition(":")[2].strip()
    return "unknown"


if __name__ == "__main__":
    print(report())
