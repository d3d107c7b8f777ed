"""Which way does a packet take, from its sender to a network and a next hop there? Over entities alone.

first hop   what the endpoint itself does: to the target, if it is on a subnet of its own, or to a gateway
route       what the gateway's router does: the longest prefix of its routes
"""

from collections.abc import Iterable, Mapping

import msgspec

from plait.model.checks import ip
from plait.model.entities import Network, Port, Subnet
from plait.model.routers import Router, RouterInterface
from plait.model.topology import Hop, Route, Topology, span

_NOT_ROUTED = ("169.254.0.0/16", "224.0.0.0/4", "fe80::/10", "ff00::/8")


class FirstHop(msgspec.Struct, frozen=True):
    """Where an endpoint sends to: `gateway`, or the target itself (None). `reason`: why it can't."""

    gateway: RouterInterface | None = None
    reason: str = ""
    note: str = ""


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """Where a packet ends up. `hops` are (network, address that it goes to there); several: any of them.

    `router` and `route` are None where none is needed. `is_answered`: the router itself is the target.
    """

    router: Router | None = None
    route: Route | None = None
    hops: tuple[tuple[str, str], ...] = ()
    is_answered: bool = False
    reason: str = ""


def first_hop(
    port: Port,
    source: str,
    target: str,
    *,
    subnets: Iterable[Subnet],
    interfaces: Iterable[RouterInterface],
    is_neighbour: bool,
) -> FirstHop:
    """What the endpoint at `port` does with a packet from its address `source`.

    `subnets` and `interfaces` are those of its network; `is_neighbour`: the target is in it, too.
    """
    wanted = span(target)
    of_port = {fixed.subnet for fixed in port.addresses}
    own = [each for each in subnets if each.id in of_port and each.version == wanted.version]
    if any(span(each.prefix).covers(wanted) for each in own):
        return FirstHop()
    home = next((each for each in own if span(each.prefix).covers(span(source))), None)
    if home is None:
        return FirstHop(reason=f"{source} is in no subnet of port {port.name!r}, so it has no gateway")
    standing = [each for each in interfaces if each.subnet == home.id]
    gateway = _gateway(home, standing, target)
    if gateway is not None:
        return FirstHop(gateway)
    if is_neighbour:
        note = f"{target} lies outside {home.prefix}: the sender needs a route of its own there"
        return FirstHop(note=note)
    if standing:
        return FirstHop(
            reason=f"the gateway of subnet {home.prefix} is {home.gateway}, where no router is: "
            f"the one there is at {standing[0].address}"
        )
    return FirstHop(
        reason=f"{target} lies outside {home.prefix}, and no router is on that subnet: "
        f"'plait router interface add ROUTER {home.name}' puts one on it"
    )


def _gateway(home: Subnet, standing: list[RouterInterface], target: str) -> RouterInterface | None:
    """IPv4: as the subnet, or a route that its endpoints are told of, says. IPv6: any, they advertise."""
    told = [
        (span(each.destination).bits, each.next_hop)
        for each in home.routes
        if span(each.destination).covers(span(target))
    ]
    address = max(told)[1] if told else home.gateway
    exact = next((each for each in standing if address is None or ip(each.address) == ip(address)), None)
    return exact if exact is not None or home.version == 4 else next(iter(standing), None)


def way(
    topology: Topology,
    networks: Mapping[str, Network],
    port: Port,
    gateway: RouterInterface | None,
    target: str,
) -> Way:
    """Where a packet to `target` goes that the endpoint at `port` sends to `gateway` (None: to the target).

    Names in reasons are those of routers.
    """
    if gateway is None:
        return Way(hops=((port.network, target),))
    router = topology.routers.get(gateway.router)
    if router is None:
        return Way(reason=f"router {gateway.router} is not known")
    if any(each.address == target for each in topology.answers_for(router.id)):
        return Way(router=router, is_answered=True)
    wanted = span(target)
    if any(span(prefix).covers(wanted) for prefix in _NOT_ROUTED):
        return Way(router=router, reason=f"{target} is not routed: it means something on its own link only")
    known = [each for each in topology.routes(router.id) if span(each.prefix).covers(wanted)]
    if not known:
        return Way(router=router, reason=_no_route(topology, router, target))
    route = max(known, key=lambda each: each.bits)
    hops = tuple(
        (hop.interface.network, hop.address or target) for hop in route.hops if _is_known(hop, networks)
    )
    if not hops:
        reason = f"route {route.prefix} of router {router.name!r} leads to no subnet"
        return Way(router=router, route=route, reason=reason)
    return Way(router=router, route=route, hops=hops)


def _is_known(hop: Hop, networks: Mapping[str, Network]) -> bool:
    return hop.interface.network in networks


def _no_route(topology: Topology, router: Router, target: str) -> str:
    """Also names a router that would have one, if both sides agreed to be joined."""
    for one, other in sorted(topology.one_sided()):
        far = other if router.id == one else one
        if router.id not in (one, other) or not _is_on_subnet_of(topology, far, target):
            continue
        asking, asked = topology.routers.get(one), topology.routers.get(other)
        if asking is not None and asked is not None:
            return (
                f"router {router.name!r} has no route to {target}: router {asking.name!r} wants to be joined "
                f"to {asked.name!r}, which does not say the same yet: {_agreeing(asked, asking)}"
            )
    return f"router {router.name!r} has no route to {target}"


def _is_on_subnet_of(topology: Topology, router: str, target: str) -> bool:
    return any(span(each.prefix).covers(span(target)) for each in topology.interfaces(router))


def _agreeing(asked: Router, asking: Router) -> str:
    """The command that joins them."""
    if asked.project == asking.project:
        return f"'plait router peer add {asked.name} {asking.name}'"
    return f"'plait router peer add {asked.name} {asking.project}/{asking.name} -p {asked.project}'"
