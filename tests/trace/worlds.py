"""Random worlds: tenants that use the same addresses, routers between and inside them, groups and rules.

Small on purpose: few addresses, few ports, few priorities, so that rules overlap, routes compete, and tenants
are mistaken for each other wherever something can be mistaken. A world follows from its seed alone.
"""

import random
from collections.abc import Callable, Iterator
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TypeVar

import msgspec

from plait.intent.stored_view import Stored
from plait.model.checks import Invalid
from plait.model.entities import (
    AddressPair,
    Endpoint,
    FixedAddress,
    LiveHost,
    Network,
    Port,
    Subnet,
    Transport,
)
from plait.model.policy import PERSONAL, Action, AddressEntry, Direction, Group, Protocol, Rule
from plait.model.routers import Peering, Router, RouterInterface, StaticRoute

from .oracle import goes_round, overlaps
from .scene import VTEPS

PREFIXES = {
    4: ("10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/25", "10.0.2.128/25", "10.0.3.0/28"),
    6: ("fd00:0:0:0::/64", "fd00:0:0:1::/64", "fd00:0:0:2::/64"),
}
WIDER = {4: ("10.0.0.0/16", "10.0.2.0/24", "0.0.0.0/0"), 6: ("fd00::/32", "::/0")}
OUTSIDE = {4: "198.51.100.7", 6: "2001:db8::7"}
NUMBERS = (22, 53, 80, 443, 8080)
RANGES = ((80, 80), (22, 80), (443, 8080), (1, 1023), (0, 65535), (53, 53), (79, 443))
PRIORITIES = (0, 0, 1, 7, 1000)
PORTS_PER_HOST = 6
T = TypeVar("T")


class World(msgspec.Struct):
    """Everything that stands in it, by id where things have one."""

    hosts: dict[str, LiveHost] = {}
    networks: dict[str, Network] = {}
    subnets: dict[str, Subnet] = {}
    routers: dict[str, Router] = {}
    interfaces: list[RouterInterface] = []
    peerings: list[Peering] = []
    groups: dict[str, Group] = {}
    rules: dict[str, Rule] = {}
    entries: list[AddressEntry] = []
    ports: dict[str, Port] = {}
    claims: dict[str, tuple[str, ...]] = {}
    """What endpoints say that they have of their address pairs, by their ports."""

    def stored(self) -> Stored:
        """As it stands in the store, with what hosts say of their ports."""
        claims = [
            Endpoint(
                network=port.network,
                port=port.id,
                mac=port.mac,
                host=port.host,
                ips=(*port.ips, *self.claims.get(port.id, ())),
                groups=port.groups,
            )
            for port in self.ports.values()
            if port.host is not None
        ]
        return Stored(
            self.hosts,
            self.networks,
            self.ports,
            tuple(claims),
            self.subnets,
            self.routers,
            tuple(self.interfaces),
            tuple(self.peerings),
            self.groups,
            self.rules,
            tuple(self.entries),
        )


def random_world(seed: int) -> World:
    """The world of a seed."""
    chance = random.Random(f"world {seed}")
    world = World()
    for host in list(VTEPS)[: chance.choice((2, 2, 3))]:
        world.hosts[host] = LiveHost(name=host, vtep=VTEPS[host])
    for tenant in ("a", "b")[: chance.choice((1, 2, 2))]:
        _Tenant(world, chance, tenant).build()
    _peer(world, chance)
    _add_routes(world, chance)
    return world


class _Tenant:
    """One project's things; their ids begin with its letter."""

    def __init__(self, world: World, chance: random.Random, letter: str) -> None:
        self._world = world
        self._chance = chance
        self._letter = letter
        self._networks: list[str] = []
        self._groups: list[str] = []
        self._sets: list[str] = []

    def build(self) -> None:
        self._make_networks()
        self._make_routers()
        self._make_groups()
        self._make_ports()
        self._make_rules()

    def _make_networks(self) -> None:
        free = {version: list(prefixes) for version, prefixes in PREFIXES.items()}
        for number in range(self._chance.randint(1, 3)):
            id = f"{self._letter}net{number}"
            vni = len(self._world.networks) + 100
            transport = self._chance.choice(list(Transport))
            self._world.networks[id] = Network(id=id, name=id, vni=vni, transport=transport)
            self._networks.append(id)
            for version in self._chance.choice(((4,), (6,), (4, 6), (4, 6), (4, 4, 6))):
                if not free[version]:
                    continue
                prefix = free[version].pop(self._chance.randrange(len(free[version])))
                subnet = f"{id}s{len(self._world.subnets)}"
                canonical = str(ip_network(prefix))
                self._world.subnets[subnet] = Subnet(id=subnet, name=subnet, network=id, prefix=canonical)

    def _subnets(self) -> list[Subnet]:
        return [each for each in self._world.subnets.values() if each.network in self._networks]

    def _make_routers(self) -> None:
        for number in range(self._chance.choice((0, 1, 1, 2, 3))):
            id = f"{self._letter}r{number}"
            vni = 1000 + len(self._world.routers)
            self._world.routers[id] = Router(id=id, name=id, vni=vni)
            for subnet in self._subnets():
                if self._chance.random() < 0.6:
                    self._add_interface(id, subnet)

    def _add_interface(self, router: str, subnet: Subnet) -> None:
        there = [each for each in self._world.interfaces if each.subnet == subnet.id]
        if len(there) == 2:
            return
        network = ip_network(subnet.prefix)
        address = str(network[1] if not there else network[14])
        number = len(self._world.interfaces) + 1
        self._world.interfaces.append(
            RouterInterface(
                router=router,
                network=subnet.network,
                subnet=subnet.id,
                prefix=subnet.prefix,
                address=address,
                mac=f"02:00:00:00:ff:{number:02x}",
            )
        )
        if not there:
            self._world.subnets[subnet.id] = msgspec.structs.replace(subnet, gateway=address)

    def _make_groups(self) -> None:
        for number in range(self._chance.randint(1, 4)):
            id = f"{self._letter}g{number}"
            ingress = self._chance.choice((Action.DENY, Action.DENY, Action.ALLOW))
            egress = self._chance.choice((Action.ALLOW, Action.ALLOW, Action.DENY))
            self._world.groups[id] = Group(id=id, name=id, ingress=ingress, egress=egress)
            self._groups.append(id)
        for number in range(self._chance.randint(0, 2)):
            id = f"{self._letter}set{number}"
            self._sets.append(id)
            for prefix in {self._some_prefix() for _ in range(self._chance.randint(0, 3))}:
                self._world.entries.append(AddressEntry(group=id, prefix=prefix))

    def _some_prefix(self) -> str:
        """A subnet, a part of it, one address of it, or something wider or elsewhere."""
        version = self._chance.choice((4, 4, 6))
        network = ip_network(self._chance.choice(PREFIXES[version]))
        kind = self._chance.randrange(4)
        if kind == 0:
            return str(network)
        if kind == 1:
            return str(ip_network(self._chance.choice((*WIDER[version], OUTSIDE[version]))))
        longer = network.max_prefixlen if kind == 2 else network.max_prefixlen - self._chance.randrange(1, 4)
        return str(_within(network[self._chance.randrange(2, 8)], longer))

    def _make_ports(self) -> None:
        hosts = list(self._world.hosts)
        for network in self._networks:
            for number in range(self._chance.randint(1, 4)):
                host = self._chance.choice(hosts) if self._chance.random() < 0.95 else None
                on_host = [each for each in self._world.ports.values() if each.host == host]
                if host is not None and len(on_host) >= PORTS_PER_HOST:
                    continue
                self._make_port(network, number, host)

    def _make_port(self, network: str, number: int, host: str | None) -> None:
        id = f"{network}p{number}"
        groups = self._chance.sample(self._groups, min(len(self._groups), self._chance.choice((0, 1, 1, 2))))
        if self._chance.random() < 0.2:
            own = Group(id=PERSONAL + id, name=PERSONAL + id, ingress=Action.ALLOW, egress=Action.ALLOW)
            self._world.groups[own.id] = own
            self._groups.append(own.id)
            groups.append(own.id)
        addresses = [
            FixedAddress(subnet.id, str(ip_network(subnet.prefix)[2 + number]))
            for subnet in self._world.subnets.values()
            if subnet.network == network and self._chance.random() < 0.9
        ]
        pairs = self._random_pairs(id, number, addresses)
        self._world.ports[id] = Port(
            id=id,
            name=id,
            network=network,
            mac=f"02:00:00:00:00:{number + 1:02x}",
            addresses=tuple(addresses),
            host=host,
            security=self._chance.random() < 0.93,
            groups=tuple(sorted(groups)),
            address_pairs=pairs,
        )

    def _random_pairs(self, port: str, number: int, addresses: list[FixedAddress]) -> tuple[AddressPair, ...]:
        """One more address that it may have, and mostly says that it has."""
        if not addresses or self._chance.random() > 0.2:
            return ()
        subnet = self._world.subnets[self._chance.choice(addresses).subnet]
        network = ip_network(subnet.prefix)
        address = str(network[8 + number])
        if self._chance.random() < 0.7:
            self._world.claims[port] = (address,)
        return (AddressPair(prefix=f"{address}/{network.max_prefixlen}"),)

    def _make_rules(self) -> None:
        for group in self._groups:
            for number in range(self._chance.choice((0, 1, 2, 3, 5))):
                rule = _retried(partial(self._random_rule, group, f"{group}x{number}"))
                self._world.rules[rule.id] = rule

    def _random_rule(self, group: str, id: str) -> Rule:
        chance = self._chance
        protocol = chance.choice((*Protocol, Protocol.ANY, Protocol.TCP, Protocol.ICMP))
        is_icmp = protocol is Protocol.ICMP and chance.random() < 0.5
        remote: dict[str, str] = {}
        kind = chance.randrange(5)
        if kind == 1:
            remote["cidr"] = self._some_prefix()
        elif kind in (2, 3):
            remote["remote_group"] = chance.choice(self._groups)
        elif kind == 4 and self._sets:
            remote["address_group"] = chance.choice(self._sets)
        return Rule(
            id=id,
            name=id,
            group=group,
            direction=chance.choice(list(Direction)),
            action=chance.choice((Action.ALLOW, Action.ALLOW, Action.DENY)),
            priority=chance.choice(PRIORITIES),
            family=chance.choice((None, None, 4, 6)),
            protocol=protocol,
            ports=chance.choice(RANGES) if protocol.has_ports and chance.random() < 0.7 else None,
            icmp_type=chance.choice((0, 8, 8, 128, 128)) if is_icmp else None,
            icmp_code=chance.choice((None, 0, 1, 1)) if is_icmp else None,
            **remote,
        )


def _within(address: object, bits: int) -> IPv4Network | IPv6Network:
    return ip_network(f"{address}/{bits}", strict=False)


def _retried(make: Callable[[], T]) -> T:
    """What is made at last without breaking a rule of the model."""
    while True:
        try:
            return make()
        except Invalid:
            continue


def _peer(world: World, chance: random.Random) -> None:
    """Words of one side and of both, as long as nobody would reach two subnets that overlap."""
    for one in world.routers:
        for other in world.routers:
            if one < other and chance.random() < 0.5:
                sides = chance.choice(((one, other), (other, one), None, None, None))
                wanted = [Peering(router=sides[0], peer=sides[1])] if sides else _both(one, other)
                world.peerings += wanted
                if overlaps(world):
                    for each in wanted:
                        world.peerings.remove(each)
    for interface in list(world.interfaces):
        if overlaps(world):
            world.interfaces.remove(interface)


def _both(one: str, other: str) -> list[Peering]:
    return [Peering(router=one, peer=other), Peering(router=other, peer=one)]


def _add_routes(world: World, chance: random.Random) -> None:
    """Routes to appliances, to nobody, to other routers and by way of them; none that goes round."""
    for id in world.routers:
        for _ in range(chance.choice((0, 0, 1, 1, 2, 3))):
            route = _random_route(world, chance, id)
            before = world.routers[id]
            if route is None or route.destination in {each.destination for each in before.routes}:
                continue
            world.routers[id] = msgspec.structs.replace(before, routes=(*before.routes, route))
            if goes_round(world):
                world.routers[id] = before


def _random_route(world: World, chance: random.Random, router: str) -> StaticRoute | None:
    version = chance.choice((4, 4, 6))
    outside = f"{OUTSIDE[version]}/{32 if version == 4 else 128}"
    destination = str(ip_network(chance.choice((*PREFIXES[version], *WIDER[version], outside, outside))))
    own = [each for each in world.interfaces if each.router == router and each.version == version]
    kind = chance.randrange(4)
    if kind == 0:
        others = sorted(set(world.routers) - {router})
        return StaticRoute(destination, router=chance.choice(others)) if others else None
    near = {each.network for each in own}
    if kind == 1:
        gateways = [
            each.address
            for each in world.interfaces
            if each.network in near and each.router != router and each.version == version
        ]
        return StaticRoute(destination, (chance.choice(gateways),)) if gateways else None
    candidates = list(_endpoints_near(world, near, version))
    if not candidates:
        return None
    return StaticRoute(
        destination, tuple(chance.sample(candidates, chance.randint(1, min(3, len(candidates)))))
    )


def _endpoints_near(world: World, networks: set[str], version: int) -> Iterator[str]:
    """Their addresses, each once, and of each subnet one that nobody has."""
    seen: set[str] = set()
    for subnet in world.subnets.values():
        if subnet.network in networks and subnet.version == version:
            seen.add(str(ip_network(subnet.prefix)[13]))
    for port in world.ports.values():
        if port.network in networks:
            seen.update(address for address in port.ips if (":" in address) == (version == 6))
    yield from sorted(seen)
