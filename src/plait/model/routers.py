"""Routers: what joins the subnets of a project, and projects with each other. Computed on every host.

Router            its own routes beyond the subnets that it is on
RouterInterface   the router's place on one subnet: the gateway that endpoints see
Peering           one router's word that it wants to be joined to another; two such words join them
"""

from typing import ClassVar

import msgspec

from plait.model import checks
from plait.model.checks import Invalid
from plait.model.entities import DEFAULT_PROJECT, MAX_VNI, Entity

MAX_NEXT_HOPS = 16


class StaticRoute(msgspec.Struct, frozen=True, gc=False):
    """Where packets for `destination` go: to `next_hops` (several: ECMP), or on to the router `router`.

    Next hops are addresses on the router's own subnets; `router` is the id of one that it is joined to.
    """

    destination: str
    next_hops: tuple[str, ...] = ()
    router: str | None = None

    def __post_init__(self) -> None:
        prefix = checks.prefix(self.destination)
        if prefix.is_multicast or (prefix.is_link_local and prefix.prefixlen > 0):
            raise Invalid(f"route {self.destination}: choose a prefix of addresses that can be routed")
        if (self.router is None) == (not self.next_hops):
            raise Invalid(f"route {self.destination} needs either next hops or a router that it leads to")
        if len(self.next_hops) > MAX_NEXT_HOPS:
            raise Invalid(
                f"route {self.destination} has {len(self.next_hops)} next hops: at most {MAX_NEXT_HOPS}"
            )
        if len(set(self.next_hops)) != len(self.next_hops):
            raise Invalid(f"route {self.destination} names a next hop twice: name each once")
        for hop in self.next_hops:
            if checks.ip(hop, "next hop").version != prefix.version:
                raise Invalid(
                    f"next hop {hop} and route {self.destination} are of two families: "
                    f"choose an IPv{prefix.version} address"
                )


class Router(Entity, frozen=True, kw_only=True, gc=False):
    """A distributed router. `vni` is its number in the cluster, of the same space as those of networks."""

    kind: ClassVar[str] = "router"

    id: str
    name: str
    vni: int
    project: str = DEFAULT_PROJECT
    routes: tuple[StaticRoute, ...] = ()

    def __post_init__(self) -> None:
        checks.name(self.id, "router id")
        checks.name(self.name, "router")
        checks.name(self.project, "project")
        if not 1 <= self.vni <= MAX_VNI:
            raise Invalid(f"VNI {self.vni} is out of range: choose 1 to {MAX_VNI}, or leave it out")
        destinations = [route.destination for route in self.routes]
        if len(set(destinations)) != len(destinations):
            double = next(each for each in destinations if destinations.count(each) > 1)
            raise Invalid(f"router {self.name} has two routes for {double}: give one route all next hops")


class RouterInterface(Entity, frozen=True, kw_only=True, gc=False):
    """A router's place on a subnet. `prefix` is the subnet's, which never changes."""

    kind: ClassVar[str] = "router interface"

    router: str
    network: str
    subnet: str
    prefix: str
    address: str
    mac: str
    project: str = DEFAULT_PROJECT

    def __post_init__(self) -> None:
        checks.name(self.router, "router id")
        checks.name(self.network, "network id")
        checks.name(self.subnet, "subnet id")
        if checks.ip(self.address) not in checks.prefix(self.prefix):
            raise Invalid(f"address {self.address} lies outside {self.prefix}: choose one inside")
        if checks.mac(self.mac) != self.mac:
            raise Invalid(f"MAC {self.mac!r} is not in canonical form: write {checks.mac(self.mac)}")

    @property
    def id(self) -> str:
        """Unique in the cluster: a router is on a subnet once."""
        return f"{self.router}/{self.subnet}"

    @property
    def version(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.prefix else 4


class Peering(Entity, frozen=True, kw_only=True, gc=False):
    """`router` wants to be joined to `peer`. They are once `peer` says the same of `router`.

    Joined routers reach each other's subnets, and nothing behind them.
    """

    kind: ClassVar[str] = "peering"

    router: str
    peer: str
    project: str = DEFAULT_PROJECT

    def __post_init__(self) -> None:
        checks.name(self.router, "router id")
        checks.name(self.peer, "router id")
        if self.router == self.peer:
            raise Invalid(f"router {self.router} can't be joined to itself: name another router")

    @property
    def id(self) -> str:
        """Unique in the cluster; `peer/router` is the other side's word."""
        return f"{self.router}/{self.peer}"
