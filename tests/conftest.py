"""What all tests may use: a real Open vSwitch of their own."""

import itertools
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
START_TIMEOUT_S = 20.0


class OpenVSwitch:
    """An ovsdb-server and an ovs-vswitchd (userspace datapath) on a folder, in a namespace of their own."""

    def __init__(self, rundir: Path) -> None:
        self.rundir = rundir
        self.env = {**os.environ, **dict.fromkeys(("OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR"), str(rundir))}
        self._processes: list[subprocess.Popen[bytes]] = []
        self._numbers = itertools.count()

    def start(self) -> None:
        self._run("ovsdb-tool", "create", f"{self.rundir}/conf.db", SCHEMA)
        self._spawn("ovsdb-server", f"{self.rundir}/conf.db", f"--remote=punix:{self.rundir}/db.sock")
        self._wait_for(lambda: (self.rundir / "db.sock").exists(), "ovsdb-server's socket")
        self.vsctl("--no-wait", "init")
        self._spawn("unshare", "--net", "ovs-vswitchd", f"unix:{self.rundir}/db.sock")
        self._wait_for(lambda: (self.rundir / "ovs-vswitchd.ctl").exists(), "ovs-vswitchd's socket")

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.terminate()
        for process in reversed(self._processes):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def bridge(self) -> str:
        """The name of a new, empty bridge."""
        name = f"br{next(self._numbers)}"
        settings = ("datapath_type=netdev", "fail_mode=secure")
        self.vsctl("add-br", name, "--", "set", "bridge", name, *settings)
        return name

    def openflow(self, bridge: str) -> str:
        """Where the bridge answers OpenFlow."""
        return f"unix:{self.rundir}/{bridge}.mgmt"

    def ofctl(self, *arguments: str) -> str:
        return self._run("ovs-ofctl", "-O", "OpenFlow14", *arguments)

    def vsctl(self, *arguments: str) -> str:
        return self._run("ovs-vsctl", f"--db=unix:{self.rundir}/db.sock", "--timeout=20", *arguments)

    def appctl(self, *arguments: str) -> str:
        return self._run("ovs-appctl", "-t", f"{self.rundir}/ovs-vswitchd.ctl", *arguments)

    def in_namespace(self, *command: str) -> str:
        """Run a program in the network namespace that the switch is in."""
        return self._run("nsenter", "--net", "--target", str(self._processes[-1].pid), *command)

    def _spawn(self, *command: str) -> None:
        name = "ovs-vswitchd" if "ovs-vswitchd" in command else command[0]
        files = (
            f"--unixctl={self.rundir}/{name}.ctl",
            f"--log-file={self.rundir}/{name}.log",
            "-vconsole:off",
        )
        self._processes.append(subprocess.Popen([*command, *files], env=self.env))

    def _run(self, *command: str) -> str:
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout

    def _wait_for(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not condition():
            assert all(process.poll() is None for process in self._processes), f"ended before {what} came"
            assert time.monotonic() < deadline, f"{what} did not come within {START_TIMEOUT_S} s"
            time.sleep(0.01)


@pytest.fixture(scope="session")
def ovs() -> Iterator[OpenVSwitch]:
    """One Open vSwitch for all tests of the run; each takes a `bridge()` of its own."""
    with running() as switch:
        yield switch


@pytest.fixture(scope="module")
def ovs_of_hosts() -> Iterator[dict[str, OpenVSwitch]]:
    """Three of them, as many hosts have."""
    with ExitStack() as switches:
        yield {host: switches.enter_context(running()) for host in ("h1", "h2", "h3")}


@contextmanager
def running() -> Iterator[OpenVSwitch]:
    """An Open vSwitch in a folder of its own; skips the test where there can be none."""
    for program in ("ovs-vswitchd", "ovsdb-server", "unshare"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: apt-get install openvswitch-switch util-linux")
    if os.geteuid() != 0:
        pytest.skip("needs root for a network namespace")
    # Not in pytest's folder: a unix socket's path has at most 107 bytes.
    rundir = Path(tempfile.mkdtemp(prefix="plait-ovs-"))
    switch = OpenVSwitch(rundir)
    try:
        switch.start()
        yield switch
    finally:
        switch.stop()
        shutil.rmtree(rundir, ignore_errors=True)
