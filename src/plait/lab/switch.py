"""One real Open vSwitch in a host's namespace: its own ovsdb-server, ovs-vswitchd and run directory.

Source: ovs-vswitchd(8), ovsdb-server(1), ovs-vswitchd.conf.db(5).
"""

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from plait.lab.errors import CommandError, LabError
from plait.lab.journal import Journal
from plait.lab.processes import Process, spawn
from plait.lab.waiting import wait_until

SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
_QUIET = ("-vconsole:off", "-vsyslog:off")


class Switch:
    """Open vSwitch of one host. `rundir` holds its sockets, database and logs."""

    def __init__(self, name: str, *, namespace: str, rundir: Path, journal: Journal) -> None:
        self.name = name
        self.namespace = namespace
        self.rundir = rundir
        self._journal = journal

    @property
    def env(self) -> dict[str, str]:
        """What makes the ovs-* tools talk to this switch and no other."""
        return dict.fromkeys(("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"), str(self.rundir))

    @property
    def db_socket(self) -> Path:
        return self.rundir / "db.sock"

    def start(self, *setup: str) -> None:
        """Start both daemons with a new database; `setup` goes to ovs-vsctl before the switch looks at it."""
        self.rundir.mkdir(parents=True, exist_ok=True)
        self._run("ovsdb-tool", "create", str(self._database), str(SCHEMA))
        self.start_ovsdb()
        self._run(
            "ovs-vsctl",
            f"--db=unix:{self.db_socket}",
            "--no-wait",
            "init",
            *(("--", *setup) if setup else ()),
        )
        self.start_vswitchd()

    def start_ovsdb(self) -> None:
        self._spawn("ovsdb-server", str(self._database), f"--remote=punix:{self.db_socket}")
        wait_until(lambda: _accepts(self.db_socket), f"{self._label('ovsdb-server')} opens {self.db_socket}")

    def start_vswitchd(self) -> None:
        """Start ovs-vswitchd and wait until it takes commands; bridges of the database follow at once."""
        self._spawn("ovs-vswitchd", f"unix:{self.db_socket}")
        wait_until(lambda: _accepts(self._control("ovs-vswitchd")), f"{self._label('ovs-vswitchd')} answers")

    def kill_vswitchd(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End ovs-vswitchd; the userspace datapath and all its flows go with it."""
        self._kill("ovs-vswitchd", number)

    def kill_ovsdb(self, number: signal.Signals = signal.SIGKILL) -> None:
        self._kill("ovsdb-server", number)
        self.db_socket.unlink(missing_ok=True)

    def vsctl(self, *arguments: str) -> str:
        return self._run("ovs-vsctl", f"--db=unix:{self.db_socket}", "--timeout=30", *arguments)

    def ofctl(self, command: str, bridge: str, *arguments: str) -> str:
        """`ovs-ofctl COMMAND` on a bridge, in OpenFlow 1.4 as the agent speaks it."""
        return self._run(
            "ovs-ofctl", "-O", "OpenFlow14", command, f"unix:{self.rundir}/{bridge}.mgmt", *arguments
        )

    def appctl(self, *arguments: str) -> str:
        return self._run("ovs-appctl", "-t", str(self._control("ovs-vswitchd")), *arguments)

    def flows(self, bridge: str = "br-int") -> list[str]:
        """The flows that the bridge has, one line each, without counters and times."""
        dump = self.ofctl("dump-flows", bridge, "--no-stats", "--no-names")
        return sorted(line.strip() for line in dump.splitlines() if "actions=" in line or "drop" in line)

    def has_device(self, device: str) -> bool:
        """True if the running datapath has opened `device`."""
        try:
            return f" {device} " in self.appctl("dpif/show")
        except CommandError:
            # It answers, but has not come to its bridges yet.
            return False

    @property
    def _database(self) -> Path:
        return self.rundir / "conf.db"

    def _control(self, daemon: str) -> Path:
        return self.rundir / f"{daemon}.ctl"

    def _label(self, daemon: str) -> str:
        return f"{self.name}/{daemon}"

    def _spawn(self, daemon: str, *arguments: str) -> Process:
        control = self._control(daemon)
        control.unlink(missing_ok=True)
        log = self.rundir / f"{daemon}.log"
        return spawn(
            [daemon, *arguments, f"--unixctl={control}", *_QUIET, f"--log-file={log}"],
            name=self._label(daemon),
            journal=self._journal.path,
            log=log.with_suffix(".out"),
            namespace=self.namespace,
            env=self.env,
        )

    def _kill(self, daemon: str, number: signal.Signals) -> None:
        process = self._journal.process(self._label(daemon))
        if process is None:
            raise LabError(f"{self._label(daemon)} does not run: start it first")
        process.kill(number)
        self._control(daemon).unlink(missing_ok=True)

    def _run(self, *command: str) -> str:
        return run(command, env=self.env)


def _accepts(path: Path) -> bool:
    """True if somebody listens at a unix socket: it is there a moment before anybody does."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def run(
    command: tuple[str, ...] | list[str], *, env: dict[str, str] | None = None, timeout_s: float = 120
) -> str:
    """Standard output of a command. Raises CommandError with the last of its standard error."""
    if not shutil.which(command[0]):
        raise LabError(f"{command[0]} not found: install it, or check PATH")
    try:
        result = subprocess.run(
            command,
            env={**os.environ, **(env or {})},
            text=True,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LabError(f"{' '.join(command)[:200]}: no end after {timeout_s:g} s") from None
    if result.returncode:
        said = (result.stderr.strip() or result.stdout.strip())[-500:]
        raise CommandError(
            f"{' '.join(command)[:300]}: {said or f'status {result.returncode}'}", result.returncode
        )
    return result.stdout
