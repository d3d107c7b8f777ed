"""Every option of the agent, declared once: docs/configuration.md and the flags of `plait agent` follow."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from plait.agent.option import ConfigError, Option, resolve
from plait.model import checks
from plait.model.entities import Transport
from plait.net.stream import TlsFiles
from plait.net.vswitch import PortIo

DEFAULT_FILE = Path("/etc/plait/plait.toml")
FILE_VARIABLE = "PLAIT_CONFIG"
OF_THE_COMMAND_LINE = ("project", "vni_first", "vni_last")
"""Settings that the other commands read from the same file."""


class Datapath(StrEnum):
    """Where packets are forwarded."""

    AUTO = "auto"
    SYSTEM = "system"
    NETDEV = "netdev"


class LogLevel(StrEnum):
    """The least important events that are said."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """For whom events are written."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What an agent was told. See `load`."""

    host: Annotated[
        str,
        Option(
            "The name of this host in the cluster. Ports are bound to it: a host that changes its name "
            "loses its ports, and of two agents with one name the second waits until the first is gone.",
            automatic="the host's name, up to the first dot",
        ),
    ] = "{hostname}"
    store: Annotated[
        str,
        Option(
            "Where intent stands. `sqlite:` serves one machine and needs no server; `etcd://host:2379,…` "
            "(or `etcds://` with TLS) serves a cluster. All agents and all users of the command line name "
            "the same one.",
        ),
    ] = "sqlite:///var/lib/plait/plait.db"
    state_dir: Annotated[
        Path,
        Option(
            "The folder for what this host remembers across restarts: its last view. Without it the agent "
            "works, but can do nothing after a restart while the store is away.",
        ),
    ] = Path("/var/lib/plait")
    socket: Annotated[
        Path,
        Option(
            "The unix socket on which the agent answers the command line of this host. Only its user may "
            "connect.",
        ),
    ] = Path("/run/plait/agent.sock")

    ovs_rundir: Annotated[
        Path,
        Option(
            "The folder in which Open vSwitch has its sockets.",
        ),
    ] = Path("/var/run/openvswitch")
    ovsdb: Annotated[
        str,
        Option(
            "The switch's database: `unix:<path>`, `tcp:<host>:<port>` or `ssl:<host>:<port>`. What is "
            "not a unix socket should be `ssl:`, because who reaches it owns the switch.",
        ),
    ] = "unix:{ovs_rundir}/db.sock"
    openflow: Annotated[
        str,
        Option(
            "The switch's OpenFlow connection; the forms are those of `ovsdb`.",
        ),
    ] = "unix:{ovs_rundir}/{bridge}.mgmt"
    tls_ca: Annotated[
        Path | None,
        Option(
            "The certificate of the authority that signed the switch's, as PEM; for `ssl:` connections.",
            automatic="none",
        ),
    ] = None
    tls_cert: Annotated[
        Path | None,
        Option("The agent's certificate, as PEM; for `ssl:` connections.", automatic="none"),
    ] = None
    tls_key: Annotated[
        Path | None,
        Option(
            "The private key of `tls_cert`, as PEM; readable by the agent's user alone.", automatic="none"
        ),
    ] = None
    bridge: Annotated[
        str,
        Option(
            "The bridge that the agent owns. It is created if there is none; its flows are the agent's "
            "alone.",
        ),
    ] = "br-int"
    datapath: Annotated[
        Datapath,
        Option(
            "Where packets are forwarded: by the kernel's module (`system`) or by Open vSwitch itself "
            "(`netdev`), which runs everywhere but is slower. `auto` takes the kernel's where there is "
            "one.",
        ),
    ] = Datapath.AUTO
    port_io: Annotated[
        PortIo,
        Option(
            "How Open vSwitch reads the devices that the agent plugs in, where it forwards packets itself; "
            "the kernel's datapath has no use for it. `packet`, packet sockets, works everywhere and costs "
            "next to nothing. `afxdp` carries 1.2 to 1.6 times as much of a TCP stream between hosts if the "
            "underlay's device is read in this way, too (that device is the operator's: `ovs-vsctl set "
            "interface <device> type=afxdp-nonpmd`), and 1.2 times if it is not. Its price: 74 MB of memory "
            "a port, a pause of 0.1 s in all of the host's traffic whenever a port is plugged in, and MTUs "
            "of at most 3,498 bytes. A change of this option reopens the ports that stand when the agent "
            "starts; they keep their connections. Ports that others plugged in stay as they are.",
        ),
    ] = PortIo.PACKET

    underlay_address: Annotated[
        str | None,
        Option(
            "The address of this host that other hosts send tunnels to, IPv4 or IPv6.",
            automatic="the address from which the kernel would reach the store, else the default route",
        ),
    ] = None
    transports: Annotated[
        tuple[Transport, ...],
        Option(
            "The transports that this host offers. A network of another one can't be reached here. Every "
            "transport is one port of the bridge.",
        ),
    ] = tuple(Transport)

    lease_ttl_s: Annotated[
        float,
        Option(
            "How long other hosts believe that this one lives after its last sign of life. Lower finds a "
            "dead host sooner, but a busy host or a store that is slow for as long passes for dead; a "
            "third of it is the pause between signs.",
            unit="seconds",
            low=2,
            high=300,
        ),
    ] = 10.0
    reach_grace_s: Annotated[
        float,
        Option(
            "How long after an outage of the store a host may take to give its first sign of life before "
            "its endpoints are withdrawn. Should be longer than `lease_ttl_s`; longer also keeps the "
            "endpoints of hosts that died meanwhile.",
            unit="seconds",
            low=0,
            high=3600,
        ),
    ] = 15.0
    bundle_flows: Annotated[
        int,
        Option(
            "The most flows that are changed in one atomic step. Larger steps are fewer, but Open vSwitch "
            "forwards nothing meanwhile where it forwards itself: 1,000 flows take about 4 ms, 10,000 "
            "take 17 ms.",
            unit="flows",
            low=1,
            high=10_000,
        ),
    ] = 1000
    stopped_ttl_s: Annotated[
        float,
        Option(
            "How long other hosts go on sending to this one after its agent was stopped on purpose, "
            "because its traffic goes on. A host that shuts down is forgotten at once; one that is "
            "switched off after a stop stays for as long.",
            unit="seconds",
            low=2,
            high=86400,
        ),
    ] = 3600.0

    log_level: Annotated[
        LogLevel,
        Option(
            "The least important events that are said. `debug` names every port and flow and is much, "
            "much more.",
        ),
    ] = LogLevel.INFO
    log_format: Annotated[
        LogFormat,
        Option(
            "`text` is for people, `json` (one object a line) for machines.",
        ),
    ] = LogFormat.TEXT

    def __post_init__(self) -> None:
        try:
            checks.name(self.host, "option host")
            if self.underlay_address is not None:
                checks.ip(self.underlay_address, "option underlay_address")
        except checks.Invalid as error:
            raise ConfigError(str(error)) from None
        if self.port_io is PortIo.AFXDP and self.datapath is Datapath.SYSTEM:
            raise ConfigError(
                "option port_io = 'afxdp' does nothing with datapath = 'system', where the kernel reads the "
                "devices: choose port_io = 'packet', or datapath = 'netdev'"
            )
        try:
            checks.device(self.bridge)
        except checks.Invalid as error:
            raise ConfigError(f"option bridge: {error}") from None
        for name, target in (("ovsdb", self.ovsdb), ("openflow", self.openflow)):
            if not target.startswith(("unix:", "tcp:", "ssl:")):
                raise ConfigError(
                    f"option {name} = {target!r} is wrong: "
                    "it takes unix:<path>, tcp:<host>:<port> or ssl:<host>:<port>"
                )
            if target.startswith("ssl:") and self.tls is None:
                raise ConfigError(
                    f"option {name} = {target!r} needs tls_ca, tls_cert and tls_key: set all three"
                )

    @property
    def tls(self) -> TlsFiles | None:
        """The files for `ssl:` connections; None unless all three are set."""
        if self.tls_ca is None or self.tls_cert is None or self.tls_key is None:
            return None
        return TlsFiles(str(self.tls_ca), str(self.tls_cert), str(self.tls_key))


def load(
    flags: Mapping[str, str | None] | None = None,
    *,
    file: Path | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Config:
    """The agent's configuration: `flags` (option name -> text) before environment before file before default.

    `file` None: that of $PLAIT_CONFIG, else `DEFAULT_FILE` if there is one; a file that was named has to
    exist. Raises ConfigError with one line that names the option, its value, its source and what would do.
    """
    if file is None and (named := environment.get(FILE_VARIABLE)):
        file = Path(named)
    if file is None and DEFAULT_FILE.exists():
        file = DEFAULT_FILE
    return resolve(
        Config,
        flags=flags or {},
        environment=environment,
        file=file,
        facts={"hostname": socket.gethostname().partition(".")[0]},
        others=OF_THE_COMMAND_LINE,
    )
