"""One host and what it knows, said in few words: the world that traces are made in.

red     vxlan,  VNI 100: a (ofport 1) and b (ofport 2) here, r on h2, s on h3 (underlay IPv6)
blue    geneve, VNI 200: the same addresses: c (ofport 3) here, t on h2
green   gre,    VNI 300, MTU 1400: d (ofport 4, no port security) here, u on h2
"""

from collections.abc import Iterable

import msgspec

from plait.compile import Compiler, compile_all
from plait.flows.flow import Flow
from plait.flows.trace import Switch
from plait.model.entities import Endpoint, FixedAddress, LiveHost, Network, Port, Transport
from plait.model.facets import Attachment, Change, Tunnels
from plait.model.numbering import renumber
from plait.model.view import View

ME = "h1"
TUNNELS = {Transport.VXLAN: 101, Transport.GENEVE: 102, Transport.GRE: 103}
VTEPS = {"h1": "172.16.0.1", "h2": "172.16.0.2", "h3": "fd01::3"}
GROUPS = ("239.1.1.1", "ff05::1:1")


class Station(msgspec.Struct, frozen=True):
    """An endpoint; `number` makes its addresses. `ofport` where it is plugged in here."""

    name: str
    network: str
    number: int
    host: str = ME
    ofport: int | None = None
    security: bool = True
    multicast: tuple[str, ...] = ()

    @property
    def mac(self) -> str:
        return f"02:00:00:00:00:{self.number:02x}"

    @property
    def ip(self) -> str:
        return f"10.0.0.{self.number}"

    @property
    def ip6(self) -> str:
        return f"fd00::{self.number:x}"

    @property
    def link_local(self) -> str:
        """Modified EUI-64 of 02:00:00:00:00:nn."""
        return f"fe80::ff:fe00:{self.number:x}"


A = Station("a", "red", 1, ofport=1)
B = Station("b", "red", 2, ofport=2, multicast=GROUPS)
R = Station("r", "red", 11, host="h2", multicast=GROUPS)
S = Station("s", "red", 12, host="h3", multicast=GROUPS)
C = Station("c", "blue", 1, ofport=3)
T = Station("t", "blue", 2, host="h2")
D = Station("d", "green", 4, ofport=4, security=False)
U = Station("u", "green", 14, host="h2")
STATIONS = (A, B, R, S, C, T, D, U)
NETWORKS = (
    Network(id="red", name="red", vni=100),
    Network(id="blue", name="blue", vni=200, transport=Transport.GENEVE),
    Network(id="green", name="green", vni=300, transport=Transport.GRE, mtu_bytes=1400),
)


def world(stations: Iterable[Station] = STATIONS) -> View:
    """The view of h1."""
    view = View(ME)
    changes = [Change(Network, network.id, network) for network in NETWORKS]
    changes += [Change(LiveHost, name, LiveHost(name=name, vtep=vtep)) for name, vtep in VTEPS.items()]
    changes.append(Change(Tunnels, "", Tunnels(tuple(sorted(TUNNELS.items())))))
    for each in stations:
        changes += known(each)
    view.apply(renumber(view, view.apply(changes)))
    return view


def known(each: Station) -> list[Change]:
    """What h1 knows of a station: one that is plugged in here, or one on another host."""
    if each.ofport is None:
        return _elsewhere(each)
    port = Port(
        id=each.name,
        name=each.name,
        network=each.network,
        mac=each.mac,
        addresses=(FixedAddress("v4", each.ip), FixedAddress("v6", each.ip6)),
        host=ME,
        security=each.security,
        multicast=each.multicast,
    )
    return [
        Change(Port, each.name, port),
        Change(Attachment, each.name, Attachment(each.name, each.ofport)),
    ]


def _elsewhere(each: Station) -> list[Change]:
    endpoint = Endpoint(
        network=each.network,
        port=each.name,
        mac=each.mac,
        host=each.host,
        ips=(each.ip, each.ip6),
        multicast=each.multicast,
    )
    return [Change(Endpoint, each.name, endpoint)]


def switch(compiler: Compiler) -> Switch:
    """The simulated switch of h1."""
    flows = [Flow(key, entry.instructions) for key, entry in compiler.flows.items()]
    groups = [entry.group for entry in compiler.groups.values()]
    return Switch(flows, groups, TUNNELS.values())


def compiled(stations: Iterable[Station] = STATIONS) -> Compiler:
    """Everything that h1 wants of its switch."""
    return compile_all(world(stations))
