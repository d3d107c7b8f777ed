"""What a network's routers say to its endpoints, and when they say it unasked.

One advertisement for every router on the network, with the subnets that it is on; one, without being a
router, for the subnets that no router is on.
"""

from collections.abc import Collection, Iterable, Iterator
from ipaddress import IPv6Network

import msgspec

from plait.model.entities import Ipv6Mode, Network, Subnet
from plait.model.routers import RouterInterface
from plait.services.assignment import search_of, servers_of
from plait.services.identity import link_local, service_mac
from plait.services.lease import default_router
from plait.wire.router_advertisement import Advertisement, Prefix

LONGEST_PAUSE_S, SHORTEST_PAUSE_S = 600.0, 200.0
"""Between unsolicited advertisements: RFC 4861, 6.2.1, MaxRtrAdvInterval and MinRtrAdvInterval."""
FIRST_PAUSE_S, FIRST_COUNT = 16.0, 3
"""The first few come sooner (RFC 4861, section 10), also after every change."""
ROUTER_LIFETIME_S = 1800
"""Three times the longest pause, so that two lost ones don't matter; DNS servers and routes count as long."""
PREFIXES_AT_ONCE = 16
MAX_ROUTES = 8


def advertisements_of(
    network: Network,
    subnets: Iterable[Subnet],
    interfaces: Iterable[RouterInterface],
    mtu_bytes: int | None,
    *,
    own: Collection[str],
) -> tuple[Advertisement, ...]:
    """All that is to be said to endpoints that have addresses of the subnets `own` (ids).

    Of other prefixes they learn that they are on the link, and not to make addresses of them, which port
    security would not let pass.
    """
    serving = {
        subnet.id: subnet
        for subnet in sorted(subnets, key=lambda each: each.id)
        if subnet.version == 6 and subnet.ipv6_mode is not Ipv6Mode.OFF
    }
    on_it = sorted((each for each in interfaces if each.subnet in serving), key=lambda each: each.id)
    by_router: dict[str, list[RouterInterface]] = {}
    for interface in on_it:
        by_router.setdefault(interface.router, []).append(interface)
    said: list[Advertisement] = []
    for feet in by_router.values():
        is_default = any(default_router(serving[each.subnet], on_it) == each.address for each in feet)
        router = Advertisement(
            mac=(mac := bytes.fromhex(feet[0].mac.replace(":", ""))),
            source=link_local(mac),
            lifetime_s=ROUTER_LIFETIME_S if is_default else 0,
            mtu_bytes=mtu_bytes,
            routes=_routes([serving[each.subnet] for each in feet], {each.address for each in feet}),
        )
        said += _filled(router, [serving[each.subnet] for each in feet], own)
    lonely = [subnet for subnet in serving.values() if all(each.subnet != subnet.id for each in on_it)]
    if lonely:
        mac = service_mac(network.id)
        said += _filled(Advertisement(mac=mac, source=link_local(mac), mtu_bytes=mtu_bytes), lonely, own)
    return tuple(said)


def farewells(before: Iterable[Advertisement], after: Iterable[Advertisement]) -> tuple[Advertisement, ...]:
    """What is to be taken back of what was said `before`: routers and prefixes that are there no more.

    Source: RFC 4861, 6.2.5 and 6.2.8 (a lifetime of 0).
    """
    routers = {each.mac for each in after}
    prefixes = {each.prefix for said in after for each in said.prefixes}
    taken_back = []
    for said in before:
        gone = tuple(
            msgspec.structs.replace(each, valid_s=0, preferred_s=0)
            for each in said.prefixes
            if each.prefix not in prefixes
        )
        if gone or said.mac not in routers:
            taken_back.append(
                msgspec.structs.replace(said, lifetime_s=0, prefixes=gone, extra_s=0)
                if said.mac not in routers
                else msgspec.structs.replace(said, prefixes=gone)
            )
    return tuple(taken_back)


def _filled(router: Advertisement, subnets: list[Subnet], own: Collection[str]) -> Iterator[Advertisement]:
    """What a router says of subnets; of many, in several that a receiver puts together (RFC 4861, 6.2.3)."""
    modes = {subnet.ipv6_mode for subnet in subnets if subnet.id in own}
    whole = msgspec.structs.replace(
        router,
        is_managed=Ipv6Mode.STATEFUL in modes,
        has_other=Ipv6Mode.STATELESS in modes,
        dns=servers_of(subnets, lambda subnet: subnet.dns),
        search=search_of(subnets),
        extra_s=ROUTER_LIFETIME_S,
    )
    prefixes = tuple(
        Prefix(IPv6Network(subnet.prefix), subnet.ipv6_mode.is_autonomous and subnet.id in own)
        for subnet in subnets
    )
    for at in range(0, len(prefixes), PREFIXES_AT_ONCE):
        yield msgspec.structs.replace(whole, prefixes=prefixes[at : at + PREFIXES_AT_ONCE])


def _routes(subnets: Iterable[Subnet], addresses: Collection[str]) -> tuple[IPv6Network, ...]:
    """Those of the subnets' routes that lead by this router; of others none can be told (RFC 4191)."""
    routes = dict.fromkeys(
        IPv6Network(route.destination)
        for subnet in subnets
        for route in subnet.routes
        if route.next_hop in addresses and route.destination != "::/0"
    )
    return tuple(routes)[:MAX_ROUTES]


class Schedule:
    """When a network's advertisements go out unasked (RFC 4861, 6.2.4). Time and jitter are arguments."""

    def __init__(self) -> None:
        self._sent = 0
        self.due = 0.0

    def changed(self, now: float) -> None:
        """What is said differs from now on, or there is somebody new: say it at once, and soon again."""
        self._sent = 0
        self.due = now

    def sent(self, now: float, jitter: float) -> None:
        """It was said at `now`; `jitter` is random, 0 to 1."""
        self._sent += 1
        pause_s = SHORTEST_PAUSE_S + jitter * (LONGEST_PAUSE_S - SHORTEST_PAUSE_S)
        self.due = now + (min(pause_s, FIRST_PAUSE_S) if self._sent < FIRST_COUNT else pause_s)
