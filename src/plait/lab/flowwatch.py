"""Every change of a bridge's flows, as the switch itself tells it (`monitor BRIDGE watch:` of ovs-ofctl(8)).

The proof of "zero flow-mods": a flow that is written again unchanged is an event too.
"""

import re
import signal
from dataclasses import dataclass
from pathlib import Path

from plait.lab.host import BRIDGE, LabHost
from plait.lab.processes import Process, spawn
from plait.lab.waiting import wait_until

_EVENT = re.compile(r"^ *event=(ADDED|DELETED|MODIFIED)\b.*$", re.MULTILINE)


@dataclass(slots=True)
class FlowWatch:
    """Running since `start`."""

    _process: Process
    _log: Path
    _host: LabHost

    @classmethod
    def start(cls, host: LabHost, bridge: str = BRIDGE) -> "FlowWatch":
        number = len(list(host.directory.glob("flows-*.log")))
        log = host.directory / f"flows-{number}.log"
        socket = host.switch.rundir / f"{bridge}.mgmt"
        process = spawn(
            ["ovs-ofctl", "monitor", f"unix:{socket}", "watch:!initial"],
            name=f"{host.name}/flow watch",
            journal=host.journal.path,
            log=log,
            env=host.switch.env,
        )
        wait_until(
            lambda: "FLOW_MONITOR" in log.read_text(), f"the switch of {host.name} reports flow changes"
        )
        return cls(process, log, host)

    def events(self) -> list[str]:
        """What happened so far, one line each."""
        return [match[0].strip() for match in _EVENT.finditer(self._log.read_text())]

    def stop(self) -> list[str]:
        """What happened since the start."""
        # The switch serves its connections in turn: once it has answered this one, it has told the monitor.
        self._host.switch.ofctl("show", BRIDGE)
        events = self.events()
        self._process.kill(signal.SIGTERM)
        return events
