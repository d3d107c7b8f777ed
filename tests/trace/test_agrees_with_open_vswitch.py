"""Hundreds of random packets: the simulated switch and a real one with the same flows agree on each."""

import random
from collections.abc import Iterator, Mapping
from functools import partial
from ipaddress import ip_address

import pytest

from plait.flows import packet as packets
from plait.flows.address_numbers import mac_number, multicast_mac
from plait.flows.agreement import expected_steps
from plait.flows.packet import Packet
from plait.flows.trace import Answered, Dropped
from plait.wire.internet import ETH_IPV4, ETH_IPV6, PROTO_ICMPV6

from .real_switch import OpenVSwitch, RealSwitch, comparable
from .scene import GROUPS, NETWORKS, STATIONS, TUNNELS, Station, compiled, switch

PACKETS = 150
HUGE_BYTES = 9000
SMALL_BYTES = 100


@pytest.fixture(scope="module")
def real(ovs: OpenVSwitch) -> Iterator[RealSwitch]:
    switch = RealSwitch(ovs, "tr")
    yield switch
    switch.remove()


@pytest.mark.parametrize("seed", range(4))
async def test_both_take_the_same_way_and_end_at_the_same_places(real: RealSwitch, seed: int) -> None:
    chance = random.Random(seed)
    compiler = compiled(random_stations(chance))
    simulated = switch(compiler)
    await real.load(compiler)
    for _ in range(PACKETS):
        packet, in_port, tun_id = random_packet(chance)
        where = {"in_port": in_port, "tun_id": tun_id} if tun_id else {"in_port": in_port}
        flow = packets.exact_text(packet, **where)
        theirs = await real.trace(flow, size_bytes=packet.size_bytes)
        ours = simulated.trace(packet, in_port, tun_id=tun_id)
        send = partial(simulated.trace, **where)
        assert expected_steps(send, packet, lambda f: compiler.flows[f.key].cookie) == theirs.steps, flow
        assert tuple(comparable(end) for end in ours.ends if not isinstance(end, Dropped)) == theirs.ends, (
            flow
        )
        for end in ours.ends:
            if isinstance(end, Answered):
                assert_same_packet(end.packet, theirs.final)


def random_stations(chance: random.Random) -> list[Station]:
    """Most of the scene, in places that differ."""
    return [station for station in STATIONS if chance.random() < 0.85]


TEXT_FIELDS = {
    "dl_src": "eth_src",
    "dl_dst": "eth_dst",
    "arp_op": "arp_op",
    "arp_spa": "arp_spa",
    "arp_tpa": "arp_tpa",
    "arp_sha": "arp_sha",
    "arp_tha": "arp_tha",
    "ipv6_src": "ipv6_src",
    "ipv6_dst": "ipv6_dst",
    "icmp_type": "icmpv6_type",
    "nd_target": "nd_target",
    "nd_tll": "nd_tll",
    "nd_options_type": "nd_options_type",
}


def assert_same_packet(ours: Packet, theirs: Mapping[str, str]) -> None:
    for text, name in TEXT_FIELDS.items():
        if text not in theirs:
            continue
        value = theirs[text]
        if name in ("eth_src", "eth_dst", "arp_sha", "arp_tha", "nd_tll"):
            number = mac_number(value)
        elif "." in value or ":" in value:
            number = int(ip_address(value))
        else:
            number = int(value, 0)
        assert ours.fields.get(name, 0) == number, name


def random_packet(chance: random.Random) -> tuple[Packet, int, int]:
    """A packet, the port it comes in by, and its VNI if that is a tunnel; mostly sane, often not quite."""
    source, target = chance.choice(STATIONS), chance.choice(STATIONS)
    liar = chance.choice(STATIONS) if chance.random() < 0.15 else source
    mac = mac_number(source.mac if chance.random() < 0.9 else liar.mac)
    packet = chance.choice([asking, saying, asking6, sending, sending6, multicasting, misbehaving])(
        chance, source, liar, target, mac
    )
    if chance.random() < 0.05:
        packet = Packet({**packet.fields, "vlan_vid": 0x1005}, packet.size_bytes)
    if chance.random() < 0.05 and packet.fields["eth_type"] in (ETH_IPV4, ETH_IPV6):
        packet = fragment(packet, is_later=chance.random() < 0.5)
    if source.ofport is None or chance.random() < 0.1:
        return packet, chance.choice(list(TUNNELS.values())), chance.choice([n.vni for n in NETWORKS] + [9])
    return packet, source.ofport if chance.random() < 0.95 else 6, 0


def fragment(packet: Packet, *, is_later: bool) -> Packet:
    """The first of a packet's fragments, or one without a transport header."""
    if not is_later:
        return Packet({**packet.fields, "ip_frag": 1}, packet.size_bytes)
    network = ("eth_", "ip", "nw_", "vlan_")
    fields = {name: value for name, value in packet.fields.items() if name.startswith(network)}
    return Packet({**fields, "ip_frag": 3}, packet.size_bytes)


def asking(chance: random.Random, source: Station, liar: Station, target: Station, mac: int) -> Packet:
    asked = chance.choice([target.ip, source.ip, "10.0.0.99"])
    sender = chance.choice([liar.ip, liar.ip, "0.0.0.0"])
    packet = packets.arp_request(source.mac, sender, asked)
    return Packet({**packet.fields, "eth_src": mac}, packet.size_bytes)


def saying(chance: random.Random, source: Station, liar: Station, target: Station, mac: int) -> Packet:
    asked = packets.arp_request(source.mac, liar.ip, target.ip)
    fields = {
        **asked.fields,
        "arp_op": 2,
        "arp_tha": mac_number(target.mac),
        "eth_dst": mac_number(target.mac),
    }
    return Packet(fields, asked.size_bytes)


def asking6(chance: random.Random, source: Station, liar: Station, target: Station, mac: int) -> Packet:
    asked = chance.choice([target.ip6, target.link_local, source.ip6, "fd00::99"])
    sender = chance.choice([liar.ip6, liar.link_local, "::"])
    packet = packets.neighbour_solicitation(source.mac, sender, asked)
    hop_limit = 255 if chance.random() < 0.9 else 64
    return Packet({**packet.fields, "eth_src": mac, "nw_ttl": hop_limit}, packet.size_bytes)


def sending(chance: random.Random, source: Station, liar: Station, target: Station, mac: int) -> Packet:
    to = chance.choice([mac_number(target.mac)] * 4 + [packets.BROADCAST_MAC, 0x02FFFFFFFFFF])
    size = chance.choice([SMALL_BYTES, HUGE_BYTES, 1400, 1450, 1451])
    ends = (mac, to, liar.ip, chance.choice([target.ip, "255.255.255.255"]))
    return chance.choice(
        [
            packets.echo_request(*ends, size_bytes=size),
            packets.tcp(*ends, 5432, size_bytes=size),
            packets.udp(*ends, 53, size_bytes=size),
        ]
    )


def sending6(chance: random.Random, source: Station, liar: Station, target: Station, mac: int) -> Packet:
    to = chance.choice([mac_number(target.mac)] * 4 + [0x333300000001])
    size = chance.choice([SMALL_BYTES, HUGE_BYTES])
    ends = (mac, to, chance.choice([liar.ip6, liar.link_local]), chance.choice([target.ip6, "ff02::1"]))
    return chance.choice(
        [packets.echo_request(*ends, size_bytes=size), packets.udp(*ends, 53, size_bytes=size)]
    )


def multicasting(chance: random.Random, source: Station, liar: Station, target: Station, mac: int) -> Packet:
    group = chance.choice([*GROUPS, "239.1.1.2", "ff02::1"])
    size = chance.choice([SMALL_BYTES, HUGE_BYTES])
    sender = liar.ip6 if ":" in group else liar.ip
    return packets.udp(mac, multicast_mac(group), sender, group, 5000, size_bytes=size)


def misbehaving(chance: random.Random, source: Station, liar: Station, target: Station, mac: int) -> Packet:
    """Router and neighbour advertisements, redirects, DHCP servers; and memberships, by IGMP and MLD."""
    to = mac_number(target.mac)
    if chance.random() < 0.1:
        return packets.ip(mac, multicast_mac(GROUPS[0]), source.ip, GROUPS[0], proto=2, fields={})
    if chance.random() < 0.6:
        fields = {"icmpv6_type": chance.choice([131, 132, 133, 134, 136, 137, 143])}
        return packets.ip(mac, to, source.link_local, target.ip6, proto=PROTO_ICMPV6, fields=fields)
    if chance.random() < 0.5:
        return packets.ip(
            mac, to, source.ip, target.ip, proto=packets.PROTO_UDP, fields={"udp_src": 67, "udp_dst": 68}
        )
    return packets.ip(
        mac, to, source.ip6, target.ip6, proto=packets.PROTO_UDP, fields={"udp_src": 547, "udp_dst": 546}
    )
