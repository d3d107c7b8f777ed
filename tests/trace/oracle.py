"""What must become of a packet, by what Plait promises, in the most stupid way that is right.

Nothing of how Plait works it out is used here, only what things are: no topology, no apps, no evaluator. A
packet is asked about hop by hop, rules are looked at one after the other.

    route     longest prefix; of equal ones own subnets, then static routes, then subnets of joined routers
    joined    two routers that both say so: each reaches the other's subnets, and nothing behind them
    static    to a joined router, or to a router at the next hop: as that one has it; else to an endpoint
    policy    of the rules that match the highest priority decides, of equal ones deny; else the defaults
    group     who is in it: addresses of its ports in networks that routers join with the one asked about
    answer    passes where what it answers would
"""

from collections.abc import Iterable, Iterator
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

import msgspec

from plait.model.entities import Port, Subnet
from plait.model.policy import Action, Direction, Protocol, Rule
from plait.model.routers import RouterInterface

if TYPE_CHECKING:
    from .worlds import World

Place = tuple[str, str]
"""A network, and an address in it that a packet goes to."""

OWN, STATIC, JOINED = range(3)
"""Kinds of routes, the first is the best."""


class Try(msgspec.Struct, frozen=True, kw_only=True):
    """The first packet of a connection, from port `sender`."""

    sender: str
    source: str
    target: str
    protocol: Protocol
    number: int = 0
    icmp_type: int = 0
    icmp_code: int = 0


class Oracle:
    """See above. Fates are "to PORT", or where a packet is lost: "egress", "way", "ingress", "itself"."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self._joined: dict[str, set[str]] = {}

    def fates(self, attempt: Try) -> frozenset[str]:
        """What may become of it; more than one where several ways are possible."""
        sender = self.world.ports[attempt.sender]
        return self._fates(sender, attempt.source, attempt.target, attempt, answers=False)

    def fates_of_answer(self, answerer: Port, attempt: Try) -> frozenset[str]:
        """The same of what `answerer`, which has the target's address, sends back."""
        return self._fates(answerer, attempt.target, attempt.source, attempt, answers=True)

    def _fates(
        self, sender: Port, source: str, target: str, attempt: Try, *, answers: bool
    ) -> frozenset[str]:
        outward = Direction.INGRESS if answers else Direction.EGRESS
        inward = Direction.EGRESS if answers else Direction.INGRESS
        if not self.allows(sender, outward, attempt):
            return frozenset({"egress"})
        places = self.places(sender, source, target)
        met = {port.id for network, address in places for port in self.holders({network}, address)}
        if not met:
            return frozenset({"way"})
        return frozenset(self._at_the_end(sender, self.world.ports[id], inward, attempt) for id in met)

    def _at_the_end(self, sender: Port, receiver: Port, inward: Direction, attempt: Try) -> str:
        if not self.allows(receiver, inward, attempt):
            return "ingress"
        return "itself" if receiver.id == sender.id else f"to {receiver.id}"

    def holders(self, networks: Iterable[str], address: str) -> list[Port]:
        """The ports in these networks that have an address and are plugged in."""
        return [
            port
            for port in self.world.ports.values()
            if port.host is not None
            and port.network in networks
            and address in (*port.ips, *self.world.claims.get(port.id, ()))
        ]

    # -- the way

    def places(self, sender: Port, source: str, target: str) -> set[Place]:
        """Where a packet may go to in the end."""
        gateway = self.gateway(sender, source, target)
        if gateway is not None:
            return self.routed(gateway.router, target)
        is_neighbour = bool(self.holders({sender.network}, target))
        return {(sender.network, target)} if is_neighbour else set()

    def gateway(self, sender: Port, source: str, target: str) -> RouterInterface | None:
        """Whom the endpoint gives what is not for its own subnets."""
        own = [self.world.subnets[fixed.subnet] for fixed in sender.addresses]
        if any(_has(subnet, target) for subnet in own):
            return None
        home = next(subnet for subnet in own if _has(subnet, source))
        there = (each for each in self.world.interfaces if each.subnet == home.id)
        return next((each for each in there if each.address == home.gateway), None)

    def routed(
        self, router: str, target: str, came_by: tuple[str, ...] = (), *, anybody: bool = False
    ) -> set[Place]:
        """Where a router sends what is for `target`; with `anybody` also to next hops that nobody has.

        Raises RecursionError when it goes round.
        """
        if router in came_by:
            raise RecursionError(f"{target} goes round: {(*came_by, router)}")
        came_by = (*came_by, router)
        candidates = [each for each in self._routes(router) if ip_address(target) in ip_network(each[0])]
        if not candidates:
            return set()
        _, kind, by = max(candidates, key=lambda each: (ip_network(each[0]).prefixlen, -each[1]))
        if kind != STATIC:
            return {(by.network, target)}
        if by.router is not None:
            return self.routed(by.router, target, came_by, anybody=anybody)
        found: set[Place] = set()
        for hop in by.next_hops:
            mine = self._interface_to(router, hop)
            if mine is None:
                continue
            there = [
                each for each in self.world.interfaces if each.network == mine.network and each.address == hop
            ]
            if there and len(by.next_hops) == 1:
                return self.routed(there[0].router, target, came_by, anybody=anybody)
            if not there and (anybody or self.holders({mine.network}, hop)):
                found.add((mine.network, hop))
        return found

    def _routes(self, router: str) -> Iterator[tuple[str, int, Any]]:
        """(prefix, kind, the interface or static route)."""
        joined = self.joined_routers(router)
        for each in self.world.interfaces:
            if each.router == router:
                yield each.prefix, OWN, each
            elif each.router in joined:
                yield each.prefix, JOINED, each
        for static in self.world.routers[router].routes:
            if static.router in joined or any(self._interface_to(router, hop) for hop in static.next_hops):
                yield static.destination, STATIC, static

    def _interface_to(self, router: str, address: str) -> RouterInterface | None:
        own = (each for each in self.world.interfaces if each.router == router)
        return next((each for each in own if ip_address(address) in ip_network(each.prefix)), None)

    def joined_routers(self, router: str) -> set[str]:
        """Those that want it as it wants them."""
        said = {(each.router, each.peer) for each in self.world.peerings}
        return {other for one, other in said if one == router and (other, one) in said}

    # -- which networks are joined

    def joined_networks(self, network: str) -> set[str]:
        """Those that its packets can be routed to, those that some can come from, and itself."""
        if not self._joined:
            reached = {each: self._reached(each) for each in self.world.networks}
            for one in self.world.networks:
                self._joined[one] = {
                    other
                    for other in self.world.networks
                    if one == other or other in reached[one] or one in reached[other]
                }
        return self._joined[network]

    def _reached(self, network: str) -> set[str]:
        routers = {each.router for each in self.world.interfaces if each.network == network}
        return {
            place
            for router in routers
            for address in self.landmarks()
            for place, _ in self.routed(router, address, anybody=True)
        }

    def landmarks(self) -> set[str]:
        """Addresses where routes begin and the first behind their end: between them nothing changes."""
        prefixes = {each.prefix for each in self.world.interfaces}
        prefixes |= {route.destination for router in self.world.routers.values() for route in router.routes}
        found: set[str] = set()
        for prefix in map(ip_network, prefixes):
            found.add(str(prefix[0]))
            if int(prefix[-1]) + 1 < 1 << prefix.max_prefixlen:
                found.add(str(prefix[-1] + 1))
        return found

    # -- policy

    def allows(self, port: Port, direction: Direction, attempt: Try) -> bool:
        """Whether the rules and defaults of a port's groups let a connection begin."""
        if not port.groups or not port.security:
            return True
        matching = [
            rule
            for rule in self.world.rules.values()
            if rule.group in port.groups
            and rule.direction is direction
            and self._matches(rule, port, direction, attempt)
        ]
        if matching:
            highest = max(rule.priority for rule in matching)
            return all(rule.action is Action.ALLOW for rule in matching if rule.priority == highest)
        groups = [self.world.groups[id] for id in port.groups]
        if direction is Direction.INGRESS:
            return all(group.ingress is Action.ALLOW for group in groups)
        return all(group.egress is Action.ALLOW for group in groups)

    def _matches(self, rule: Rule, port: Port, direction: Direction, attempt: Try) -> bool:
        other = ip_address(attempt.target if direction is Direction.EGRESS else attempt.source)
        if rule.family is not None and rule.family != other.version:
            return False
        if rule.protocol is not Protocol.ANY and rule.protocol is not attempt.protocol:
            return False
        if rule.ports is not None and attempt.number not in range(rule.ports[0], rule.ports[1] + 1):
            return False
        if rule.icmp_type is not None and rule.icmp_type != attempt.icmp_type:
            return False
        if rule.icmp_code is not None and rule.icmp_code != attempt.icmp_code:
            return False
        if rule.cidr is not None:
            return other in ip_network(rule.cidr)
        if rule.remote_group is not None:
            near = self.joined_networks(port.network)
            return any(rule.remote_group in each.groups for each in self.holders(near, str(other)))
        if rule.address_group is not None:
            entries = (each for each in self.world.entries if each.group == rule.address_group)
            return any(other in ip_network(each.prefix) for each in entries)
        return True


def _has(subnet: Subnet, address: str) -> bool:
    return ip_address(address) in ip_network(subnet.prefix)


def overlaps(world: "World") -> bool:
    """Whether some router would reach two subnets that share addresses."""
    oracle = Oracle(world)
    for router in world.routers:
        near = {router, *oracle.joined_routers(router)}
        prefixes = [ip_network(each.prefix) for each in world.interfaces if each.router in near]
        for number, one in enumerate(prefixes):
            if any(one.version == other.version and one.overlaps(other) for other in prefixes[:number]):
                return True
    return False


def goes_round(world: "World") -> bool:
    """Whether some packet would."""
    oracle = Oracle(world)
    try:
        for router in world.routers:
            for address in oracle.landmarks():
                oracle.routed(router, address, anybody=True)
    except RecursionError:
        return True
    return False
