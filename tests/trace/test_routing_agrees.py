"""Random packets through routers: the simulated switch and a real one with the same flows agree on each."""

import random
from collections.abc import Iterator
from functools import partial
from ipaddress import ip_address

import pytest

from plait.flows import packet as packets
from plait.flows.address_numbers import mac_number
from plait.flows.agreement import SwitchStep, expected_steps
from plait.flows.packet import Packet
from plait.flows.pipeline import Table
from plait.flows.trace import Answered, Dropped
from plait.model.entities import Endpoint
from plait.model.facets import Change

from .real_switch import OpenVSwitch, RealSwitch, comparable
from .routed_scene import STATIONS, Routed, compiled, gateway_mac
from .scene import switch

PACKETS = 150
HERE = [station for station in STATIONS if station.ofport is not None]
GONE = {0: (), 1: (Change(Endpoint, "n", None),), 2: ()}


@pytest.fixture(scope="module")
def real(ovs: OpenVSwitch) -> Iterator[RealSwitch]:
    switch = RealSwitch(ovs, "rt")
    yield switch
    switch.remove()


@pytest.mark.parametrize("seed", range(3))
async def test_both_take_the_same_way_and_end_at_the_same_places(real: RealSwitch, seed: int) -> None:
    chance = random.Random(seed)
    compiler = compiled(*GONE[seed])
    simulated = switch(compiler)
    await real.load(compiler)
    tables = set()
    for _ in range(PACKETS):
        source = chance.choice(HERE)
        packet = random_packet(chance, source)
        assert source.ofport is not None
        flow = packets.exact_text(packet, in_port=source.ofport)
        theirs = await real.trace(flow, size_bytes=packet.size_bytes or 0)
        send = partial(simulated.trace, in_port=source.ofport)
        ours = send(packet)
        expected = expected_steps(send, packet, lambda f: compiler.flows[f.key].cookie)
        tables |= {step[0] for step in expected}
        assert before_the_link(expected) == before_the_link(theirs.steps), flow
        if Table.NEXT_HOP in {step[0] for step in expected}:
            continue
        ends = tuple(comparable(end) for end in ours.ends if not isinstance(end, Dropped))
        assert ends == theirs.ends, flow
        for end in ours.ends:
            if isinstance(end, Answered) and packet.fields["eth_type"] != 0x0806:
                assert end.packet.fields["eth_src"] == mac_number(theirs.final["dl_src"]), flow
                assert end.packet.fields["nw_ttl"] == int(theirs.final["nw_ttl"]), flow
                for name in ("nw_src", "nw_dst", "ipv6_src", "ipv6_dst"):
                    if name in theirs.final:
                        ours_of = end.packet.fields[name.replace("nw", "ipv4")]
                        assert ours_of == int(ip_address(theirs.final[name])), flow
    assert tables >= {Table.GATEWAY, Table.ROUTE, Table.NEIGHBOUR, Table.LOCAL, Table.TRANSPORT}


def before_the_link(steps: tuple[SwitchStep, ...]) -> list[SwitchStep]:
    """Which link it will be only a real switch knows."""
    tables = [step[0] for step in steps]
    return list(steps[: tables.index(Table.NEXT_HOP)] if Table.NEXT_HOP in tables else steps)


def random_packet(chance: random.Random, source: Routed) -> Packet:
    """From a station here, mostly to its gateway, for all sorts of addresses, with any TTL and size."""
    version = chance.choice([4, 6])
    sender, target = (
        (source.ip, random_target(chance, source)) if version == 4 else (source.ip6, random_v6(chance))
    )
    if chance.random() < 0.1:
        asked = f"10.{chance.randint(1, 4)}.0.1" if version == 4 else f"fd00:{chance.randint(1, 4)}::1"
        return packets.request(source.mac, sender, asked)
    macs = mac_number(source.mac), mac_number(gateway_mac(source.network, version))
    size = chance.choice([100, 1300, 1301, 1430, 1431, 1438, 1439, 9000])
    build = chance.choice(
        [
            packets.echo_request,
            partial(packets.tcp, port=443),
            partial(packets.udp, port=33434),
        ]
    )
    packet = build(*macs, sender, target, size_bytes=size)
    fields = {**packet.fields, "nw_ttl": chance.choice([0, 1, 2, 64, 64, 64])}
    if chance.random() < 0.1:
        fields["icmpv4_type" if version == 4 else "icmpv6_type"] = 3
        fields["ip_proto"] = 1 if version == 4 else 58
        fields = {name: value for name, value in fields.items() if name[:4] not in ("tcp_", "udp_")}
    return Packet(fields, size)


def random_target(chance: random.Random, source: Routed) -> str:
    station = chance.choice(STATIONS)
    others = ["10.1.0.1", "10.2.0.1", "10.3.0.1", "10.4.0.9", "10.9.0.1", "10.8.0.1", "10.7.0.1"]
    local = ["10.2.0.99", "10.99.0.1", "224.0.0.5", "169.254.1.1", "255.255.255.255"]
    return chance.choice([station.ip, station.ip, chance.choice(others), chance.choice(local)])


def random_v6(chance: random.Random) -> str:
    station = chance.choice(STATIONS)
    others = ["fd00:1::1", "fd00:2::1", "fd00:3::1", "fd00:4::9", "fd00:9::1", "fd00:8::1", "fd00:7::1"]
    local = ["fd00:2::99", "fd00:99::1", "ff0e::1", "fe80::1", "::1"]
    return chance.choice([station.ip6, station.ip6, chance.choice(others), chance.choice(local)])


async def test_the_switch_prints_routing_back_as_it_was_sent(real: RealSwitch) -> None:
    compiler = compiled()
    await real.load(compiler)
    wanted = {key: (entry.instructions, entry.cookie) for key, entry in compiler.flows.items()}
    assert await real.flows() == wanted
