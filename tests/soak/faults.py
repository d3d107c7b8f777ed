"""What goes wrong, at random: processes die, stop and come back; hands reach into the switch.

Some faults last: `begin` brings them about, `end_one` and `end_all` take them away.
"""

import random
import signal
from collections.abc import Callable
from contextlib import suppress

from plait.lab.errors import CommandError, LabError
from plait.lab.host import LabHost
from plait.lab.lab import Lab
from plait.lab.switch import run
from plait.store import keys

AGENT: dict[str, str | int | float | bool] = {"lease_ttl_s": 3, "reach_grace_s": 6, "stopped_ttl_s": 600}


class Faults:
    """The lasting faults of a lab, by what they concern; a thing has one at a time."""

    def __init__(self, lab: Lab, choose: random.Random, *, tolerate: frozenset[str] = frozenset()) -> None:
        self._lab = lab
        self._choose = choose
        self._without = tolerate
        self._lasting: dict[str, Callable[[], None]] = {}

    def begin(self) -> str:
        """Bring one about; what it is."""
        host = self._choose.choice(list(self._lab.hosts.values()))
        faults: dict[str, Callable[[LabHost], None]] = {
            "kill agent": self._kill_agent,
            "stop agent": self._stop_agent,
            "freeze agent": self._freeze_agent,
            "restart vswitchd": self._restart_vswitchd,
            "restart ovsdb": self._restart_ovsdb,
            "restart both": self._restart_both,
            "kill store": self._kill_store,
            "stop store": self._stop_store,
            "compact store": lambda host: self._compact(),
            "delete flows": lambda host: self._ofctl(host, "del-flows"),
            "delete groups and flows": self._delete_groups_and_flows,
            "add a flow": lambda host: self._ofctl(host, "add-flow", "table=5,priority=7,ip,actions=drop"),
            "delete a port": self._delete_port,
            "delete the bridge": self._delete_bridge,
        }
        name = self._choose.choice(sorted(faults.keys() - self._without))
        try:
            faults[name](host)
        except CommandError as error:
            return f"{name} on {host.name}: {str(error)[-80:]}"
        return f"{name} on {host.name}"

    def end_one(self) -> str:
        if not self._lasting:
            return "nothing to end"
        name = self._choose.choice(sorted(self._lasting))
        self._lasting.pop(name)()
        return f"end {name}"

    def end_all(self) -> None:
        for name in sorted(self._lasting, key=lambda name: name != "store"):
            self._lasting.pop(name)()

    def _lasts(self, name: str, end: Callable[[], None]) -> None:
        self._lasting[name] = end

    def _kill_agent(self, host: LabHost, number: signal.Signals = signal.SIGKILL) -> None:
        if host.name not in self._lasting:
            host.kill_agent(number)
            self._lasts(host.name, lambda: _start(host))

    def _stop_agent(self, host: LabHost) -> None:
        self._kill_agent(host, signal.SIGTERM)

    def _freeze_agent(self, host: LabHost) -> None:
        agent = host.agent
        if host.name not in self._lasting and agent is not None:
            agent.id.signal(signal.SIGSTOP)
            self._lasts(host.name, lambda: agent.id.signal(signal.SIGCONT))

    def _restart_vswitchd(self, host: LabHost) -> None:
        host.restart_vswitchd(self._choose.choice([signal.SIGKILL, signal.SIGTERM]))

    def _restart_ovsdb(self, host: LabHost) -> None:
        host.switch.kill_ovsdb(self._choose.choice([signal.SIGKILL, signal.SIGTERM]))
        host.switch.start_ovsdb()

    def _restart_both(self, host: LabHost) -> None:
        host.switch.kill_ovsdb()
        host.switch.kill_vswitchd()
        host.switch.start_ovsdb()
        host.switch.start_vswitchd()
        host._give_underlay_address()

    def _kill_store(self, host: LabHost, number: signal.Signals = signal.SIGKILL) -> None:
        if "store" not in self._lasting:
            self._lab.storage.stop(number)
            self._lasts("store", self._lab.storage.start)

    def _stop_store(self, host: LabHost) -> None:
        self._kill_store(host, signal.SIGTERM)

    def _compact(self) -> None:
        """Etcd forgets all history."""
        if "store" not in self._lasting:
            revision = self._lab.frontend.run(lambda intent: intent.store.get([keys.ROOT])).revision
            endpoint = self._lab.settings.store_url.removeprefix("etcd://")
            run(("etcdctl", f"--endpoints={endpoint}", "compact", str(revision)), env={"ETCDCTL_API": "3"})

    def _ofctl(self, host: LabHost, command: str, *arguments: str) -> None:
        host.switch.ofctl(command, "br-int", *arguments)

    def _delete_groups_and_flows(self, host: LabHost) -> None:
        self._ofctl(host, "del-groups")
        self._ofctl(host, "del-flows")

    def _delete_port(self, host: LabHost) -> None:
        ports = host.switch.vsctl("list-ports", "br-int").split()
        if ports:
            host.switch.vsctl("del-port", "br-int", self._choose.choice(ports))

    def _delete_bridge(self, host: LabHost) -> None:
        host.switch.vsctl("--if-exists", "del-br", "br-int")


def _start(host: LabHost) -> None:
    with suppress(LabError):
        host.start_agent(**AGENT)
