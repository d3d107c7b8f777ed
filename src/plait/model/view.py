"""The view: the part of intent and reach that one host needs, indexed, and aware of who reads what.

Facets come in as changes and are joined here into what apps ask for through a `Lens`:

    station   an endpoint of a network: on this host (bound here and plugged in) or on another one (by reach)
    network   with the MTU that every living host's underlay carries
    routes    of a router, domains and scopes of networks: what the topology comes to
    policy    the groups that some port of this host is in, with their rules

Rule 1: `apply` answers with the keys whose meaning changed, under old and new index keys.
Rule 2: what is read through a `Lens` is recorded; what is recorded and changes later is read again.
Rule 3: the view allocates nothing but numbers that were handed to it (`Number`).
"""

from collections.abc import Iterable, Iterator, Mapping

from plait.model.entities import (
    MAX_MTU_BYTES,
    MIN_MTU_BYTES,
    Endpoint,
    LiveHost,
    Network,
    Port,
    Subnet,
    Transport,
)
from plait.model.facets import (
    Attachment,
    Change,
    Claim,
    F,
    Facet,
    Key,
    Number,
    Station,
    Subscription,
    Tunnels,
)
from plait.model.indexes import SETS_OF, Indexes, Members, of_station
from plait.model.policy import AddressEntry, Group, Rule
from plait.model.routers import Peering, Router, RouterInterface
from plait.model.topology import Topology

SWITCH = Key("switch", "")

MULTICAST, POLICY, CONJUNCTION, ZONE = "multicast", "policy", "conjunction", "zone"
"""The spaces of numbers; see `Number`."""


class View:
    """See the module's docstring. `host` is the name of the host that looks."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.topology = Topology({}, (), ())
        self._facets: dict[type[Facet], dict[str, Facet]] = {
            kind: {} for kind in (*_STATION_FACETS, *_KIND_OF)
        }
        self._indexes = Indexes()
        self._room: dict[Transport, int | None] = dict.fromkeys(Transport)
        self._derived: dict[Key, object] = {}
        self._next_hops: dict[str, set[str]] = {}
        self._policies_with: dict[str, set[str]] = {}

    # -- change

    def apply(self, changes: Iterable[Change]) -> set[Key]:
        """Take the changes in and return every key whose meaning they touched."""
        dirty: set[Key] = set()
        hosts_differ = routers_differ = networks_differ = False
        filtered = set(self._indexes.of_kind("filtered"))
        for change in changes:
            if change.facet in _STATION_FACETS:
                self._apply_to_station(change, dirty)
            elif self._set(change, dirty):
                dirty.add(Key(_KIND_OF[change.facet], change.id))
                hosts_differ |= change.facet is LiveHost
                routers_differ |= change.facet in _ROUTER_FACETS
                networks_differ |= change.facet is Network and bool(self.topology.networks())
        if hosts_differ:
            self._measure_room(dirty)
        if routers_differ:
            self.topology = Topology(
                {router.id: router for router in self.all(Router)},
                self.all(RouterInterface),
                self.all(Peering),
            )
            self._watch_next_hops()
        if routers_differ or networks_differ or filtered != set(self._indexes.of_kind("filtered")):
            self._derive(dirty)
        return dirty

    def _set(self, change: Change, dirty: set[Key]) -> bool:
        facets = self._facets[change.facet]
        before = facets.get(change.id)
        if before == change.value:
            return False
        ranks = {remote: self.ranks(remote) for remote in _remotes(before, change.value)}
        if change.value is None:
            del facets[change.id]
        else:
            facets[change.id] = change.value
        if (sets_of := SETS_OF.get(change.facet)) is not None:
            self._indexes.move(change.id, before, change.value, sets_of, dirty)
        dirty.update(Key("ranks", remote) for remote, then in ranks.items() if self.ranks(remote) != then)
        return True

    def _apply_to_station(self, change: Change, dirty: set[Key]) -> None:
        before = self.station(change.id)
        if self._set(change, dirty) and change.facet is Port:
            dirty.add(Key("port", change.id))
        after = self.station(change.id)
        if before == after:
            return
        dirty.add(Key("station", change.id))
        if before is not None and after is not None and before.ips != after.ips:
            dirty.update(Key("gained", f"{change.id}/{each}") for each in after.ips if each not in before.ips)
        policies = {station.policy for station in (before, after) if station is not None} - {""}
        stood = {policy for policy in policies if self.members("policy", policy)}
        networks = {station.network for station in (before, after) if station and station.ofport is not None}
        plugged = {network for network in networks if self.members("plugged in", network)}
        self._indexes.move(change.id, before, after, of_station, dirty)
        for policy in policies:
            if bool(self.members("policy", policy)) != (policy in stood):
                for group in policy.split(","):
                    dirty.add(Key("policies", group))
                    # It is there now if it was not, and the other way round.
                    self._policies_with.setdefault(group, set()).symmetric_difference_update((policy,))
        for network in networks:
            if bool(self.members("plugged in", network)) != (network in plugged):
                dirty.add(Key("part of network", network))
        for address in _addresses(before) ^ _addresses(after):
            if (holders := self._next_hops.get(address)) is not None:
                holders ^= {change.id}
                dirty.add(Key("next hop", address))

    def _measure_room(self, dirty: set[Key]) -> None:
        """What the underlays of all living hosts carry; looks at each, so once for all changes."""
        for transport in Transport:
            room = min((host.room_bytes(transport) for host in self.all(LiveHost)), default=None)
            if room is not None:
                room = min(max(room, MIN_MTU_BYTES), MAX_MTU_BYTES)
            if room != self._room[transport]:
                self._room[transport] = room
                dirty.add(Key("room", transport))

    def _watch_next_hops(self) -> None:
        """Which stations have the addresses that routes lead to; looks at all, so only when routes change."""
        self._next_hops = {
            f"{hop.interface.network}/{hop.address}": set()
            for router in self.all(Router)
            for route in self.topology.routes(router.id)
            for hop in route.hops
            if hop.address is not None
        }
        if self._next_hops:
            for _, id in (key for key in self.owners() if key.kind == "station"):
                for address in _addresses(self.station(id)) & self._next_hops.keys():
                    self._next_hops[address].add(id)

    def _derive(self, dirty: set[Key]) -> None:
        """What the topology comes to here; whatever differs from before is dirty."""
        topology = self.topology
        derived: dict[Key, object] = {}
        for router in self.all(Router):
            derived[Key("routes", router.id)] = topology.routes(router.id), topology.answers_for(router.id)
        # A network that was joined a moment ago, and is not known yet, gives nobody its name.
        known = self._facets[Network]
        labels: dict[str, set[str]] = {}
        for network in self._indexes.of_kind("filtered"):
            label = topology.domain(network, known)
            for joined in topology.joined(network):
                labels.setdefault(joined, set()).add(label)
        for network in topology.networks():
            derived[Key("domain", network)] = topology.domain(network, known)
        for network, of_network in labels.items():
            derived[Key("scopes", network)] = tuple(sorted(of_network))
        before, self._derived = self._derived, derived
        dirty.update(key for key in before.keys() | derived if before.get(key) != derived.get(key))

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

    def members(self, kind: str, id: str) -> Members:
        """What is in a set of the indexes, by id."""
        return self._indexes.members(Key(kind, id))

    def sets(self, kind: str) -> Iterable[str]:
        """The ids of the sets of a kind that something is in."""
        return self._indexes.of_kind(kind)

    def port_at(self, ofport: int) -> str | None:
        """The id of the port that is plugged in there."""
        attachment = next(iter(self.members("ofport", str(ofport)).values()), None)
        return attachment.port if isinstance(attachment, Attachment) else None

    def station(self, id: str) -> Station | None:
        """The endpoint of that port; None when it is nowhere.

        An own port is here once it is plugged in; until then it is where reach says (a move under way).
        """
        port, attachment = self.get(Port, id), self.get(Attachment, id)
        if port is not None and attachment is not None:
            return self._own_station(port, attachment)
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
            groups=endpoint.groups,
        )

    def _own_station(self, port: Port, attachment: Attachment) -> Station:
        subscription, claim = self.get(Subscription, port.id), self.get(Claim, port.id)
        multicast, ips = port.multicast, port.ips
        if subscription is not None:
            multicast = tuple(sorted({*multicast, *subscription.groups}))
        if claim is not None:
            single = {pair.prefix for pair in port.address_pairs}
            ips = (*ips, *(each for each in claim.ips if each not in ips and single & _as_prefixes(each)))
        return Station(
            id=port.id,
            network=port.network,
            mac=port.mac,
            ips=ips,
            multicast=multicast,
            ofport=attachment.ofport,
            host=None,
            security=port.security,
            groups=port.groups,
            pairs=tuple((pair.prefix, pair.mac or port.mac) for pair in port.address_pairs),
        )

    def owners(self) -> Iterator[Key]:
        """Everything that owns flows, in a stable order."""
        yield SWITCH
        for facet in (Network, Router, RouterInterface, Rule):
            for id in self._facets[facet]:
                yield Key(_KIND_OF[facet], id)
        for kind in ("slot", "policy", "prefix"):
            for id in self._indexes.of_kind(kind):
                yield Key(kind, id)
        for id in {**self._facets[Port], **self._facets[Endpoint]}:
            yield Key("station", id)

    def derived(self, key: Key) -> object | None:
        """What the topology came to: see `Lens.routes`, `domain` and `scopes`."""
        return self._derived.get(key)

    def has_next_hop(self, network: str, address: str) -> bool:
        """Whether an endpoint has the address that a route leads to."""
        return bool(self._next_hops.get(f"{network}/{address}"))

    def mtu_bytes(self, network: Network) -> int | None:
        """The largest packet of `network` that every living host carries; None while no host is known."""
        limits = [size for size in (network.mtu_bytes, self._room[network.transport]) if size is not None]
        return min(limits, default=None)

    def subscribers(self, network: str) -> Mapping[str, set[str]]:
        """Multicast address -> ids of the stations of `network` that want its packets."""
        groups: dict[str, set[str]] = {}
        for id, station in self.members("subscribers", network).items():
            if isinstance(station, Station):
                for address in station.multicast:
                    groups.setdefault(address, set()).add(id)
        return groups

    # -- what needs a number of this host

    def groups_wanted(self, networks: Iterable[str]) -> Iterator[str]:
        """Owners in MULTICAST: the multicast groups of `networks` with subscribers."""
        for network in networks:
            for address in self.subscribers(network):
                yield f"{network}/{address}"

    def policies_wanted(self) -> Iterable[str]:
        """Owners in POLICY: what groups the ports of this host are in together."""
        return self._indexes.of_kind("policy")

    def policies_with(self, group: str) -> Iterable[str]:
        """Those of them that a group is part of."""
        return self._policies_with.get(group, ())

    def ranks(self, remote: str) -> frozenset[int]:
        """The ranks at which rules refer to a group or address group."""
        rules = self.members("uses", remote).values()
        return frozenset(rule.rank for rule in rules if isinstance(rule, Rule))

    def conjunctions_wanted(self) -> Iterator[str]:
        """Owners in CONJUNCTION: what sets rules refer to, by rank."""
        for remote in self._indexes.of_kind("uses"):
            for rank in self.ranks(remote):
                yield f"{remote}@{rank}"


def _as_prefixes(address: str) -> set[str]:
    """The prefix that is this address alone."""
    return {f"{address}/128" if ":" in address else f"{address}/32"}


def _remotes(*facets: Facet | None) -> set[str]:
    """The sets that rules refer to."""
    return {each.remote_set for each in facets if isinstance(each, Rule) and each.remote_set is not None}


def _addresses(station: Station | None) -> set[str]:
    return set() if station is None else {f"{station.network}/{address}" for address in station.ips}


_STATION_FACETS: frozenset[type[Facet]] = frozenset({Port, Attachment, Subscription, Claim, Endpoint})
_ROUTER_FACETS: frozenset[type[Facet]] = frozenset({Router, RouterInterface, Peering})
_KIND_OF: dict[type[Facet], str] = {
    Network: "network",
    Subnet: "subnet",
    LiveHost: "host",
    Tunnels: "tunnels",
    Router: "router",
    RouterInterface: "interface",
    Peering: "peering",
    Group: "group",
    Rule: "rule",
    AddressEntry: "address entry",
    Number: "number",
}
