"""Connection tracking, conjunctions and TTLs: random flows, the same in the simulator and in a real switch.

The flows are made for this alone: three tables that lead on to each other in every way that Plait uses, with
conjunctions that are complete, lack a clause, or stand above and below flows that are none.
"""

import random
from collections.abc import Iterator
from functools import partial

import pytest

from plait.flows import packet as packets
from plait.flows.agreement import expected_steps
from plait.flows.connection import ANSWER, FIRST, LATER, State
from plait.flows.flow import Flow, Group, flow
from plait.flows.packet import Packet
from plait.flows.trace import Delivered, Dropped, NotSimulated, Punted, Switch
from plait.wire.internet import ETH_IPV4
from plait.wire.openflow.actions import (
    apply,
    conjunction,
    ct,
    ct_clear,
    dec_ttl,
    goto,
    group,
    instructions,
    move,
    multipath,
    output,
    output_reg,
    resubmit,
    set_field,
)
from plait.wire.openflow.mods import GroupType, bucket
from plait.wire.openflow.nicira import Bits
from plait.wire.openflow.oxm import match

from .real_switch import OpenVSwitch, RealSwitch

WORLDS = 40
PACKETS = 12
IP = {"eth_type": ETH_IPV4}
STATES = (FIRST, LATER, ANSWER)
PORTS = range(1, 7)
"""Those that the real switch has; registers may say others."""


@pytest.fixture(scope="module")
def real(ovs: OpenVSwitch) -> Iterator[RealSwitch]:
    switch = RealSwitch(ovs, "tk")
    yield switch
    switch.remove()


@pytest.mark.parametrize("seed", range(WORLDS))
async def test_both_meet_the_same_flows_and_put_out_of_the_same_ports(real: RealSwitch, seed: int) -> None:
    chance = random.Random(seed)
    flows = {each: number for number, each in enumerate(random_flows(chance), 1)}
    groups = [Group(1, GroupType.ALL, b"".join(bucket(each) for each in buckets(chance)))]
    simulated = Switch(flows, groups)
    await real.load_flows(flows, groups)
    for _ in range(PACKETS):
        packet, state = random_packet(chance), chance.choice(STATES)
        flow = packets.exact_text(packet, in_port=1)
        theirs = await real.trace(flow, size_bytes=packet.size_bytes, state=state)
        send = partial(simulated.trace, in_port=1, state=state)
        assert expected_steps(send, packet, flows.__getitem__) == theirs.steps, (flow, state)
        ends = tuple(
            ("port", end.ofport) if isinstance(end, Delivered) else ("controller",)
            for end in send(packet).ends
            if isinstance(end, Punted) or (isinstance(end, Delivered) and end.ofport in PORTS)
        )
        assert ends == theirs.ends, (flow, state)


def random_flows(chance: random.Random) -> Iterator[Flow]:
    """Each key once."""
    seen: set[bytes] = set()
    for each in (*some_flows(chance), *some_conjunctions(chance)):
        if each.key not in seen:
            seen.add(each.key)
            yield each


def some_flows(chance: random.Random) -> Iterator[Flow]:
    for table, following in ((0, 1), (1, 2), (2, 3), (3, None)):
        priorities = chance.sample(range(1, 120, 2), 6)
        for priority in priorities:
            yield flow(table, priority, random_match(chance), random_doing(chance, following))
        yield flow(table, 0, match(**IP), random_doing(chance, following))


def random_match(chance: random.Random) -> bytes:
    wanted: dict[str, int | tuple[int, int]] = dict(IP)
    if chance.random() < 0.4:
        wanted["ipv4_src"] = (0x0A000000 + chance.randrange(4), 0xFFFFFFFF if chance.random() < 0.5 else 1)
    if chance.random() < 0.3:
        wanted["nw_ttl"] = chance.randrange(3)
    if chance.random() < 0.6:
        mask = chance.choice((State.NEW, State.REPLY, State.TRACKED))
        wanted["ct_state"] = (chance.choice((0, int(mask))), int(mask))
    if chance.random() < 0.2:
        wanted["reg1"] = chance.randrange(3)
    return match(**wanted)


def random_doing(chance: random.Random, following: int | None) -> bytes:
    if following is None:
        return chance.choice([apply(output(chance.randrange(2, 6))), apply(output_reg("reg1", 0, 16)), b""])
    zone = Bits("reg1", 0, 16) if chance.random() < 0.5 else chance.randrange(1, 9)
    changes = [
        dec_ttl(),
        set_field("reg1", chance.randrange(2, 6)),
        move("ipv4_src", "reg1", 2),
        ct(commit=True, zone=zone),
        ct_clear(),
        set_field("ipv4_src", 0x0A000000 + chance.randrange(4)),
    ]
    begun = chance.sample(changes, chance.randrange(3))
    return chance.choice(
        [
            instructions(apply(*begun, set_field("reg2", 1)), goto(following)),
            instructions(apply(*begun, ct(commit=True, zone=zone)), goto(following)),
            apply(*begun, ct(zone=zone, table=following)),
            apply(*begun, ct(zone=zone, table=following)),
            apply(*begun, ct(commit=True, zone=zone, table=following), output(2)),
            apply(*begun, resubmit(following), output(3)),
            apply(*begun, group(1)),
        ]
    )


def buckets(chance: random.Random) -> Iterator[bytes]:
    """Copies that go on by way of the tracker, and copies that leave."""
    for number in range(chance.randrange(1, 4)):
        yield chance.choice(
            [
                set_field("reg1", number + 2) + ct(zone=Bits("reg1", 0, 16), table=3),
                output(number + 2),
                set_field("reg1", number + 2) + resubmit(3),
            ]
        )


def some_conjunctions(chance: random.Random) -> Iterator[Flow]:
    """In the last tables. Of flows with one priority that overlap either may be met, so none do."""
    for id, priority in enumerate(chance.sample(range(2, 120, 2), 4), 1):
        table = chance.choice((2, 3))
        members = [0x0A000000 + number for number in range(4) if chance.random() < 0.6]
        for address in members:
            yield flow(table, priority, match(**IP, ipv4_src=address), apply(conjunction(id, 1, 2)))
        for port in range(3):
            if chance.random() < 0.6:
                wanted = match(**IP, ip_proto=6, tcp_dst=80 + port)
                yield flow(table, priority, wanted, apply(conjunction(id, 2, 2)))
        decision = chance.choice([apply(output(chance.randrange(2, 6))), b""])
        if chance.random() < 0.9:
            yield flow(table, priority, match(**IP, conj_id=id), decision)


def random_packet(chance: random.Random) -> Packet:
    source = f"10.0.0.{chance.randrange(4)}"
    packet = packets.tcp(1, 2, source, "10.0.0.9", 80 + chance.randrange(3))
    return Packet({**packet.fields, "nw_ttl": chance.choice((1, 2, 64))}, packet.size_bytes)


def test_the_flows_are_of_every_kind_and_none_is_left_out() -> None:
    """Otherwise nothing of the above means anything."""
    ends: set[type] = set()
    tracked = 0
    for seed in range(WORLDS):
        chance = random.Random(seed)
        flows = list(random_flows(chance))
        groups = [Group(1, GroupType.ALL, b"".join(bucket(each) for each in buckets(chance)))]
        for _ in range(PACKETS):
            packet, state = random_packet(chance), chance.choice(STATES)
            try:
                seen = Switch(flows, groups).trace(packet, 1, state=state)
            except NotSimulated as error:
                pytest.fail(str(error))
            ends |= {type(end) for end in seen.ends}
            tracked += len(seen.tracked)
    assert ends == {Delivered, Dropped, Punted}
    assert tracked > WORLDS * PACKETS // 4


@pytest.mark.parametrize("forgets", [ct(commit=True, zone=5), ct(zone=5, table=3), ct_clear()])
async def test_behind_a_tracker_only_the_copy_knows_its_connection(real: RealSwitch, forgets: bytes) -> None:
    flows = [
        flow(0, 1, match(**IP), apply(ct(zone=1, table=1))),
        flow(1, 1, match(**IP), instructions(apply(forgets), goto(2))),
        flow(2, 1, match(**IP, ct_state=(int(State.TRACKED), int(State.TRACKED))), apply(output(2))),
        flow(2, 0, match(**IP), apply(output(3))),
    ]
    await real.load_flows(dict.fromkeys(flows, 1))
    packet = packets.tcp(1, 2, "10.0.0.1", "10.0.0.9", 80)
    theirs = await real.trace(packets.exact_text(packet, in_port=1), size_bytes=packet.size_bytes)
    assert theirs.ends == (("port", 3),)
    assert Switch(flows, []).trace(packet, 1).arrivals == (Delivered(3, packet),)


async def test_the_switch_takes_one_of_the_links_that_are_possible(real: RealSwitch) -> None:
    links = 4
    flows = [flow(0, 1, match(**IP), instructions(apply(multipath(links, "reg3", 0, 16)), goto(1)))]
    flows += [flow(1, 1, match(**IP, reg3=link), apply(output(2 + link))) for link in range(links)]
    await real.load_flows(dict.fromkeys(flows, 1))
    simulated = Switch(flows, [])
    taken = set()
    for number in range(20):
        packet = packets.tcp(1, 2, f"10.0.0.{number}", "10.0.0.9", 80)
        possible = [simulated.trace(packet, 1, link=link) for link in range(links)]
        assert {trace.links for trace in possible} == {(links,)}
        theirs = await real.trace(packets.exact_text(packet, in_port=1), size_bytes=packet.size_bytes)
        assert theirs.ends in {(("port", end.ofport),) for trace in possible for end in trace.arrivals}
        taken |= set(theirs.ends)
    assert len(taken) > 1
