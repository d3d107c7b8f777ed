"""A router's routes: on the sender's host a packet is routed once, to the network where it ends.

to an address of its own, or of another router on a subnet that it reaches --> LOCAL
a subnet          --> its network, by the interface there; the next hop is whom the packet is for
a static route    --> its next hop, an endpoint of a subnet of the router's
several next hops --> a LINK by a hash of the connection; NEXT_HOP says where that leads

Only next hops that an endpoint has are used; when a route has none left, its senders are told.
"""

from collections.abc import Iterator

from plait.apps.router_rules import LOWEST_ROUTE_PRIORITY, NO_HOST, NO_ROUTE, OWN_ADDRESS_PRIORITY
from plait.flows.address_numbers import ipv4_number, ipv6_number, mac_number, prefix_match
from plait.flows.flow import Flow, flow
from plait.flows.pipeline import Table
from plait.flows.registers import LINK, NETWORK, NEXT_HOP, NEXT_HOP_V6, OVERSIZE, ROUTER
from plait.model.entities import Network
from plait.model.lens import Lens
from plait.model.topology import Hop, Route
from plait.wire.internet import ETHERNET_HEADER_BYTES
from plait.wire.openflow.actions import (
    apply,
    check_pkt_larger,
    dec_ttl,
    goto,
    instructions,
    move,
    multipath,
    set_field,
)
from plait.wire.openflow.oxm import match

LINKS_PER_HOP = 4
"""So that several next hops share what one that is gone had; the others keep what they have."""

_TO_LOCAL = goto(Table.LOCAL)
_TO_NEXT_HOP = goto(Table.NEXT_HOP)
_TO_NEIGHBOUR = goto(Table.NEIGHBOUR)


def router(lens: Lens, id: str) -> Iterator[Flow]:
    """All of one router's routes, of both families."""
    router = lens.router(id)
    if router is None:
        return
    interfaces = lens.answers_for(id)
    # Of joined routers much is known here; their packets begin elsewhere.
    if not any(lens.takes_part(each.network) for each in interfaces if each.router == id):
        return
    of_router = ROUTER.is_(router.vni)
    largest_bytes = 0
    for interface in interfaces:
        # Another router on the subnet has no station either that it could be sent to.
        others = lens.interfaces_on(interface.network)
        for address in (each.address for each in others if each.subnet == interface.subnet):
            own = match(**of_router, **prefix_match(address, "dst"))
            yield flow(Table.ROUTE, OWN_ADDRESS_PRIORITY, own, _TO_LOCAL)
        network = lens.network(interface.network) if interface.router == id else None
        if network is not None:
            largest_bytes = max(largest_bytes, lens.mtu_bytes(network) or 0)
    for route in lens.routes(id):
        yield from _route(lens, of_router, route, largest_bytes)


def _route(
    lens: Lens, of_router: dict[str, int | tuple[int, int]], route: Route, largest_bytes: int
) -> Iterator[Flow]:
    priority = LOWEST_ROUTE_PRIORITY + route.bits
    destination = prefix_match(route.prefix, "dst")
    asked = match(**of_router, **destination)
    known = [
        (hop, network) for hop in route.hops if (network := lens.network(hop.interface.network)) is not None
    ]
    ways = [_way(lens, hop, network, largest_bytes) if _exists(lens, hop) else None for hop, network in known]
    standing = [way for way in ways if way is not None]
    if not route.hops:
        yield flow(Table.ROUTE, priority, asked, NO_ROUTE)
    elif not known:
        # It is about to be known; meanwhile no wider route may take its packets elsewhere.
        yield flow(Table.ROUTE, priority, asked, b"")
    elif not standing:
        yield flow(Table.ROUTE, priority, asked, NO_HOST)
    elif len(standing) == 1:
        yield flow(Table.ROUTE, priority, asked, instructions(apply(dec_ttl(), standing[0]), _TO_NEIGHBOUR))
    else:
        links = _dealt(ways, standing)
        chosen = multipath(len(links), LINK.field, LINK.offset, LINK.bits)
        yield flow(Table.ROUTE, priority, asked, instructions(apply(dec_ttl(), chosen), _TO_NEXT_HOP))
        for number, way in enumerate(links):
            link = match(**of_router, **LINK.is_(number), **destination)
            yield flow(Table.NEXT_HOP, priority, link, instructions(apply(way), _TO_NEIGHBOUR))


def _exists(lens: Lens, hop: Hop) -> bool:
    return hop.address is None or lens.has_next_hop(hop.interface.network, hop.address)


def _dealt(ways: list[bytes | None], standing: list[bytes]) -> list[bytes]:
    """Every link's way: its own, or in place of one that is gone each of the others in turn."""
    return [way or standing[turn % len(standing)] for turn in range(LINKS_PER_HOP) for way in ways]


def _way(lens: Lens, hop: Hop, network: Network, largest_bytes: int) -> bytes:
    """The actions that take a packet into the hop's network."""
    is_v6 = hop.interface.version == 6
    if hop.address is not None:
        next_hop = (
            NEXT_HOP_V6.set(ipv6_number(hop.address)) if is_v6 else NEXT_HOP.set(ipv4_number(hop.address))
        )
    elif is_v6:
        next_hop = move("ipv6_dst", NEXT_HOP_V6.field, 128)
    else:
        next_hop = move("ipv4_dst", NEXT_HOP.field, 32)
    actions = next_hop + NETWORK.set(network.vni) + set_field("eth_src", mac_number(hop.interface.mac))
    mtu_bytes = lens.mtu_bytes(network)
    # Looking at the size costs the switch a second way through the tables: only where it can matter.
    if mtu_bytes is not None and mtu_bytes < largest_bytes:
        actions += check_pkt_larger(mtu_bytes + ETHERNET_HEADER_BYTES, OVERSIZE.field, OVERSIZE.offset)
    return actions
