"""Routers as one host sees them: the world that routed traces are made in.

router r1    web (vxlan, 10.1.0.0/24, fd00:1::/64), db (geneve, MTU 1300, 10.2.0.0/24, fd00:2::/64)
router r2    far (gre, 10.3.0.0/24, fd00:3::/64), joined to r1; and lost, which this host does not know yet
router r3    twin: the prefixes and addresses of web, of another tenant
one-sided    r3 says that it is joined to r1, r1 does not
routes of r1 10.9.0.0/16, fd00:9::/64 by m and n; 10.8.0.0/16, fd00:8::/64 by nobody; 10.7.0.0/16,
             fd00:7::/64 by m
"""

from plait.compile import Compiler, compile_all
from plait.model.entities import LiveHost, Network, Transport
from plait.model.facets import Change, Tunnels
from plait.model.routers import Peering, Router, RouterInterface, StaticRoute
from plait.model.view import View

from .scene import ME, TUNNELS, VTEPS, Station, known

NETWORKS = (
    Network(id="web", name="web", vni=100),
    Network(id="db", name="db", vni=200, transport=Transport.GENEVE, mtu_bytes=1300),
    Network(id="far", name="far", vni=300, transport=Transport.GRE),
    Network(id="twin", name="twin", vni=400),
)
SUBNETS = {"web": 1, "db": 2, "far": 3, "twin": 1, "lost": 4}
ROUTER_OF = {"web": "r1", "db": "r1", "far": "r2", "lost": "r2", "twin": "r3"}
VNI = {"r1": 1001, "r2": 1002, "r3": 1003}


class Routed(Station, frozen=True):
    """A station whose addresses are those of its network's subnets."""

    @property
    def ip(self) -> str:
        return f"10.{SUBNETS[self.network]}.0.{self.number}"

    @property
    def ip6(self) -> str:
        return f"fd00:{SUBNETS[self.network]}::{self.number:x}"


A = Routed("a", "web", 10, ofport=1)
A2 = Routed("a2", "web", 20, host="h2")
B = Routed("b", "db", 11, ofport=2)
B2 = Routed("b2", "db", 21, host="h2")
F = Routed("f", "far", 12, ofport=3)
F2 = Routed("f2", "far", 22, host="h3")
X = Routed("x", "twin", 10, ofport=4)
X2 = Routed("x2", "twin", 20, host="h2")
M = Routed("m", "web", 15, ofport=5, security=False)
N = Routed("n", "db", 25, host="h3")
STATIONS = (A, A2, B, B2, F, F2, X, X2, M, N)


def interfaces() -> list[RouterInterface]:
    made = []
    for network, router in ROUTER_OF.items():
        third = SUBNETS[network]
        for version, prefix, address in (
            (4, f"10.{third}.0.0/24", f"10.{third}.0.1"),
            (6, f"fd00:{third}::/64", f"fd00:{third}::1"),
        ):
            interface = RouterInterface(
                router=router,
                network=network,
                subnet=f"{network}{version}",
                prefix=prefix,
                address=address,
                mac=gateway_mac(network, version),
            )
            made.append(interface)
    return made


def gateway_mac(network: str, version: int) -> str:
    """The MAC of a network's gateway: of each family its own."""
    return f"02:99:00:00:{list(ROUTER_OF).index(network):02x}:{version:02x}"


def routes(way: tuple[Routed, ...] = (M, N)) -> tuple[StaticRoute, ...]:
    """Of r1."""
    return (
        StaticRoute("10.9.0.0/16", tuple(each.ip for each in way)),
        StaticRoute("fd00:9::/64", tuple(each.ip6 for each in way)),
        StaticRoute("10.8.0.0/16", ("10.1.0.99", "10.2.0.99")),
        StaticRoute("fd00:8::/64", ("fd00:1::99",)),
        StaticRoute("10.7.0.0/16", (M.ip,)),
        StaticRoute("fd00:7::/64", (M.ip6,)),
    )


def world(*more: Change) -> View:
    """The view of h1."""
    view = View(ME)
    changes = [Change(Network, network.id, network) for network in NETWORKS]
    changes += [Change(LiveHost, name, LiveHost(name=name, vtep=vtep)) for name, vtep in VTEPS.items()]
    changes.append(Change(Tunnels, "", Tunnels(tuple(sorted(TUNNELS.items())))))
    for name, vni in VNI.items():
        router = Router(id=name, name=name, vni=vni, routes=routes() if name == "r1" else ())
        changes.append(Change(Router, name, router))
    changes += [Change(RouterInterface, each.id, each) for each in interfaces()]
    for one, other in (("r1", "r2"), ("r2", "r1"), ("r3", "r1")):
        peering = Peering(router=one, peer=other)
        changes.append(Change(Peering, peering.id, peering))
    for each in STATIONS:
        changes += known(each)
    view.apply([*changes, *more])
    return view


def compiled(*more: Change) -> Compiler:
    """Everything that h1 wants of its switch; `more` happened since."""
    return compile_all(world(*more))
