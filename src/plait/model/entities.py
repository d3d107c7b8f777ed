"""What exists. Every entity is frozen, valid from birth, and knows nothing of where it is kept.

Identity is an id that never changes; names are for people and belong to a project. Addresses are canonical
text.
"""

from enum import StrEnum
from typing import ClassVar

import msgspec

from plait.model import checks
from plait.model.checks import Invalid

DEFAULT_PROJECT = "default"
MIN_MTU_BYTES = 576
MAX_MTU_BYTES = 65535
MAX_VNI = 0xFFFFFF
MIN_LEASE_S = 60
MAX_LEASE_S = 0x7FFFFFFF


class Transport(StrEnum):
    """How a frame crosses between hosts."""

    VXLAN = "vxlan"
    GENEVE = "geneve"
    GRE = "gre"

    def overhead_bytes(self, *, underlay_v6: bool) -> int:
        """Bytes of the underlay's MTU that are not the tenant's: outer IP, tunnel headers, inner Ethernet.

        VXLAN (RFC 7348 section 5) and Geneve without options (RFC 8926 section 3): UDP 8 + 8.
        GRE with a key (RFC 2890): 4 + 4.
        """
        tunnel = 8 if self is Transport.GRE else 16
        return (40 if underlay_v6 else 20) + tunnel + 14


class Entity(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, forbid_unknown_fields=True
):
    """What all stored things share: their JSON's version, and fields of newer ones, kept as they came."""

    kind: ClassVar[str] = "entity"

    schema: int = 1
    extra: tuple[tuple[str, str], ...] = ()


class Network(Entity, frozen=True, kw_only=True, gc=False):
    """One layer-2 segment of a project. `mtu_bytes` None: as large as all hosts' underlays allow."""

    kind: ClassVar[str] = "network"

    id: str
    name: str
    vni: int
    project: str = DEFAULT_PROJECT
    transport: Transport = Transport.VXLAN
    mtu_bytes: int | None = None

    def __post_init__(self) -> None:
        checks.name(self.id, "network id")
        checks.name(self.name, "network")
        checks.name(self.project, "project")
        if not 1 <= self.vni <= MAX_VNI:
            raise Invalid(f"VNI {self.vni} is out of range: choose 1 to {MAX_VNI}, or leave it out")
        check_mtu(self.mtu_bytes)


class Ipv6Mode(StrEnum):
    """How endpoints of an IPv6 subnet get their address: by DHCPv6 (`stateful`), by themselves from the
    advertised prefix (`stateless`: the rest by DHCPv6; `slaac`: all by advertisements), or not at all."""

    STATEFUL = "stateful"
    STATELESS = "stateless"
    SLAAC = "slaac"
    OFF = "off"

    @property
    def is_autonomous(self) -> bool:
        """Whether an endpoint's address follows from its MAC (RFC 4862)."""
        return self in (Ipv6Mode.STATELESS, Ipv6Mode.SLAAC)


class DhcpOption(msgspec.Struct, frozen=True, gc=False):
    """A DHCP (version 4) or DHCPv6 (version 6) option: its code and its data as hex digits."""

    version: int
    code: int
    data: str

    def __post_init__(self) -> None:
        last = 254 if self.version == 4 else 65535
        if self.version not in (4, 6) or not 1 <= self.code <= last:
            raise Invalid(
                f"DHCP option {self.code} of version {self.version} does not exist: choose 1 to {last}"
            )
        try:
            size = len(bytes.fromhex(self.data))
        except ValueError:
            raise Invalid(
                f"DHCP option {self.code}: {self.data!r} is not hex: write it like 0a000001"
            ) from None
        if size > 255:
            raise Invalid(f"DHCP option {self.code} has {size} bytes: at most 255")


class HostRoute(msgspec.Struct, frozen=True, gc=False):
    """A route that endpoints of a subnet are told of."""

    destination: str
    next_hop: str

    def __post_init__(self) -> None:
        if checks.prefix(self.destination).version != checks.ip(self.next_hop, "next hop").version:
            raise Invalid(f"next hop {self.next_hop} and route {self.destination} are of two families")


class Subnet(Entity, frozen=True, kw_only=True, gc=False):
    """A prefix of a network. `gateway` is reserved and never given to a port.

    `dhcp` (IPv4) and `ipv6_mode` say how endpoints learn their address; the rest is what they are told
    besides. `lease_s`: how long they may keep it without asking again.
    """

    kind: ClassVar[str] = "subnet"

    id: str
    name: str
    network: str
    prefix: str
    gateway: str | None = None
    project: str = DEFAULT_PROJECT
    dhcp: bool = True
    ipv6_mode: Ipv6Mode = Ipv6Mode.STATEFUL
    lease_s: int = 86400
    dns: tuple[str, ...] = ()
    ntp: tuple[str, ...] = ()
    domain: str | None = None
    search: tuple[str, ...] = ()
    routes: tuple[HostRoute, ...] = ()
    dhcp_options: tuple[DhcpOption, ...] = ()

    def __post_init__(self) -> None:
        checks.name(self.id, "subnet id")
        checks.name(self.name, "subnet")
        checks.name(self.project, "project")
        checks.name(self.network, "network id")
        prefix = checks.prefix(self.prefix)
        if prefix.is_multicast or prefix.is_loopback:
            way_out = "choose unicast addresses, such as 10.0.0.0/24 or fd00::/64"
            raise Invalid(f"prefix {self.prefix} can't be a subnet: {way_out}")
        if self.gateway is not None and checks.ip(self.gateway, "gateway") not in prefix:
            way_out = "choose one inside, or leave it out"
            raise Invalid(f"gateway {self.gateway} lies outside {self.prefix}: {way_out}")
        if self.version == 6 and self.ipv6_mode.is_autonomous and prefix.prefixlen != 64:
            way_out = f"choose a /64, or ipv6 mode {Ipv6Mode.STATEFUL}"
            raise Invalid(f"prefix {self.prefix} is no /64, which SLAAC needs (RFC 4862, 5.5.3): {way_out}")
        if not MIN_LEASE_S <= self.lease_s <= MAX_LEASE_S:
            raise Invalid(f"lease {self.lease_s} s is out of range: choose {MIN_LEASE_S} to {MAX_LEASE_S}")
        for address in (*self.dns, *self.ntp):
            checks.ip(address, "server")
        for domain in (*self.search, *((self.domain,) if self.domain is not None else ())):
            checks.domain(domain)

    @property
    def version(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.prefix else 4

    @property
    def is_autonomous(self) -> bool:
        """Whether an endpoint's address follows from its MAC (RFC 4862)."""
        return self.version == 6 and self.ipv6_mode.is_autonomous


class FixedAddress(msgspec.Struct, frozen=True, gc=False):
    """An address of a port and the subnet that it was claimed from."""

    subnet: str
    address: str


class AddressPair(msgspec.Struct, frozen=True, gc=False):
    """More that an endpoint may send as: addresses of `prefix`, from `mac` (None: the port's own).

    A single address is reachable where an endpoint that may have it says that it has (ARP, ND).
    """

    prefix: str
    mac: str | None = None

    def __post_init__(self) -> None:
        if str(checks.prefix(self.prefix)) != self.prefix:
            raise Invalid(
                f"prefix {self.prefix!r} is not in canonical form: write {checks.prefix(self.prefix)}"
            )
        if self.mac is not None and checks.mac(self.mac) != self.mac:
            raise Invalid(f"MAC {self.mac!r} is not in canonical form: write {checks.mac(self.mac)}")


class Port(Entity, frozen=True, kw_only=True, gc=False):
    """A place where one endpoint is plugged in.

    `host` and `device` say where; `sequence` rises with every change of `host` and decides between two hosts
    that both claim the port. `security` False lets the endpoint send from any address (a router, a bridge).
    `multicast`: multicast groups whose packets the endpoint wants. `groups`: ids of the groups whose rules
    filter it, sorted; without any it is not filtered. It is told `hostname` (None: its name) and
    `dhcp_options`.
    """

    kind: ClassVar[str] = "port"

    id: str
    name: str
    network: str
    mac: str
    project: str = DEFAULT_PROJECT
    addresses: tuple[FixedAddress, ...] = ()
    host: str | None = None
    device: str | None = None
    sequence: int = 0
    security: bool = True
    multicast: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    address_pairs: tuple[AddressPair, ...] = ()
    hostname: str | None = None
    dhcp_options: tuple[DhcpOption, ...] = ()

    def __post_init__(self) -> None:
        checks.name(self.id, "port id")
        checks.name(self.name, "port")
        checks.name(self.project, "project")
        checks.name(self.network, "network id")
        if checks.mac(self.mac) != self.mac:
            raise Invalid(f"MAC {self.mac!r} is not in canonical form: write {checks.mac(self.mac)}")
        for fixed in self.addresses:
            checks.ip(fixed.address)
        for group in self.multicast:
            checks.multicast(group)
        if self.host is not None:
            checks.name(self.host, "host")
        if self.device is not None:
            checks.device(self.device)

    @property
    def ips(self) -> tuple[str, ...]:
        """The addresses alone, in their order."""
        return tuple(fixed.address for fixed in self.addresses)


class Host(Entity, frozen=True, kw_only=True, gc=False):
    """A host that the cluster knows, alive or not."""

    kind: ClassVar[str] = "host"

    name: str
    labels: dict[str, str] = {}

    def __post_init__(self) -> None:
        checks.name(self.name, "host")


class LiveHost(Entity, frozen=True, kw_only=True, gc=False):
    """What the agent of a living host says of it, under its lease: the far end of tunnels.

    `vtep` is the underlay address; `underlay_mtu_bytes` the MTU of the interface that has it.
    """

    kind: ClassVar[str] = "live host"

    name: str
    vtep: str
    underlay_mtu_bytes: int = 1500
    transports: tuple[Transport, ...] = tuple(Transport)
    datapath: str = "netdev"
    version: str = ""

    def __post_init__(self) -> None:
        checks.name(self.name, "host")
        checks.ip(self.vtep, "underlay address")

    @property
    def vtep_is_v6(self) -> bool:
        return ":" in self.vtep

    def room_bytes(self, transport: Transport) -> int:
        """The largest tenant packet that this host's underlay carries."""
        return self.underlay_mtu_bytes - transport.overhead_bytes(underlay_v6=self.vtep_is_v6)


class Endpoint(Entity, frozen=True, kw_only=True, gc=False):
    """Where a port lives, as its owner says it: (network, MAC, IPs) -> host. The highest `sequence` wins.

    `ips` are the port's own, and those of its address pairs that the endpoint claimed; `groups` the port's.
    """

    kind: ClassVar[str] = "endpoint"

    network: str
    port: str
    mac: str
    host: str
    ips: tuple[str, ...] = ()
    sequence: int = 0
    multicast: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if checks.mac(self.mac) != self.mac:
            raise Invalid(f"MAC {self.mac!r} is not in canonical form: write {checks.mac(self.mac)}")
        for address in self.ips:
            checks.ip(address)
        for group in self.multicast:
            checks.multicast(group)


class PortState(StrEnum):
    """`up`: packets flow. `down`: something is missing, such as the device. `error`: a human is needed."""

    UP = "up"
    DOWN = "down"
    ERROR = "error"


class PortStatus(Entity, frozen=True, kw_only=True, gc=False):
    """What a host's agent says of a port of its own.

    `up` is set after the switch's barrier; `took_ms` counts from the moment the agent heard of the port.
    `sequence` is the port's, so that an old host's word is not taken for the new one's.
    """

    kind: ClassVar[str] = "port status"

    port: str
    host: str
    state: PortState
    sequence: int = 0
    reason: str = ""
    took_ms: float | None = None
    mtu_bytes: int | None = None


class Health(Entity, frozen=True, kw_only=True, gc=False):
    """What an agent says of itself: `components` are (name, "ok" or what is wrong)."""

    kind: ClassVar[str] = "health"

    host: str
    components: tuple[tuple[str, str], ...] = ()

    @property
    def ready(self) -> bool:
        return all(state == "ok" for _, state in self.components)


def check_mtu(mtu_bytes: int | None) -> None:
    """Raises Invalid for an MTU that no network can have; None is one that is chosen."""
    if mtu_bytes is not None and not MIN_MTU_BYTES <= mtu_bytes <= MAX_MTU_BYTES:
        way_out = f"choose {MIN_MTU_BYTES} to {MAX_MTU_BYTES} bytes, or leave it out"
        raise Invalid(f"MTU {mtu_bytes} is out of range: {way_out}")
