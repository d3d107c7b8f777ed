"""The facets that a view is made of: single facts about single things, as they come in.

Intent and reach say entities (`entities.py`, `routers.py`, `policy.py`); the host itself says what is below.
"""

from typing import NamedTuple, TypeVar

import msgspec

from plait.model.entities import Endpoint, LiveHost, Network, Port, Subnet, Transport
from plait.model.policy import AddressEntry, Group, Rule
from plait.model.routers import Peering, Router, RouterInterface


class Key(NamedTuple):
    """What can be read, and what owns flows: a kind of thing and which one."""

    kind: str
    id: str


class Attachment(msgspec.Struct, frozen=True, gc=False):
    """The OpenFlow port number that an own port has on this host's switch."""

    port: str
    ofport: int


class Subscription(msgspec.Struct, frozen=True, gc=False):
    """The multicast groups that the endpoint at an own port asked for (IGMP, MLD), sorted."""

    port: str
    groups: tuple[str, ...]


class Claim(msgspec.Struct, frozen=True, gc=False):
    """The addresses of its pairs that the endpoint at an own port said it has, sorted."""

    port: str
    ips: tuple[str, ...]


class Tunnels(msgspec.Struct, frozen=True):
    """The switch's ports into tunnels: (transport, OpenFlow port number), sorted."""

    ofports: tuple[tuple[Transport, int], ...] = ()


class Number(msgspec.Struct, frozen=True, gc=False):
    """A number that this host gave to something of its own.

    multicast     OpenFlow group id of "network/address"
    policy        of the groups that a port is in: their ids, sorted, joined by commas
    conjunction   id of "group or address group@rank of a rule"
    zone          of the connection tracker, by the port whose connections are in it
    """

    space: str
    owner: str
    number: int

    @property
    def id(self) -> str:
        return f"{self.space}/{self.owner}"


Facet = (
    Port
    | Attachment
    | Subscription
    | Claim
    | Endpoint
    | Network
    | Subnet
    | LiveHost
    | Tunnels
    | Router
    | RouterInterface
    | Peering
    | Group
    | Rule
    | AddressEntry
    | Number
)
F = TypeVar(
    "F",
    Port,
    Attachment,
    Subscription,
    Claim,
    Endpoint,
    Network,
    Subnet,
    LiveHost,
    Tunnels,
    Router,
    RouterInterface,
    Peering,
    Group,
    Rule,
    AddressEntry,
    Number,
)


class Change(msgspec.Struct, frozen=True, gc=False):
    """One facet of one thing: its new value, or None when it is gone.

    `id` is a port's (Port, Attachment, Subscription, Claim, Endpoint), a host's name, "" (Tunnels), the id of
    whatever else.
    """

    facet: type[Facet]
    id: str
    value: Facet | None


class Station(msgspec.Struct, frozen=True, gc=False):
    """An endpoint as this host sees it: `ofport` where it is plugged in here, else `host`, where it lives.

    `policy` is the owner of the number of its policy; "": it is not filtered, or not here.
    """

    id: str
    network: str
    mac: str
    ips: tuple[str, ...]
    multicast: tuple[str, ...]
    ofport: int | None
    host: str | None
    security: bool
    groups: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()

    @property
    def policy(self) -> str:
        return ",".join(self.groups) if self.ofport is not None and self.security else ""
