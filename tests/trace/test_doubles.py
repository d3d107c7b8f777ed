"""Two routers of one network may lead to the same subnet twice: there an address is two endpoints' own."""

from ipaddress import ip_network

from plait.model.entities import FixedAddress, LiveHost, Network, Port, Subnet
from plait.model.policy import Direction, Group, Protocol, Rule
from plait.model.routers import Router, RouterInterface

from .oracle import Oracle, Try
from .scene import VTEPS
from .tries import Flows
from .worlds import World

PREFIXES = {"left": "fd00::/64", "middle": "fd00:0:0:1::/64", "right": "fd00::/64"}
SIDES = {"left": Protocol.TCP, "right": Protocol.UDP}


def world() -> World:
    """Each network has a port in a group of its own; the one in the middle lets in what SIDES say."""
    made = World(hosts={"h1": LiveHost(name="h1", vtep=VTEPS["h1"])})
    for number, (id, prefix) in enumerate(PREFIXES.items(), 1):
        made.networks[id] = Network(id=id, name=id, vni=number)
        gateway, address = (str(ip_network(prefix)[number]) for number in (1, 2))
        made.subnets[id] = Subnet(id=id, name=id, network=id, prefix=prefix, gateway=gateway)
        made.groups[id] = Group(id=id, name=id)
        made.ports[id] = Port(
            id=id,
            name=id,
            network=id,
            mac=f"02:00:00:00:00:{number:02x}",
            addresses=(FixedAddress(id, address),),
            host="h1",
            groups=(id,),
        )
    for number, (side, protocol) in enumerate(SIDES.items(), 1):
        made.routers[side] = Router(id=side, name=side, vni=100 + number)
        for network, address in ((side, "fd00::1"), ("middle", f"fd00:0:0:1::{number}1")):
            made.interfaces.append(
                RouterInterface(
                    router=side,
                    network=network,
                    subnet=network,
                    prefix=PREFIXES[network],
                    address=address,
                    mac=f"02:00:00:00:ff:{len(made.interfaces):02x}",
                )
            )
        made.rules[side] = Rule(
            id=side,
            name=side,
            group="middle",
            direction=Direction.INGRESS,
            protocol=protocol,
            remote_group=side,
        )
    return made


def test_an_address_that_is_two_members_is_in_the_groups_of_both() -> None:
    oracle = Oracle(world())
    flows = Flows(oracle.world, oracle)
    for side, protocol in SIDES.items():
        attempt = Try(sender=side, source="fd00::2", target="fd00:0:0:1::2", protocol=protocol, number=80)
        assert flows.fates(attempt) == oracle.fates(attempt) == {"to middle"}
    assert not flows.site("h1").compiler.conflicts()
