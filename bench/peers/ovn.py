"""OVN in a lab of two hosts, given the same work as Plait: layer 2, port security, no router, no ACLs.

The management system talks to the northbound database over an open connection, as a resident one does, and
plugs devices by the host's own database: no command is started in what is measured. Hosts of background ports
are chassis that exist in the southbound database alone; their ports are bound there, as if they were up.

Needs `ovn-northd` and `ovn-controller` (`apt-get install ovn-central ovn-host`).
Source: ovn-architecture(7), ovn-nb(5), ovn-sb(5), ovn-controller(8).
"""

import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from frame import plan
from peers.rows import Operation, Rows, add, insert, named, raise_by_one, take
from plait.lab.endpoint import Endpoint
from plait.lab.host import LabHost
from plait.lab.lab import Lab
from plait.lab.processes import spawn
from plait.lab.switch import run
from plait.lab.waiting import wait_until
from plait.net.vswitch import PortIo

SCHEMAS = Path("/usr/share/ovn")
SB_PORT = 6642
PROBE_MS = 180_000
"""The default of 5 s is too short for a busy machine: a connection that is cut is built up from nothing."""
PORTION = 100
"""Ports in one transaction."""
MTU_BYTES = 1442
"""What geneve leaves of 1,500 bytes; OVN tells nobody, so whoever makes a container sets it."""


def missing() -> str:
    """What to install before OVN can be measured; empty when it is there."""
    tools = ("ovn-northd", "ovn-controller", "ovn-nbctl", "ovn-sbctl")
    lacks = [tool for tool in tools if not shutil.which(tool)]
    return f"{', '.join(lacks)} not found: apt-get install ovn-central ovn-host" if lacks else ""


class Ovn:
    """See `frame.contender.Contender`."""

    def __init__(self, lab: Lab, *, monitor_all: bool) -> None:
        self.lab = lab
        self.name = "OVN 23.03" + (", monitor-all" if monitor_all else "")
        self._directory = lab.directory / "ovn"
        self._env = {
            f"{whose}_{what}DIR": str(self._directory)
            for whose in ("OVS", "OVN")
            for what in ("RUN", "LOG", "DB", "SYSCONF")
        }
        self._have = 0
        self._stands = False
        self._start_central()
        for host in lab.hosts.values():
            self._join(host, monitor_all=monitor_all)
        self.nb = Rows(self._directory / "nb.sock", "OVN_Northbound")
        self._sb = Rows(self._directory / "sb.sock", "OVN_Southbound")
        self._switches = {
            name: Rows(host.switch.db_socket, "Open_vSwitch") for name, host in lab.hosts.items()
        }
        wait_until(
            lambda: len(self._sb.select("Chassis", ["name"])) == len(lab.hosts), "chassis have registered"
        )
        self.nb.transact(insert("Logical_Switch", {"name": plan.TESTED}))
        self._bridges = {
            name: rows.select("Bridge", ["_uuid"], [["name", "==", "br-int"]])[0]["_uuid"]
            for name, rows in self._switches.items()
        }

    def close(self) -> None:
        for rows in (self.nb, self._sb, *self._switches.values()):
            rows.close()

    # -- what is measured

    def grow(self, ports: int) -> None:
        if ports and not self._stands:
            self._base()
        if ports > self._have:
            self.create(self._have, ports - self._have)
            self.confirmed(ports)

    def create(self, first: int, ports: int) -> None:
        self.wish(first, ports)
        self.bind(first, ports)

    def wish(self, first: int, ports: int) -> None:
        """Logical ports, as a management system makes them."""
        for start in range(first, first + ports, PORTION):
            operations: list[Operation] = []
            members: dict[str, list[Any]] = {}
            for number in range(start, min(start + PORTION, first + ports)):
                place = plan.place(number)
                operations.append(_port(place.name, place.mac, place.address, f"p{number}"))
                members.setdefault(plan.network_name(place.network), []).append(named(f"p{number}"))
            self.nb.transact(*operations, *self.joins(members))
        self._have = first + ports

    def bind(self, first: int, ports: int) -> None:
        """Bind them to their chassis, once northd has made their bindings."""
        chassis = {row["name"]: row["_uuid"] for row in self._sb.select("Chassis", ["_uuid", "name"])}
        wanted = {place.name: place for place in map(plan.place, range(first, first + ports))}

        def known() -> dict[str, Any]:
            rows = self._sb.select("Port_Binding", ["_uuid", "logical_port"])
            found = {row["logical_port"]: row["_uuid"] for row in rows if row["logical_port"] in wanted}
            return found if len(found) == len(wanted) else {}

        bindings = wait_until(known, f"northd has {ports} ports", timeout_s=300, every_s=0.1)
        operations: list[Operation] = [
            {
                "op": "update",
                "table": "Port_Binding",
                "where": [["_uuid", "==", uuid]],
                "row": {"chassis": chassis[f"stub{wanted[name].stub}"], "up": True},
            }
            for name, uuid in bindings.items()
        ]
        for start in range(0, len(operations), PORTION):
            self._sb.transact(*operations[start : start + PORTION])

    def confirmed(self, ports: int = 0) -> None:
        """What `ovn-nbctl --wait=hv sync` does."""
        self.nb.transact(raise_by_one("NB_Global", "nb_cfg"))
        wanted = self.nb.select("NB_Global", ["nb_cfg"])[0]["nb_cfg"]
        wait_until(
            lambda: self.nb.select("NB_Global", ["hv_cfg"])[0]["hv_cfg"] >= wanted,
            "all hosts have confirmed",
            timeout_s=300,
        )

    def attach(self, endpoint: Endpoint) -> None:
        self._wish_for([endpoint])
        self.plug([endpoint], endpoint.host.name)

    def attach_all(self, endpoints: list[Endpoint]) -> None:
        self._wish_for(endpoints)
        for host in self.lab.hosts:
            self.plug([each for each in endpoints if each.host.name == host], host)
        names = {endpoint.name for endpoint in endpoints}

        def up() -> bool:
            rows = self.nb.select("Logical_Switch_Port", ["name"], [["up", "==", True]])
            return names <= {row["name"] for row in rows}

        wait_until(up, "all ports are up", timeout_s=120, every_s=0.01)
        self.confirmed()

    def detach(self, endpoint: Endpoint) -> None:
        switch, host = self._switches[endpoint.host.name], endpoint.host.name
        where = [["name", "==", endpoint.device]]
        port = switch.select("Port", ["_uuid"], where)[0]["_uuid"]
        switch.transact(
            take("Bridge", [["_uuid", "==", self._bridges[host]]], "ports", [port]),
            raise_by_one("Open_vSwitch", "next_cfg"),
        )
        logical = self.nb.select("Logical_Switch_Port", ["_uuid"], [["name", "==", endpoint.name]])
        self.nb.transact(
            take("Logical_Switch", [["name", "==", plan.TESTED]], "ports", [logical[0]["_uuid"]])
        )

    def restart(self, host: str) -> None:
        process = self.lab.journal.process(f"{host}/ovn-controller")
        assert process is not None
        process.kill(signal.SIGKILL)
        self._start_controller(self.lab.host(host))
        self.confirmed()

    def nbctl(self, *arguments: str) -> None:
        """What `ovn-nbctl` does, for what is not measured."""
        self._ctl("ovn-nbctl", f"--db=unix:{self._directory}/nb.sock", *arguments)

    def joins(self, members: Mapping[str, Sequence[Any]]) -> list[Operation]:
        """Put new ports, by the switch that they are of, where they belong."""
        return [
            add("Logical_Switch", [["name", "==", switch]], "ports", ports)
            for switch, ports in members.items()
        ]

    # -- the parts of it

    def _wish_for(self, endpoints: Sequence[Endpoint]) -> None:
        self.nb.transact(
            *(_port(each.name, each.mac, each.v4, f"p{n}") for n, each in enumerate(endpoints)),
            *self.joins({plan.TESTED: [named(f"p{n}") for n in range(len(endpoints))]}),
        )

    def plug(self, endpoints: Sequence[Endpoint], host: str) -> None:
        """Give the containers' devices to the host's switch."""
        operations: list[Operation] = []
        for n, each in enumerate(endpoints):
            interface = {"name": each.device, "external_ids": ["map", [["iface-id", each.name]]]}
            operations.append(insert("Interface", interface, f"i{n}"))
            operations.append(
                insert("Port", {"name": each.device, "interfaces": ["set", [named(f"i{n}")]]}, f"p{n}")
            )
        ports = [named(f"p{n}") for n in range(len(endpoints))]
        self._switches[host].transact(
            *operations,
            add("Bridge", [["_uuid", "==", self._bridges[host]]], "ports", ports),
            raise_by_one("Open_vSwitch", "next_cfg"),
        )

    def _base(self) -> None:
        """Switches, stub chassis, and one port of either host in every switch."""
        for n in range(1, plan.NETWORKS):
            self.nb.transact(insert("Logical_Switch", {"name": plan.network_name(n)}))
        for n in range(plan.STUBS):
            name = f"stub{n}"
            encap = {"type": "geneve", "ip": plan.stub_address(n), "chassis_name": name}
            chassis = {"name": name, "hostname": name, "encaps": ["set", [named("e")]]}
            self._sb.transact(insert("Encap", encap, "e"), insert("Chassis", chassis))
        for n in range(plan.NETWORKS):
            self.nb.transact(
                *(
                    _port(f"anchor{n}-h{h}", plan.anchor_mac(n, h), plan.anchor_address(n, h), f"p{h}")
                    for h in (1, 2)
                ),
                *self.joins({plan.network_name(n): [named("p1"), named("p2")]}),
            )
        for name, host in self.lab.hosts.items():
            plan.plug_anchors(host, (f"anchor{n}-{name}" for n in range(plan.NETWORKS)))
        self._stands = True
        wait_until(
            lambda: (
                len(self.nb.select("Logical_Switch_Port", ["name"], [["up", "==", True]]))
                >= 2 * plan.NETWORKS
            ),
            "anchors are up",
            timeout_s=60,
            every_s=0.05,
        )
        self.confirmed()

    def _start_central(self) -> None:
        self._directory.mkdir()
        address = self.lab.settings.underlay_address(0)
        for short, database, root in (("nb", "OVN_Northbound", "NB"), ("sb", "OVN_Southbound", "SB")):
            file = self._directory / f"{short}.db"
            run(("ovsdb-tool", "create", str(file), str(SCHEMAS / f"ovn-{short}.ovsschema")))
            unix = self._directory / f"{short}.sock"
            remotes = (f"--remote=punix:{unix}", f"--remote=db:{database},{root}_Global,connections")
            self._spawn(f"ovsdb-{short}", "ovsdb-server", str(file), *remotes)
            wait_until(unix.exists, f"ovsdb-server opens {unix}")
        nb, sb = (f"--db=unix:{self._directory}/{short}.sock" for short in ("nb", "sb"))
        databases = (f"--ovnnb-db={nb.removeprefix('--db=')}", f"--ovnsb-db={sb.removeprefix('--db=')}")
        self._spawn("northd", "ovn-northd", *databases)
        probe = f"options:northd_probe_interval={PROBE_MS}"
        self._ctl("ovn-nbctl", nb, "init", "--", "set", "nb_global", ".", probe)
        listen = f"ptcp:{SB_PORT}:{address}"
        self._ctl(
            "ovn-sbctl", sb, "init", "--", "set-connection", listen,
            "--", "set", "connection", ".", f"inactivity_probe={PROBE_MS}",
        )  # fmt: skip

    def _join(self, host: LabHost, *, monitor_all: bool) -> None:
        ids = {
            "system-id": host.name,
            "ovn-remote": f"tcp:{self.lab.settings.underlay_address(0)}:{SB_PORT}",
            "ovn-encap-type": "geneve",
            "ovn-encap-ip": host.address,
            "ovn-bridge-datapath-type": "netdev",
            "ovn-remote-probe-interval": PROBE_MS,
            "ovn-openflow-probe-interval": PROBE_MS // 1000,
            "ovn-monitor-all": "true" if monitor_all else "false",
        }
        pairs = [f'external_ids:{key}="{value}"' for key, value in ids.items()]
        host.switch.vsctl("set", "open_vswitch", ".", *pairs)
        self._start_controller(host)
        wait_until(
            lambda: "br-int" in host.switch.vsctl("list-br"), f"ovn-controller of {host.name} has its bridge"
        )

    def _start_controller(self, host: LabHost) -> None:
        directory = {f"OVN_{what}DIR": str(host.switch.rundir) for what in ("RUN", "LOG", "SYSCONF")}
        log = host.switch.rundir / "ovn-controller.log"
        spawn(
            ["ovn-controller", f"unix:{host.switch.db_socket}", "-vconsole:off", "-vsyslog:off",
             f"--log-file={log}"],
            name=f"{host.name}/ovn-controller",
            journal=self.lab.journal.path,
            log=log.with_suffix(".out"),
            namespace=host.namespace,
            env=host.switch.env | directory,
        )  # fmt: skip

    def _spawn(self, name: str, command: str, *arguments: str) -> None:
        log = self._directory / f"{name}.log"
        control = f"--unixctl={self._directory}/{name}.ctl"
        spawn(
            [command, *arguments, "-vconsole:off", "-vsyslog:off", f"--log-file={log}", control],
            name=name,
            journal=self.lab.journal.path,
            log=log.with_suffix(".out"),
            namespace=self.lab.settings.fabric,
            env=self._env,
        )

    def _ctl(self, *command: str) -> None:
        run(command, env=self._env)


def _port(name: str, mac: str, address: str, uuid_name: str) -> Operation:
    place = f"{mac} {address}"
    row = {"name": name, "addresses": place, "port_security": place}
    return insert("Logical_Switch_Port", row, uuid_name)


@contextmanager
def ovn(lab_name: str, *, monitor_all: bool = False, underlay_io: PortIo = PortIo.PACKET) -> Iterator[Ovn]:
    """Two hosts with ovn-controller, the central daemons beside them, and one switch."""
    with Lab.up(lab_name, hosts=2, underlay_io=underlay_io) as lab:
        peer = Ovn(lab, monitor_all=monitor_all)
        try:
            yield peer
        finally:
            peer.close()
