"""What stands in a store comes back as it was, also what a newer version wrote besides."""

import pytest

from plait.model.codec import decode, encode
from plait.model.entities import AddressPair, DhcpOption, Entity, HostRoute, Ipv6Mode, Port, Subnet
from plait.model.policy import Action, AddressEntry, AddressGroup, Direction, Group, Protocol, Rule
from plait.model.routers import Peering, Router, RouterInterface, StaticRoute

MAC = "02:00:00:00:00:01"

THINGS: list[Entity] = [
    Router(
        id="r",
        name="edge",
        vni=7,
        routes=(StaticRoute("0.0.0.0/0", ("10.0.0.9", "10.0.0.8")), StaticRoute("10.9.0.0/16", router="s")),
    ),
    RouterInterface(
        router="r", network="n", subnet="s", prefix="fd00::/64", address="fd00::1", mac=MAC, project="other"
    ),
    Peering(router="r", peer="s"),
    Group(id="g", name="web", ingress=Action.ALLOW, egress=Action.DENY),
    Rule(
        id="x",
        name="connect:db",
        group="g",
        direction=Direction.EGRESS,
        action=Action.DENY,
        priority=1000,
        family=6,
        protocol=Protocol.TCP,
        ports=(80, 90),
        remote_group="h",
        log=True,
    ),
    Rule(
        id="y",
        name="ping",
        group="g",
        direction=Direction.INGRESS,
        family=4,
        protocol=Protocol.ICMP,
        icmp_type=8,
    ),
    AddressGroup(id="a", name="bad"),
    AddressEntry(group="a", prefix="192.0.2.0/24"),
    Subnet(
        id="s",
        name="s",
        network="n",
        prefix="fd00::/64",
        dhcp=False,
        ipv6_mode=Ipv6Mode.SLAAC,
        lease_s=60,
        dns=("fd00::2",),
        domain="example.com",
        search=("example.com",),
        routes=(HostRoute("fd01::/64", "fd00::9"),),
        dhcp_options=(DhcpOption(6, 59, "00"),),
    ),
    Port(
        id="p",
        name="p",
        network="n",
        mac=MAC,
        groups=("g",),
        address_pairs=(AddressPair("10.0.0.0/24", MAC),),
        hostname="www",
        dhcp_options=(DhcpOption(4, 66, "00"),),
    ),
]


@pytest.mark.parametrize("thing", THINGS, ids=lambda thing: thing.kind)
def test_a_thing_comes_back_as_it_was(thing: Entity) -> None:
    assert decode(type(thing), encode(thing)) == thing


@pytest.mark.parametrize("thing", THINGS, ids=lambda thing: thing.kind)
def test_what_a_newer_version_knows_besides_is_kept(thing: Entity) -> None:
    newer = encode(thing)[:-1] + b',"colour":{"is":"blue"}}'
    read = decode(type(thing), newer)
    assert read.extra == (("colour", '{"is":"blue"}'),)
    assert encode(read) == newer
