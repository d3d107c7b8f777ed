"""What routers join, worked out of what they, their interfaces and their peerings say. Pure.

    routes    of a router: prefix -> the subnets it leads to. Routers that lead to other routers are followed
              to the end, so that a packet is routed once, on the sender's host
    joined    networks whose endpoints can reach each other by routers
    domain    one name for each set of joined networks: within it an address means one endpoint

Rule 1: two routers are joined when each says so of the other; that reaches the other's subnets, not further.
Rule 2: a static route by way of another router takes what that one has of the prefix, and no more.
Rule 3: longest prefix first; of equal prefixes own subnets, then static routes, then those of joined routers.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

import msgspec

from plait.model import checks
from plait.model.routers import Peering, Router, RouterInterface, StaticRoute


class Hop(msgspec.Struct, frozen=True, gc=False):
    """Out by `interface`, to `address`; None: to whoever the packet is for."""

    interface: RouterInterface
    address: str | None = None


class Route(msgspec.Struct, frozen=True, gc=False):
    """Where a router sends packets for `prefix`: by one of `hops` (several: ECMP; none: nowhere)."""

    prefix: str
    hops: tuple[Hop, ...]

    @property
    def bits(self) -> int:
        """The prefix's length."""
        return span(self.prefix).bits


class Span(NamedTuple):
    """A prefix as numbers."""

    version: int
    first: int
    bits: int

    def covers(self, other: "Span") -> bool:
        """Whether every address of `other` is one of this."""
        shift = (32 if self.version == 4 else 128) - self.bits
        return (
            self.version == other.version
            and self.bits <= other.bits
            and self.first >> shift == other.first >> shift
        )

    def overlaps(self, other: "Span") -> bool:
        return self.covers(other) or other.covers(self)


@lru_cache(maxsize=65536)
def span(prefix: str) -> Span:
    """A prefix, or an address, as numbers."""
    network = checks.prefix(prefix)
    return Span(network.version, int(network.network_address), network.prefixlen)


_EVERYTHING = (Span(4, 0, 0), Span(6, 0, 0))
_Path = tuple[tuple[str, Span], ...]
"""The routers that a packet came by, each with the prefix of the route that it left by."""
_Loops = list[tuple[str, ...]]


def _narrower(one: Span, other: Span) -> Span:
    """Of two that overlap the one inside."""
    return one if one.bits >= other.bits else other


def _knows_better(known: Iterable[Span], mine: Span, narrow: Span) -> bool:
    """Whether a longer prefix than `mine` decides on all of `narrow`."""
    return any(other.bits > mine.bits and other.covers(narrow) for other in known)


class Topology:
    """See the module's docstring; everything is worked out once."""

    def __init__(
        self,
        routers: Mapping[str, Router],
        interfaces: Iterable[RouterInterface],
        peerings: Iterable[Peering],
    ) -> None:
        self.routers = routers
        self._of_router: dict[str, list[RouterInterface]] = {}
        self._of_network: dict[str, list[RouterInterface]] = {}
        for interface in sorted(interfaces, key=lambda each: each.id):
            self._of_router.setdefault(interface.router, []).append(interface)
            self._of_network.setdefault(interface.network, []).append(interface)
        self._said = said = {(peering.router, peering.peer) for peering in peerings}
        self._peers: dict[str, list[str]] = {}
        for router, peer in sorted(said):
            if (peer, router) in said:
                self._peers.setdefault(router, []).append(peer)
        self._routes: dict[str, tuple[Route, ...]] = {}
        self._joined = self._join()
        self._alike: dict[frozenset[str], list[str]] = {}
        for network in sorted(self._joined):
            self._alike.setdefault(self._joined[network], []).append(network)

    def peers(self, router: str) -> tuple[str, ...]:
        """The routers that it is joined to: both sides say so."""
        return tuple(self._peers.get(router, ()))

    def one_sided(self) -> Iterator[tuple[str, str]]:
        """(who wants it, whom with): routers that are not joined, because only one of them says so."""
        return ((one, other) for one, other in self._said if (other, one) not in self._said)

    def interfaces(self, router: str) -> tuple[RouterInterface, ...]:
        """The router's own."""
        return tuple(self._of_router.get(router, ()))

    def interfaces_on(self, network: str) -> tuple[RouterInterface, ...]:
        """Those of all routers that are on a network."""
        return tuple(self._of_network.get(network, ()))

    def routes(self, router: str) -> tuple[Route, ...]:
        """Every prefix that the router knows a way to, each once."""
        if router not in self._routes:
            routes: dict[str, Route] = {}
            for everything in _EVERYTHING:
                found = self._resolve(router, (), everything, [])
                routes |= {prefix: each for prefix, each in found.items() if everything.covers(span(prefix))}
            self._routes[router] = tuple(routes.values())
        return self._routes[router]

    def answers_for(self, router: str) -> tuple[RouterInterface, ...]:
        """The interfaces whose addresses answer in this router: its own, and those where its routes lead."""
        interfaces = {each.id: each for each in self.interfaces(router)}
        for route in self.routes(router):
            for hop in route.hops:
                interfaces[hop.interface.id] = hop.interface
        return tuple(interfaces[id] for id in sorted(interfaces))

    def networks(self) -> frozenset[str]:
        """Every network that a router is on."""
        return frozenset(self._of_network)

    def joined(self, network: str) -> frozenset[str]:
        """The network itself, and those that its packets reach by routers, or come from."""
        return self._joined.get(network) or frozenset((network,))

    def domain(self, network: str, known: Container[str] | None = None) -> str:
        """The first of the networks that are joined to just the same ones: a name for that set.

        With `known`, the first of those, and the network itself if there is none.
        """
        alike = self._alike.get(self.joined(network), ())
        return next((each for each in alike if known is None or each in known), network)

    # -- what must not be

    def overlap(self, router: str) -> tuple[RouterInterface, RouterInterface] | None:
        """Two subnets that the router reaches directly and that share addresses, if there are any."""
        reached = list(self.interfaces(router))
        for peer in self.peers(router):
            reached.extend(self.interfaces(peer))
        seen: list[tuple[Span, RouterInterface]] = []
        for interface in sorted(reached, key=lambda each: span(each.prefix)):
            mine = span(interface.prefix)
            # Sorted, so only the last that is still open can cover this one; equal ones are neighbours.
            while seen and not seen[-1][0].covers(mine):
                seen.pop()
            if seen:
                return seen[-1][1], interface
            seen.append((mine, interface))
        return None

    def loop(self, router: str) -> tuple[str, ...] | None:
        """The routers that a packet goes round, from `router` on, if a route leads back to where it was."""
        loops: _Loops = []
        for everything in _EVERYTHING:
            self._resolve(router, (), everything, loops)
        return loops[0] if loops else None

    # -- how it is worked out

    def _resolve(self, router: str, path: _Path, within: Span, loops: _Loops) -> dict[str, Route]:
        """The routes of `router` for what overlaps `within`; `path` is how a packet came there."""
        routes = {each.prefix: Route(each.prefix, (Hop(each),)) for each in self.interfaces(router)}
        known = self._known(router)
        for static in self._statics(router):
            mine = span(static.destination)
            asked = _narrower(mine, within)
            # Where this router knows better, nobody else is asked.
            if not mine.overlaps(within) or _knows_better(known, mine, asked):
                continue
            for route in self._follow(router, static, (*path, (router, mine)), asked, loops):
                if not _knows_better(known, mine, span(route.prefix)):
                    routes.setdefault(route.prefix, route)
        for each in self._of_peers(router):
            routes.setdefault(each.prefix, Route(each.prefix, (Hop(each),)))
        return routes

    def _statics(self, router: str) -> Iterator[StaticRoute]:
        """The routes that lead somewhere: by way of a router that is joined, or out of an own subnet; not for
        an own subnet, which comes first."""
        peers, own = self.peers(router), [span(each.prefix) for each in self.interfaces(router)]
        for static in self.routers[router].routes if router in self.routers else ():
            if span(static.destination) in own:
                continue
            hops = [span(address) for address in static.next_hops]
            if static.router in peers or any(prefix.covers(hop) for hop in hops for prefix in own):
                yield static

    def _of_peers(self, router: str) -> Iterator[RouterInterface]:
        for peer in self.peers(router):
            yield from self.interfaces(peer)

    def _known(self, router: str) -> list[Span]:
        """Every prefix that the router itself decides on."""
        prefixes = [each.prefix for each in self.interfaces(router)]
        prefixes += [each.destination for each in self._statics(router)]
        prefixes += [each.prefix for each in self._of_peers(router)]
        return [span(prefix) for prefix in prefixes]

    def _follow(
        self, router: str, static: StaticRoute, path: _Path, within: Span, loops: _Loops
    ) -> Iterator[Route]:
        """A static route, to the subnets where it ends."""
        if static.router is not None:
            yield from self._by_way_of(static.router, static, path, within, loops)
            return
        hops: list[Hop] = []
        for address in static.next_hops:
            asked = span(address)
            own = next((each for each in self.interfaces(router) if span(each.prefix).covers(asked)), None)
            if own is None:
                continue
            other = next((each for each in self.interfaces_on(own.network) if each.address == address), None)
            if other is None:
                hops.append(Hop(own, address))
            elif len(static.next_hops) == 1:
                yield from self._by_way_of(other.router, static, path, within, loops)
        if hops:
            yield Route(static.destination, tuple(hops))

    def _by_way_of(
        self, other: str, static: StaticRoute, path: _Path, within: Span, loops: _Loops
    ) -> Iterator[Route]:
        came_by = dict(path)
        if other in came_by:
            if not _knows_better(self._known(other), came_by[other], within):
                loops.append((*came_by, other))
            yield Route(static.destination, ())
            return
        wanted = span(static.destination)
        rest, covering = Route(static.destination, ()), -1
        for route in self._resolve(other, path, within, loops).values():
            theirs = span(route.prefix)
            if wanted.covers(theirs):
                yield route
            elif theirs.covers(wanted) and theirs.bits > covering:
                rest, covering = Route(static.destination, route.hops), theirs.bits
        yield rest

    def _join(self) -> dict[str, frozenset[str]]:
        joined: dict[str, set[str]] = {network: {network} for network in self._of_network}
        for router, interfaces in self._of_router.items():
            reached = {hop.interface.network for route in self.routes(router) for hop in route.hops}
            for interface in interfaces:
                joined[interface.network] |= reached
                for network in reached:
                    joined.setdefault(network, {network}).add(interface.network)
        return {network: frozenset(others) for network, others in joined.items()}
