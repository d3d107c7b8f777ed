"""Small worlds in which much collides: strategies of the changes that a host's view may hear of."""

from collections.abc import Iterable, Sequence

import msgspec
from hypothesis import strategies as st

from plait.model.entities import (
    AddressPair,
    Endpoint,
    FixedAddress,
    Ipv6Mode,
    LiveHost,
    Network,
    Port,
    Subnet,
    Transport,
)
from plait.model.facets import Attachment, Change, Claim, Facet, Number, Subscription, Tunnels
from plait.model.policy import AddressEntry, Group, Rule
from plait.model.routers import Peering, Router, RouterInterface, StaticRoute
from plait.model.view import MULTICAST

from . import policies

ME = "h1"
HOSTS = (ME, "h2", "h3")
NETWORKS = ("n1", "n2")
PORTS = ("p1", "p2", "p3", "p4")
ROUTERS = ("r1", "r2", "r3")
PREFIXES = {"s1": "10.0.0.0/24", "s2": "10.0.1.0/24", "s3": "fd00::/64", "s4": "fd00:1::/64"}
"""Of subnets, whatever network they are in."""

_macs = st.sampled_from(["02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03"])
_ips = st.lists(st.sampled_from(["10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"]), max_size=2).map(tuple)
_multicast = st.lists(st.sampled_from(["239.1.1.1", "239.1.1.2", "ff05::1"]), max_size=2).map(tuple)
_claims = st.lists(st.sampled_from(["10.0.0.1", "10.0.0.9", "fd00::9"]), max_size=2, unique=True).map(tuple)
_pairs = st.lists(
    st.builds(
        AddressPair,
        st.sampled_from(["10.0.0.9/32", "10.0.0.0/30", "fd00::9/128", "fd00::/120"]),
        st.sampled_from([None, "02:00:00:00:00:02", "00:00:5e:00:01:01"]),
    ),
    max_size=2,
).map(tuple)
_transports = st.sampled_from(tuple(Transport))
_networks = st.sampled_from(NETWORKS)
_ports = st.sampled_from(PORTS)
_routers = st.sampled_from(ROUTERS)
_DESTINATIONS = {4: ["0.0.0.0/0", "10.0.0.0/16", "10.0.1.0/24"], 6: ["::/0", "fd00:1::/64"]}
_HOPS = {4: ["10.0.0.1", "10.0.0.2", "10.0.1.254"], 6: ["fd00::1", "fd00::2"]}


def _maybe(value: st.SearchStrategy[Facet]) -> st.SearchStrategy[Facet | None]:
    return st.one_of(st.none(), value, value)


@st.composite
def _named(draw: st.DrawFn, named: st.SearchStrategy[tuple[str, Facet]]) -> tuple[str, Facet | None]:
    id, value = draw(named)
    return id, draw(_maybe(st.just(value)))


@st.composite
def _change(draw: st.DrawFn) -> Change:
    facet = draw(
        st.sampled_from(
            [Port, Attachment, Endpoint] * 2
            + [Router, RouterInterface, Peering]
            + [Group, Rule, Rule, AddressEntry, Number]
            + [Subscription, Claim, Subnet, Network, LiveHost, Tunnels, Number]
        )
    )
    id, value = draw(_VALUES[facet])
    return Change(facet, id, value)


@st.composite
def _port(draw: st.DrawFn) -> tuple[str, Port | None]:
    id = draw(_ports)
    addresses = tuple(FixedAddress("s", ip) for ip in draw(_ips))
    port = Port(
        id=id,
        name=id,
        network=draw(_networks),
        mac=draw(_macs),
        addresses=addresses,
        host=ME,
        security=draw(st.booleans()),
        multicast=draw(_multicast),
        groups=draw(policies.groups_of_port),
        address_pairs=draw(_pairs),
    )
    return id, draw(_maybe(st.just(port)))


@st.composite
def _attachment(draw: st.DrawFn) -> tuple[str, Attachment | None]:
    id = draw(_ports)
    return id, draw(_maybe(st.integers(1, 4).map(lambda ofport: Attachment(id, ofport))))


@st.composite
def _subscription(draw: st.DrawFn) -> tuple[str, Subscription | None]:
    id = draw(_ports)
    return id, draw(_maybe(_multicast.map(lambda groups: Subscription(id, groups))))


@st.composite
def _claim(draw: st.DrawFn) -> tuple[str, Claim | None]:
    id = draw(_ports)
    return id, draw(_maybe(_claims.map(lambda ips: Claim(id, ips))))


@st.composite
def _subnet(draw: st.DrawFn) -> tuple[str, Subnet | None]:
    id = draw(st.sampled_from(tuple(PREFIXES)))
    subnet = Subnet(
        id=id,
        name=id,
        network=draw(_networks),
        prefix=PREFIXES[id],
        dhcp=draw(st.booleans()),
        ipv6_mode=draw(st.sampled_from(tuple(Ipv6Mode))),
    )
    return id, draw(_maybe(st.just(subnet)))


@st.composite
def _endpoint(draw: st.DrawFn) -> tuple[str, Endpoint | None]:
    id = draw(_ports)
    endpoint = Endpoint(
        network=draw(_networks),
        port=id,
        mac=draw(_macs),
        host=draw(st.sampled_from(HOSTS)),
        ips=draw(_ips),
        sequence=draw(st.integers(0, 3)),
        multicast=draw(_multicast),
        groups=draw(policies.groups_of_port),
    )
    return id, draw(_maybe(st.just(endpoint)))


@st.composite
def _network(draw: st.DrawFn) -> tuple[str, Network | None]:
    id = draw(_networks)
    network = Network(
        id=id,
        name=id,
        vni=draw(st.sampled_from([1, 2, 0xFFFFFF])),
        transport=draw(_transports),
        mtu_bytes=draw(st.sampled_from([None, 576, 1400, 65535])),
    )
    return id, draw(_maybe(st.just(network)))


@st.composite
def _host(draw: st.DrawFn) -> tuple[str, LiveHost | None]:
    name = draw(st.sampled_from(HOSTS))
    host = LiveHost(
        name=name,
        vtep=draw(st.sampled_from(["172.16.0.1", "172.16.0.2", "fd01::1"])),
        underlay_mtu_bytes=draw(st.sampled_from([0, 60, 1500, 9000, 65535, 10**6])),
    )
    return name, draw(_maybe(st.just(host)))


@st.composite
def _tunnels(draw: st.DrawFn) -> tuple[str, Tunnels | None]:
    chosen = draw(st.lists(_transports, unique=True))
    ofports = tuple(sorted((transport, 100 + list(Transport).index(transport)) for transport in chosen))
    return "", draw(_maybe(st.just(Tunnels(ofports))))


@st.composite
def _router(draw: st.DrawFn) -> tuple[str, Router | None]:
    id = draw(_routers)
    routes = draw(st.lists(_static_route(), max_size=2, unique_by=lambda route: route.destination))
    router = Router(id=id, name=id, vni=draw(st.sampled_from([11, 12, 13])), routes=tuple(routes))
    return id, draw(_maybe(st.just(router)))


@st.composite
def _static_route(draw: st.DrawFn) -> StaticRoute:
    version = draw(st.sampled_from([4, 6]))
    destination = draw(st.sampled_from(_DESTINATIONS[version]))
    if draw(st.booleans()):
        return StaticRoute(destination, router=draw(_routers))
    hops = draw(st.lists(st.sampled_from(_HOPS[version]), min_size=1, max_size=3, unique=True))
    return StaticRoute(destination, tuple(hops))


@st.composite
def _interface(draw: st.DrawFn) -> tuple[str, RouterInterface | None]:
    router, subnet = draw(_routers), draw(st.sampled_from(sorted(PREFIXES)))
    interface = _interface_of(router, draw(_networks), subnet, draw(st.sampled_from([1, 254])))
    return interface.id, draw(_maybe(st.just(interface)))


def _interface_of(router: str, network: str, subnet: str, number: int) -> RouterInterface:
    prefix = PREFIXES[subnet]
    start = prefix.partition("/")[0]
    return RouterInterface(
        router=router,
        network=network,
        subnet=subnet,
        prefix=prefix,
        address=f"{start}{number:x}" if ":" in prefix else f"{start[:-1]}{number}",
        mac=f"02:00:00:00:99:{number:02x}",
    )


@st.composite
def _peering(draw: st.DrawFn) -> tuple[str, Peering | None]:
    router, peer = draw(st.sampled_from([(a, b) for a in ROUTERS for b in ROUTERS if a != b]))
    peering = Peering(router=router, peer=peer)
    return peering.id, draw(_maybe(st.just(peering)))


@st.composite
def _number(draw: st.DrawFn) -> tuple[str, Number | None]:
    owner = f"{draw(_networks)}/{draw(st.sampled_from(['239.1.1.1', 'ff05::1']))}"
    number = Number(MULTICAST, owner, draw(st.integers(1, 3)))
    return number.id, draw(_maybe(st.just(number)))


_VALUES: dict[type[Facet], st.SearchStrategy[tuple[str, Facet | None]]] = {
    Port: _port(),
    Attachment: _attachment(),
    Subscription: _subscription(),
    Claim: _claim(),
    Subnet: _subnet(),
    Endpoint: _endpoint(),
    Network: _network(),
    LiveHost: _host(),
    Tunnels: _tunnels(),
    Router: _router(),
    RouterInterface: _interface(),
    Peering: _peering(),
    Group: _named(policies.group()),
    Rule: _named(policies.rule()),
    AddressEntry: _named(policies.entry()),
    Number: st.one_of(_number(), _named(policies.number())),
}

batches = st.lists(_change(), min_size=1, max_size=8)
"""Changes that a view hears of at once."""

histories = st.lists(batches, max_size=12)
"""What a view hears of, batch by batch."""


def full_world() -> list[Change]:
    """A world in which everything is there, so that histories begin where something can break."""
    networks = [
        Network(id="n1", name="n1", vni=1),
        Network(id="n2", name="n2", vni=2, transport=Transport.GENEVE, mtu_bytes=1400),
    ]
    hosts = [LiveHost(name=name, vtep=f"172.16.0.{number}") for number, name in enumerate(HOSTS, 1)]
    changes = [Change(Network, each.id, each) for each in networks]
    changes += [Change(LiveHost, each.name, each) for each in hosts]
    tunnels = Tunnels(tuple(sorted((transport, 100 + i) for i, transport in enumerate(Transport))))
    changes.append(Change(Tunnels, "", tunnels))
    for number, (id, network) in enumerate((("p1", "n1"), ("p2", "n2")), 1):
        addresses = (FixedAddress("s", f"10.0.0.{number}"), FixedAddress("s", f"fd00::{number}"))
        port = Port(
            id=id,
            name=id,
            network=network,
            mac=f"02:00:00:00:00:0{number}",
            addresses=addresses,
            host=ME,
            multicast=("239.1.1.1",),
            groups=("g1", "g2") if id == "p1" else (),
            address_pairs=(AddressPair("10.0.0.9/32"), AddressPair("fd00::9/128")),
        )
        changes += [Change(Port, id, port), Change(Attachment, id, Attachment(id, number))]
    changes.append(Change(Claim, "p1", Claim("p1", ("10.0.0.9", "fd00::9"))))
    for id, network in (("s1", "n1"), ("s3", "n1"), ("s2", "n2"), ("s4", "n2")):
        changes.append(Change(Subnet, id, Subnet(id=id, name=id, network=network, prefix=PREFIXES[id])))
    for number, (id, network, host) in enumerate((("p3", "n1", "h2"), ("p4", "n2", "h3")), 3):
        endpoint = Endpoint(
            network=network,
            port=id,
            mac=f"02:00:00:00:00:0{number}",
            host=host,
            ips=(f"10.0.0.{number}", f"fd00::{number}"),
            multicast=("239.1.1.1",),
            groups=("g1",),
        )
        changes.append(Change(Endpoint, id, endpoint))
    ways = (StaticRoute("0.0.0.0/0", ("10.0.0.1", "10.0.0.2")), StaticRoute("::/0", ("fd00::2",)))
    for number, id in enumerate(ROUTERS[:2], 11):
        router = Router(id=id, name=id, vni=number, routes=ways if id == "r1" else ())
        changes.append(Change(Router, id, router))
    for subnet, network, owner in (("s1", "n1", "r1"), ("s3", "n1", "r1"), ("s2", "n2", "r2")):
        interface = _interface_of(owner, network, subnet, 254)
        changes.append(Change(RouterInterface, interface.id, interface))
    for one, other in (("r1", "r2"), ("r2", "r1")):
        changes.append(Change(Peering, f"{one}/{other}", Peering(router=one, peer=other)))
    for number, network in enumerate(NETWORKS, 1):
        group = Number(MULTICAST, f"{network}/239.1.1.1", number)
        changes.append(Change(Number, group.id, group))
    return changes + policies.everything()


def final(changes: Iterable[Change]) -> list[Change]:
    """What all of `changes` together come to: the last word on each facet, in the order of the last words."""
    last: dict[tuple[type[Facet], str], Change] = {}
    for change in changes:
        last.pop((change.facet, change.id), None)
        last[change.facet, change.id] = change
    return list(last.values())


def undone(changes: Sequence[Change]) -> list[Change]:
    """Everything that `changes` brought, gone again."""
    return [msgspec.structs.replace(change, value=None) for change in final(changes)]
