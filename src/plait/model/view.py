"""The view: the part of intent and reach that one host needs, indexed, and aware of who reads what.

Facts come in as changes of single facets and are joined here into what apps ask for:

    station   an endpoint of a network: on this host (bound here and plugged in) or on another one (by reach)
    network   with the MTU that every living host's underlay carries
    host      the living ones
    switch    the ports of this host's switch that lead into tunnels

Rule 1: `apply` answers with the keys whose meaning changed, under old and new index keys.
Rule 2: what is read through a `Lens` is recorded; what is recorded and changes later is read again.
Rule 3: the view allocates nothing but numbers that were handed to it (`GroupNumber`).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, TypeVar

import msgspec

from plait.model.entities import MAX_MTU_BYTES, MIN_MTU_BYTES, Endpoint, LiveHost, Network, Port, Transport


class Key(NamedTuple):
    """What can be read, and what owns flows: a kind of thing and which one."""

    kind: str
    id: str


SWITCH = Key("switch", "")


class Attachment(msgspec.Struct, frozen=True, gc=False):
    """The OpenFlow port number that an own port has on this host's switch."""

    port: str
    ofport: int


class Subscription(msgspec.Struct, frozen=True, gc=False):
    """The multicast groups that the endpoint at an own port asked for (IGMP, MLD), sorted."""

    port: str
    groups: tuple[str, ...]


class Tunnels(msgspec.Struct, frozen=True):
    """The switch's ports into tunnels: (transport, OpenFlow port number), sorted."""

    ofports: tuple[tuple[Transport, int], ...] = ()


class GroupNumber(msgspec.Struct, frozen=True, gc=False):
    """The OpenFlow group id that this host gave to a multicast group of a network."""

    network: str
    address: str
    number: int

    @property
    def id(self) -> str:
        return f"{self.network}/{self.address}"


class Station(msgspec.Struct, frozen=True, gc=False):
    """An endpoint as this host sees it: `ofport` where it is plugged in here, else `host`, where it lives."""

    id: str
    network: str
    mac: str
    ips: tuple[str, ...]
    multicast: tuple[str, ...]
    ofport: int | None
    host: str | None
    security: bool


Facet = Port | Attachment | Subscription | Endpoint | Network | LiveHost | Tunnels | GroupNumber
F = TypeVar("F", Port, Attachment, Subscription, Endpoint, Network, LiveHost, Tunnels, GroupNumber)


class Change(msgspec.Struct, frozen=True, gc=False):
    """One facet of one thing: its new value, or None when it is gone.

    `id` is a port's (Port, Attachment, Subscription, Endpoint), a network's, a host's name, "" (Tunnels),
    "network/address" (GroupNumber).
    """

    facet: type[Facet]
    id: str
    value: Facet | None


class View:
    """See the module's docstring. `host` is the name of the host that looks."""

    def __init__(self, host: str) -> None:
        self.host = host
        self._facets: dict[type[Facet], dict[str, Facet]] = {
            kind: {} for kind in (*_STATION_FACETS, *_KIND_OF)
        }
        self._room: dict[Transport, int | None] = dict.fromkeys(Transport)
        self._subscribers: dict[str, dict[str, set[str]]] = {}

    # -- change

    def apply(self, changes: Iterable[Change]) -> set[Key]:
        """Take the changes in and return every key whose meaning they touched."""
        dirty: set[Key] = set()
        hosts_differ = False
        for change in changes:
            if change.facet in _STATION_FACETS:
                self._apply_to_station(change, dirty)
            elif self._set(change):
                dirty.add(Key(_KIND_OF[change.facet], change.id))
                hosts_differ |= change.facet is LiveHost
        if hosts_differ:
            self._measure_room(dirty)
        return dirty

    def _set(self, change: Change) -> bool:
        facets = self._facets[change.facet]
        if facets.get(change.id) == change.value:
            return False
        if change.value is None:
            del facets[change.id]
        else:
            facets[change.id] = change.value
        return True

    def _apply_to_station(self, change: Change, dirty: set[Key]) -> None:
        before = self.station(change.id)
        self._set(change)
        after = self.station(change.id)
        if before == after:
            return
        dirty.add(Key("station", change.id))
        for station, joins in ((before, False), (after, True)):
            if station is not None and station.multicast:
                dirty.add(Key("subscribers", station.network))
                for address in station.multicast:
                    self._subscribe(station, address, joins=joins)

    def _subscribe(self, station: Station, address: str, *, joins: bool) -> None:
        groups = self._subscribers.setdefault(station.network, {})
        members = groups.setdefault(address, set())
        if joins:
            members.add(station.id)
            return
        members.discard(station.id)
        if not members:
            del groups[address]
        if not groups:
            del self._subscribers[station.network]

    def _measure_room(self, dirty: set[Key]) -> None:
        """What the underlays of all living hosts carry; looks at each, so once for all changes."""
        for transport in Transport:
            room = min((host.room_bytes(transport) for host in self.all(LiveHost)), default=None)
            if room is not None:
                room = min(max(room, MIN_MTU_BYTES), MAX_MTU_BYTES)
            if room != self._room[transport]:
                self._room[transport] = room
                dirty.add(Key("room", transport))

    # -- what there is

    def get(self, facet: type[F], id: str) -> F | None:
        """One facet as it stands."""
        value = self._facets[facet].get(id)
        return value if isinstance(value, facet) else None

    def all(self, facet: type[F]) -> Iterator[F]:
        """Every facet of a type, in the order of arrival."""
        return (value for value in self._facets[facet].values() if isinstance(value, facet))

    def count(self, facet: type[Facet]) -> int:
        """How many facets of a type there are."""
        return len(self._facets[facet])

    def station(self, id: str) -> Station | None:
        """The endpoint of that port; None when it is nowhere.

        An own port is here once it is plugged in; until then it is where reach says (a move under way).
        """
        port, attachment = self.get(Port, id), self.get(Attachment, id)
        if port is not None and attachment is not None:
            subscription = self.get(Subscription, id)
            groups = port.multicast
            if subscription is not None:
                groups = tuple(sorted({*groups, *subscription.groups}))
            return Station(
                id=id,
                network=port.network,
                mac=port.mac,
                ips=port.ips,
                multicast=groups,
                ofport=attachment.ofport,
                host=None,
                security=port.security,
            )
        endpoint = self.get(Endpoint, id)
        if endpoint is None or endpoint.host == self.host:
            return None
        return Station(
            id=id,
            network=endpoint.network,
            mac=endpoint.mac,
            ips=endpoint.ips,
            multicast=endpoint.multicast,
            ofport=None,
            host=endpoint.host,
            security=True,
        )

    def owners(self) -> Iterator[Key]:
        """Everything that owns flows, in a stable order."""
        yield SWITCH
        for id in self._facets[Network]:
            yield Key("network", id)
        for id in {**self._facets[Port], **self._facets[Endpoint]}:
            yield Key("station", id)

    def groups_wanted(self, networks: Iterable[str]) -> Iterator[tuple[str, str]]:
        """(network, address) of each multicast group of `networks` with subscribers: it needs a number."""
        for network in networks:
            for address in self._subscribers.get(network, ()):
                yield network, address

    def mtu_bytes(self, network: Network) -> int | None:
        """The largest packet of `network` that every living host carries; None while no host is known."""
        limits = [size for size in (network.mtu_bytes, self._room[network.transport]) if size is not None]
        return min(limits, default=None)

    def subscribers(self, network: str) -> Mapping[str, set[str]]:
        """Multicast address -> ids of the stations of `network` that want its packets."""
        return self._subscribers.get(network, {})


class Lens:
    """A view through which apps look; it remembers what they asked for in `reads`."""

    __slots__ = ("_view", "reads")

    def __init__(self, view: View) -> None:
        self._view = view
        self.reads: set[Key] = set()

    def network(self, id: str) -> Network | None:
        """A network that this host takes part in."""
        self.reads.add(Key("network", id))
        return self._view.get(Network, id)

    def host(self, name: str) -> LiveHost | None:
        """A living host; one that is not alive is None."""
        self.reads.add(Key("host", name))
        return self._view.get(LiveHost, name)

    def station(self, id: str) -> Station | None:
        """See `View.station`."""
        self.reads.add(Key("station", id))
        return self._view.station(id)

    def tunnel(self, transport: Transport) -> int | None:
        """The switch's port into tunnels of this transport."""
        self.reads.add(Key("tunnels", ""))
        tunnels = self._view.get(Tunnels, "")
        return dict(tunnels.ofports).get(transport) if tunnels else None

    def mtu_bytes(self, network: Network) -> int | None:
        """See `View.mtu_bytes`."""
        self.reads.add(Key("room", network.transport))
        return self._view.mtu_bytes(network)

    def subscribers(self, network: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """(multicast address, ids of its stations), both sorted."""
        self.reads.add(Key("subscribers", network))
        return tuple(
            (address, tuple(sorted(members)))
            for address, members in sorted(self._view.subscribers(network).items())
        )

    def group_number(self, network: str, address: str) -> int | None:
        """The OpenFlow group id of a multicast group; None until it has one."""
        self.reads.add(Key("group", f"{network}/{address}"))
        number = self._view.get(GroupNumber, f"{network}/{address}")
        return number.number if number else None


_STATION_FACETS: frozenset[type[Facet]] = frozenset({Port, Attachment, Subscription, Endpoint})
_KIND_OF: dict[type[Facet], str] = {
    Network: "network",
    LiveHost: "host",
    Tunnels: "tunnels",
    GroupNumber: "group",
}
