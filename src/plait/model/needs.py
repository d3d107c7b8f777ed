"""What a host has to know of routers and networks, worked out of what it knows so far. Pure.

    own networks --on them--> near routers --peerings--> joined routers
                              near routers --static routes--> routers that these lead through, and so on
    topology --> joined networks

What is found names more: whoever follows what is needed and asks again ends at all of it.

Rule 1: a router is needed if packets of own networks are routed by it, or by its word.
Rule 2: where a route leads to an address, the network of that address is needed: a router may have it.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from plait.model.routers import Peering, Router, StaticRoute
from plait.model.topology import Span, span
from plait.model.view import View


class Place(NamedTuple):
    """A router's address on a network; None: it can't be told."""

    router: str
    address: str | None


class Needs(msgspec.Struct, frozen=True):
    """Ids. `joined` are the networks whose endpoints own ones may meet, `networks` those and a few more."""

    routers: frozenset[str]
    joined: frozenset[str]
    networks: frozenset[str]


def needs(view: View, places: Callable[[str], Iterable[Place]]) -> Needs:
    """What is needed as far as is known; `places` are the routers on a network."""
    own = frozenset(view.sets("ports of network"))
    search = _Search(view, places)
    for network in own:
        for place in places(network):
            search.lead_through(place.router, (Span(4, 0, 0), Span(6, 0, 0)))
    joined = own.union(*(view.topology.joined(network) for network in own))
    return Needs(frozenset(search.routers), joined, joined | search.networks)


class _Search:
    """Routers found so far, and the networks of their next hops."""

    def __init__(self, view: View, places: Callable[[str], Iterable[Place]]) -> None:
        self._view = view
        self._places = places
        self._seen: set[tuple[str, Span]] = set()
        self.routers: set[str] = set()
        self.networks: set[str] = set()

    def lead_through(self, router: str, spans: Iterable[Span]) -> None:
        """Packets for `spans` come to `router`: find who else is asked about them."""
        waiting = [(router, within) for within in spans]
        while waiting:
            at, within = waiting.pop()
            if (at, within) in self._seen:
                continue
            self._seen.add((at, within))
            self.routers.add(at)
            peers = self._peers(at)
            self.routers |= peers
            known = self._view.get(Router, at)
            for static in known.routes if known is not None else ():
                mine = span(static.destination)
                if mine.overlaps(within):
                    narrow = mine if mine.bits >= within.bits else within
                    waiting += ((other, narrow) for other in self._next(at, static, peers))

    def _peers(self, router: str) -> set[str]:
        """Those that it asked to be joined to; whether they agree is theirs to say."""
        members = self._view.members("peerings", router).values()
        return {peering.peer for peering in members if isinstance(peering, Peering)}

    def _next(self, router: str, static: StaticRoute, peers: set[str]) -> Iterable[str]:
        """The routers that a static route leads to."""
        if static.router is not None:
            return [static.router] if static.router in peers else []
        if len(static.next_hops) != 1:
            return []
        (address,) = static.next_hops
        hop = span(address)
        for interface in self._view.topology.interfaces(router):
            if span(interface.prefix).covers(hop):
                self.networks.add(interface.network)
                others = self._places(interface.network)
                return [place.router for place in others if place.address == address]
        return []
