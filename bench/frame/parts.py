"""The parts of the way from "create" to "ping": onlookers at the store and at both switches.

    call --> committed --> heard by h1 --> attached --> flows in h1 --> announced --> flows in h2 --> ping

"Heard" and "announced" are when a watch of this process saw the record, which is about when an agent does;
the switches say themselves when they changed (their log, and `monitor` of ovs-ofctl(8)).
"""

import asyncio
import calendar
import re
import time
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Any

from frame import plan
from plait.intent import Intent
from plait.lab.host import LabHost
from plait.lab.lab import Lab
from plait.lab.processes import Process, spawn
from plait.lab.waiting import wait_until
from plait.store import keys

PARTS = (
    "commit",
    "heard by h1",
    "attached in h1",
    "flows in h1",
    "announced",
    "flows in h2",
    "ping",
)
_FLOWS = re.compile(r"^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)\.(\d{3}): .*FLOW_MONITOR", re.MULTILINE)
_ATTACHED = re.compile(
    r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)\.(\d{3})Z\|.*bridge br-int: added interface", re.MULTILINE
)


class Onlooker:
    """Looks on from `begin` to `end` of every run; `values` are milliseconds since `begin`."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._began = self._began_wall = 0.0
        self._took: dict[str, list[float]] = {name: [] for name in PARTS}
        self._seen: dict[str, float] = {}
        self._watching: list[asyncio.Task[None]] = []
        self._monitors = {name: _Monitor(host) for name, host in lab.hosts.items()}

    def __enter__(self) -> "Onlooker":
        async def start(intent: Intent) -> None:
            network = (await intent.networks.get(plan.TESTED)).id
            for name, prefix in (
                ("heard by h1", keys.bound_prefix("h1")),
                ("announced", keys.reach_prefix(network)),
            ):
                revision = (await intent.store.snapshot(prefix)).revision
                self._watching.append(asyncio.create_task(self._watch(intent, name, prefix, revision)))

        self._lab.frontend.run(start)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        async def stop(intent: Intent) -> None:
            for task in self._watching:
                task.cancel()
            await asyncio.gather(*self._watching, return_exceptions=True)

        self._lab.frontend.run(stop)
        for monitor in self._monitors.values():
            monitor.stop()

    def begin(self) -> None:
        for monitor in self._monitors.values():
            monitor.begin()
        self._seen.clear()
        self._began, self._began_wall = time.monotonic(), time.time()

    def returned(self) -> None:
        """The frontend's call came back."""
        self._took["commit"].append(1000 * (time.monotonic() - self._began))

    def end(self, answered_at: float) -> None:
        """The first reply came at `answered_at`."""
        self._took["ping"].append(1000 * (answered_at - self._began))
        for name in ("heard by h1", "announced"):
            wait_until(lambda name=name: name in self._seen, f"watch saw {name}")  # type: ignore[misc]
            self._took[name].append(1000 * (self._seen[name] - self._began))
        for part, host, tell in (
            ("attached in h1", "h1", _Monitor.attached),
            ("flows in h1", "h1", _Monitor.flows),
            ("flows in h2", "h2", _Monitor.flows),
        ):
            times = wait_until(lambda host=host, tell=tell: tell(self._monitors[host]), part)  # type: ignore[misc]
            self._took[part].append(1000 * (times[0] - self._began_wall))

    def values(self, name: str) -> list[float]:
        return self._took[name]

    async def _watch(self, intent: Intent, name: str, prefix: str, revision: Any) -> None:
        async with aclosing(intent.store.watch(prefix, revision)) as batches:
            async for batch in batches:
                if any(change.value is not None for change in batch.changes):
                    self._seen.setdefault(name, time.monotonic())


class _Monitor:
    """What one switch says of itself, with times to the millisecond."""

    def __init__(self, host: LabHost) -> None:
        number = len(list(host.directory.glob("parts-*.log")))
        self._log: Path = host.directory / f"parts-{number}.log"
        self._switch_log: Path = host.switch.rundir / "ovs-vswitchd.log"
        self._begins_at = (0, 0)
        self._process: Process = spawn(
            [
                "ovs-ofctl",
                "--timestamp",
                "monitor",
                f"unix:{host.switch.rundir}/br-int.mgmt",
                "watch:!initial",
            ],
            name=f"{host.name}/parts",
            journal=host.journal.path,
            log=self._log,
            env={**host.switch.env, "TZ": "UTC"},
        )
        wait_until(lambda: "FLOW_MONITOR" in self._log.read_text(), f"the switch of {host.name} is watched")

    def begin(self) -> None:
        self._begins_at = self._log.stat().st_size, self._switch_log.stat().st_size

    def flows(self) -> list[float]:
        """Seconds since the epoch at which flows changed."""
        return _times(_FLOWS, self._log, self._begins_at[0])

    def attached(self) -> list[float]:
        """Seconds since the epoch at which interfaces were added."""
        return _times(_ATTACHED, self._switch_log, self._begins_at[1])

    def stop(self) -> None:
        self._process.kill()


def _times(stamped: re.Pattern[str], log: Path, begins_at: int) -> list[float]:
    return [
        calendar.timegm(time.strptime(f"{day} {moment}", "%Y-%m-%d %H:%M:%S")) + int(milliseconds) / 1000
        for day, moment, milliseconds in stamped.findall(log.read_bytes()[begins_at:].decode())
    ]
