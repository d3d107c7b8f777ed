"""A host of the lab: a namespace with an underlay link, a real Open vSwitch, and the agent.

The underlay address lies on bridge `br-ex`, which owns the link: the userspace datapath finds the way out for
its tunnels there.
"""

import asyncio
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from plait.agent.api import call
from plait.lab import netns
from plait.lab.errors import LabError
from plait.lab.journal import Journal
from plait.lab.processes import Process, spawn
from plait.lab.settings import Settings
from plait.lab.switch import Switch, run
from plait.lab.waiting import wait_until

UNDERLAY_LINK = "underlay"
UNDERLAY_BRIDGE = "br-ex"
BRIDGE = "br-int"


class LabHost:
    """Host number `index` (from 1) of a lab; `name` is `h<index>`. `directory` holds its files."""

    def __init__(self, index: int, *, settings: Settings, directory: Path, journal: Journal) -> None:
        self.index = index
        self.name = f"h{index}"
        self.namespace = settings.namespace(self.name)
        self.directory = directory / self.name
        self.address = settings.underlay_address(index)
        self.switch = Switch(
            self.name, namespace=self.namespace, rundir=self.directory / "ovs", journal=journal
        )
        self._settings = settings
        self.journal = journal

    def start(self) -> None:
        """Bring up the link's host side, Open vSwitch and the underlay address; the agent is another step."""
        self.directory.mkdir()
        mac = f"02:ee:00:00:{self.index >> 8:02x}:{self.index & 255:02x}"
        bridge = (
            f"add-br {UNDERLAY_BRIDGE} -- set bridge {UNDERLAY_BRIDGE} datapath_type=netdev "
            f"fail_mode=standalone other_config:hwaddr={mac} other_config:disable-in-band=true "
            f"-- add-port {UNDERLAY_BRIDGE} {UNDERLAY_LINK} "
            f"-- set interface {UNDERLAY_BRIDGE} mtu_request={self._settings.underlay_mtu_bytes}"
        )
        if kind := self._settings.underlay_io.interface_type:
            bridge += f" -- set interface {UNDERLAY_LINK} type={kind}"
        self.switch.start(*bridge.split())
        self._give_underlay_address()

    def start_agent(self, **options: str | int | float | bool) -> Process:
        """Start `plait agent` with this host's configuration; `options` override keys of its file."""
        if self.agent is not None:
            raise LabError(f"the agent of {self.name} runs already: stop or kill it first")
        config = self.directory / "agent.toml"
        keys = self.agent_config() | options
        config.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items()))
        return spawn(
            [plait_command(), "agent", "--config", str(config)],
            name=self._agent_name,
            journal=self.journal.path,
            log=self.agent_log,
            namespace=self.namespace,
        )

    def agent_config(self) -> dict[str, str | int | float | bool]:
        return {
            "host": self.name,
            "store": self._settings.agents_store_url,
            "state_dir": str(self.directory / "state"),
            "ovs_rundir": str(self.switch.rundir),
            "bridge": BRIDGE,
            "port_io": str(self._settings.port_io),
            "underlay_address": self.address,
            "socket": str(self.agent_socket),
            "log_format": "json",
        }

    @property
    def agent(self) -> Process | None:
        """The agent that runs, if one does."""
        return self.journal.process(self._agent_name)

    @property
    def agent_log(self) -> Path:
        return self.directory / "agent.log"

    @property
    def last_words(self) -> str:
        """The last line of the agent's log."""
        lines = self.agent_log.read_text(errors="replace").splitlines() if self.agent_log.exists() else []
        return lines[-1] if lines else f"nothing said, see {self.agent_log}"

    def ask(self, what: str) -> Any:
        """The agent's answer to a call of its socket, such as `audit`. Raises CallFailed."""
        return asyncio.run(call(self.agent_socket, what))

    @property
    def agent_socket(self) -> Path:
        return self.directory / "agent.sock"

    def kill_agent(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End the agent and wait until it is gone; SIGTERM is a clean shutdown."""
        agent = self.agent
        if agent is None:
            raise LabError(
                f"the agent of {self.name} does not run: start it first, its log is {self.agent_log}"
            )
        agent.kill(number)

    def restart_vswitchd(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End ovs-vswitchd and start it again, as its service does; wait until the underlay is back."""
        self.switch.kill_vswitchd(number)
        self.start_vswitchd()

    def start_vswitchd(self) -> None:
        """Start ovs-vswitchd where it does not run, and wait until the underlay is back."""
        self.switch.start_vswitchd()
        self._give_underlay_address()

    def run(self, *command: str) -> str:
        """Standard output of a command run on this host."""
        return run(("ip", "netns", "exec", self.namespace, *command), env=self.env)

    @property
    def env(self) -> dict[str, str]:
        return self.switch.env | {
            "PLAIT_STORE": self._settings.agents_store_url,
            "PLAIT_SOCKET": str(self.agent_socket),
        }

    def plug(self, device: str, *external_ids: str, bridge: str = BRIDGE) -> int:
        """Put a device of this host into a bridge by hand and return its OpenFlow port number."""
        ids = [f"external_ids:{pair}" for pair in external_ids]
        self.switch.vsctl(
            "--may-exist",
            "add-port",
            bridge,
            device,
            *(("--", "set", "interface", device, *ids) if ids else ()),
        )
        return int(self.switch.vsctl("get", "interface", device, "ofport"))

    def _give_underlay_address(self) -> None:
        # The bridge's device outlives a killed switch, but carries nothing until the next one has opened it.
        wait_until(
            lambda: self.switch.has_device(UNDERLAY_LINK), f"the switch of {self.name} has its underlay link"
        )
        address = f"{self.address}/{self._settings.underlay_prefix_length}"
        nodad = " nodad" if self._settings.v6_underlay else ""
        netns.ip_batch(
            [
                f"addr replace {address} dev {UNDERLAY_BRIDGE}{nodad}",
                f"link set {UNDERLAY_BRIDGE} up",
            ],
            namespace=self.namespace,
        )

    @property
    def _agent_name(self) -> str:
        return f"{self.name}/agent"


def plait_command() -> str:
    """The `plait` that belongs to this Python, so that a lab runs the code under test."""
    beside = Path(sys.executable).with_name("plait")
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("plait")
    if found is None:
        raise LabError(f"no plait command beside {sys.executable} nor in PATH: pip install plait")
    return found
