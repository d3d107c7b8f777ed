"""A port sends only as itself: forged packets do not arrive, the honest ones that follow them do."""

from collections.abc import Callable

import pytest
from tests.lab.conftest import MakeEndpoint, MakeNetwork

from plait.lab import crafted
from plait.lab.endpoint import Endpoint
from plait.lab.lab import Lab
from plait.lab.waiting import wait_until
from plait.lab.wire import Wire

COPIES = 5
STRANGER_MAC = "02:66:66:66:66:66"
FORGED = b"this was forged by the sender...."

Forge = Callable[[Endpoint, Endpoint], bytes]


def v4(end: Endpoint) -> tuple[str, str]:
    return end.mac, end.v4


def v6(end: Endpoint) -> tuple[str, str]:
    return end.mac, end.v6


FORGERIES: dict[str, Forge] = {
    "another's MAC": lambda a, b: crafted.udp((STRANGER_MAC, a.v4), v4(b), FORGED),
    "another's IPv4 address": lambda a, b: crafted.udp((a.mac, "10.0.0.77"), v4(b), FORGED),
    "the receiver's own IPv4 address": lambda a, b: crafted.udp((a.mac, b.v4), v4(b), FORGED),
    "another's IPv6 address": lambda a, b: crafted.udp((a.mac, "fd00:10::77"), v6(b), FORGED),
    "another's link-local address": lambda a, b: crafted.udp((a.mac, "fe80::77"), v6(b), FORGED),
    "an ARP answer for another's address": lambda a, b: crafted.arp(
        a.mac, b.mac, operation=2, sender=(a.mac, "10.0.0.77"), target=v4(b)
    ),
    "an ARP answer with another's MAC": lambda a, b: crafted.arp(
        a.mac, b.mac, operation=2, sender=(STRANGER_MAC, a.v4), target=v4(b)
    ),
    "a gratuitous ARP for another's address": lambda a, b: crafted.arp(
        a.mac, crafted.BROADCAST, operation=1, sender=(a.mac, b.v4), target=("00:00:00:00:00:00", b.v4)
    ),
    "a neighbour advertisement for another's address": lambda a, b: crafted.neighbor_advertisement(
        v6(a), v6(b), target="fd00:10::77", link=a.mac
    ),
    "a neighbour advertisement with another's MAC": lambda a, b: crafted.neighbor_advertisement(
        v6(a), v6(b), target=a.v6, link=STRANGER_MAC
    ),
    "a router advertisement to all": lambda a, b: crafted.router_advertisement(v6(a), prefix="fd00:66::/64"),
    "a router advertisement to one": lambda a, b: crafted.router_advertisement(
        v6(a), v6(b), prefix="fd00:66::/64"
    ),
    "a DHCP server's offer": lambda a, b: crafted.dhcp_offer(v4(a), v4(b), offered="10.0.0.66", data=FORGED),
    "a DHCPv6 server's advertisement": lambda a, b: crafted.dhcpv6_advertise(v6(a), v6(b), FORGED),
    "the first fragment of a DHCP server's offer": lambda a, b: crafted.first_fragment(
        crafted.dhcp_offer(v4(a), v4(b), offered="10.0.0.66", data=FORGED)
    ),
    "the first fragment of a DHCPv6 server's advertisement": lambda a, b: crafted.first_fragment(
        crafted.dhcpv6_advertise(v6(a), v6(b), FORGED)
    ),
    "the first fragment of a router advertisement": lambda a, b: crafted.first_fragment(
        crafted.router_advertisement(v6(a), v6(b), prefix="fd00:66::/64")
    ),
    "a VLAN tag": lambda a, b: _tagged(crafted.udp(v4(a), v4(b), FORGED)),
}


def _tagged(frame: bytes) -> bytes:
    return frame[:12] + b"\x81\x00\x00\x07" + frame[12:]


@pytest.mark.parametrize("receiver_host", ["h1", "h2"])
def test_forged_packets_do_not_arrive_and_honest_ones_do(
    network: MakeNetwork, endpoint: MakeEndpoint, receiver_host: str
) -> None:
    of = network()
    sender, receiver = endpoint(of, "h1"), endpoint(of, receiver_host)
    assert sender.ping(receiver.v4).lost == sender.ping(receiver.v6).lost == 0
    assert _arrivals(sender, receiver) == dict.fromkeys(FORGERIES, 0)


def test_every_forgery_would_be_counted_where_nobody_refuses_it(bare: Lab) -> None:
    host = bare.host("h1")
    host.switch.vsctl("add-br", "br-int", "--", "set", "bridge", "br-int", "datapath_type=netdev")
    ends = []
    for number in (1, 2):
        addresses = (f"10.0.0.{number}/24", f"fd00:10::{number}/64")
        end = bare.plain_endpoint(f"end{number}", "h1", mac=f"02:00:00:00:00:0{number}", addresses=addresses)
        host.plug(end.device)
        ends.append(end)
    wait_until(lambda: ends[0].reaches(ends[1].v6), "a plain switch joins them")
    assert _arrivals(*ends) == dict.fromkeys(FORGERIES, COPIES)


def _arrivals(sender: Endpoint, receiver: Endpoint) -> dict[str, int]:
    """How many of `COPIES` of each forgery arrive."""
    arrived = {}
    with Wire(sender.namespace) as out, Wire(receiver.namespace) as wire:
        for what, forge in FORGERIES.items():
            forged = forge(sender, receiver)
            out.send(*[forged] * COPIES)
            seen = [
                *wire.all_before(lambda data: crafted.udp(v4(sender), v4(receiver), data), sender=out),
                *wire.all_before(lambda data: crafted.udp(v6(sender), v6(receiver), data), sender=out),
            ]
            arrived[what] = sum(_payload(forged) in frame for frame in seen)
    return arrived


def _payload(frame: bytes) -> bytes:
    """What stands behind the addresses and a VLAN tag, which the kernel takes out of what it shows."""
    return frame.rstrip(b"\0")[18 if frame[12:14] == b"\x81\x00" else 14 :]


def test_a_port_without_security_sends_as_whoever_it_likes(
    network: MakeNetwork, endpoint: MakeEndpoint
) -> None:
    of = network()
    router, receiver = endpoint(of, "h1", security=False), endpoint(of, "h2")
    with Wire(router.namespace) as out, Wire(receiver.namespace) as wire:
        out.send(crafted.udp((STRANGER_MAC, "192.0.2.1"), v4(receiver), FORGED))
        wire.until(lambda frame: FORGED in frame)


def test_what_a_sender_announces_does_not_change_where_others_find_an_address(
    network: MakeNetwork, endpoint: MakeEndpoint
) -> None:
    of = network()
    thief, victim, client = endpoint(of, "h1"), endpoint(of, "h2"), endpoint(of, "h3")
    assert client.ping(victim.v4).lost == client.ping(victim.v6).lost == 0
    with Wire(thief.namespace) as out:
        for _ in range(10):
            out.send(
                crafted.arp(
                    thief.mac, client.mac, operation=2, sender=(thief.mac, victim.v4), target=v4(client)
                ),
                crafted.neighbor_advertisement(v6(thief), v6(client), target=victim.v6, link=thief.mac),
            )
    assert client.ping(victim.v4).lost == client.ping(victim.v6).lost == 0
    neighbours = client.exec("ip", "neigh")
    assert victim.mac in neighbours
    assert thief.mac not in neighbours
