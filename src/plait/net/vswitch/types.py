"""What is asked of one host's Open vSwitch, and what it answers."""

from dataclasses import dataclass, field
from enum import StrEnum

from plait.model.entities import Transport
from plait.wire.ovsdb.values import Uuid

KERNEL = "system"
USERSPACE = "netdev"

AFXDP_MTU_BYTES = 3498
"""The most that AF_XDP carries: a page of 4,096 bytes less 256 of headroom, 320 of the kernel's bookkeeping
behind the frame, an Ethernet header and two VLAN tags. Of a device with a larger MTU Open vSwitch 3.1 loses
every frame that does not fit, without a word.
"""

_DEVICE_TYPES = ("", "system", "afxdp", "afxdp-nonpmd")


class PortIo(StrEnum):
    """How the userspace datapath reads and writes a device: by a packet socket, or by AF_XDP."""

    PACKET = "packet"
    AFXDP = "afxdp"

    @property
    def interface_type(self) -> str:
        """What Open vSwitch calls it (ovs-vswitchd.conf.db(5), Interface, type).

        `afxdp` without `-nonpmd` would keep a core busy for as long as the port is there.
        """
        return "afxdp-nonpmd" if self is PortIo.AFXDP else ""


class SwitchMisconfigured(Exception):
    """Open vSwitch is set up in a way that Plait must not change by itself; the text says what to do."""


class SwitchNotResponding(Exception):
    """ovsdb-server took a change, ovs-vswitchd did not carry it out in time."""


class UnderlayUnusable(Exception):
    """Tunnels can't leave from `address`; the text says why and what to do."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(f"underlay address {address} can't be used: {reason}")
        self.address = address
        self.reason = reason


def tunnel_name(transport: Transport) -> str:
    """What the port for all tunnels of a transport is called on every bridge of ours."""
    return f"plait-{transport}"


@dataclass(frozen=True, slots=True)
class TunnelPort:
    """The one port for all tunnels of a transport. `dst_port` None: the transport's own (4789, 6081)."""

    transport: Transport
    local_ip: str
    dst_port: int | None = None

    @property
    def name(self) -> str:
        """The interface's name in Open vSwitch."""
        return tunnel_name(self.transport)

    @property
    def options(self) -> dict[str, str]:
        """Remote address and key come from the flows, packet by packet."""
        options = {"remote_ip": "flow", "key": "flow", "local_ip": self.local_ip}
        return options if self.dst_port is None else {**options, "dst_port": str(self.dst_port)}


@dataclass(frozen=True, slots=True)
class SwitchConfig:
    """The bridge and its tunnels. `datapath_type`: "system" (kernel), "netdev" (userspace) or None: any."""

    bridge: str
    datapath_type: str | None = None
    tunnels: tuple[TunnelPort, ...] = ()


@dataclass(frozen=True, slots=True)
class BridgeInfo:
    """The bridge as it is: `datapath_type` "system" or "netdev", `datapath_id` 16 hex digits."""

    name: str
    datapath_type: str
    datapath_id: str


@dataclass(frozen=True, slots=True)
class PlugRequest:
    """Device `device` of this host is to be port `port_id`. `mtu_bytes` None: the device's MTU stays."""

    port_id: str
    device: str
    mtu_bytes: int | None = None
    io: PortIo = PortIo.PACKET


@dataclass(frozen=True, slots=True)
class PlugFailure:
    """A request that was refused, the others of its batch having been carried out."""

    port_id: str
    device: str
    reason: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """Port `port_id` is at OpenFlow port number `ofport` of the bridge."""

    port_id: str
    device: str
    ofport: int


@dataclass(frozen=True, slots=True)
class Link:
    """An attached port's device: its MTU (None until known), and whether it has a carrier and is set up."""

    port_id: str
    mtu_bytes: int | None
    is_up: bool


@dataclass(frozen=True, slots=True)
class InterfaceProblem:
    """Open vSwitch can't use a device; `port_id` None for a tunnel."""

    port_id: str | None
    device: str
    reason: str


@dataclass(frozen=True, slots=True)
class SwitchChange:
    """What became different since the last one: several changes of the same thing are one.

    `tunnel_ofports` and `bridge` are None where nothing changed. `solved` names the devices whose problem is
    gone, `released` the devices that were taken out of a bridge, any bridge. `is_bridge_lost`: the bridge is
    no longer there or no longer runs; ensure it again.
    """

    attached: tuple[Attachment, ...] = ()
    detached: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    problems: tuple[InterfaceProblem, ...] = ()
    solved: tuple[str, ...] = ()
    released: tuple[str, ...] = ()
    tunnel_ofports: dict[Transport, int] | None = None
    bridge: BridgeInfo | None = None
    is_bridge_lost: bool = False


@dataclass(frozen=True, slots=True)
class Underlay:
    """Where tunnels leave the host: the device that has the address, its MTU, 4 or 6."""

    address: str
    device: str
    mtu_bytes: int
    version: int


@dataclass(frozen=True, slots=True)
class Interface:
    """One row of the table Interface, with the bridge it is on (None: on none)."""

    name: str
    type: str = ""
    bridge: str | None = None
    port_uuid: Uuid | None = None
    ofport: int | None = None
    ofport_request: int | None = None
    port_id: str | None = None
    is_owned: bool = False
    options: dict[str, str] = field(default_factory=dict)
    error: str | None = None
    mtu_bytes: int | None = None
    mtu_request: int | None = None
    is_up: bool = False
    ifindex: int | None = None
    recorded_ifindex: int | None = None

    @property
    def is_attached(self) -> bool:
        """Whether ovs-vswitchd gave it a port number (-1: it could not), and the device is still there."""
        return self.ofport is not None and self.ofport > 0 and not self.is_gone

    @property
    def is_device(self) -> bool:
        """Whether it stands for a device of the host, rather than for one that Open vSwitch makes."""
        return self.type in _DEVICE_TYPES

    @property
    def io(self) -> PortIo:
        """How the device is read."""
        return PortIo.AFXDP if self.type.startswith("afxdp") else PortIo.PACKET

    @property
    def is_gone(self) -> bool:
        """Whether its device was deleted: the userspace datapath keeps the port, with a device of index 0."""
        return self.is_device and self.ifindex == 0

    @property
    def is_exchanged(self) -> bool:
        """Whether a new device has the name of the one that was attached.

        The userspace datapath goes on with the deleted one: no packet passes until the port is made anew.
        """
        is_other = bool(self.ifindex and self.recorded_ifindex) and self.ifindex != self.recorded_ifindex
        return is_other and self.is_device and self.is_owned and self.is_attached

    @property
    def is_unrecorded(self) -> bool:
        """Whether our device is attached and its index not yet noted beside the port."""
        is_ours = self.is_device and self.is_owned and self.is_attached
        return is_ours and bool(self.ifindex) and self.recorded_ifindex is None
