"""What the agent does with packets that flows hand over: whom it answers, what it notes, what it refuses."""

import asyncio
from collections.abc import Iterable

import pytest

from plait.agent.engine import Engine
from plait.agent.punts import PORTION, Punts
from plait.agent.services.advertising import Advertising
from plait.agent.services.announcing import Announcing
from plait.agent.services.claims import Claims
from plait.agent.services.dhcp import Dhcp
from plait.agent.services.punted import Punted
from plait.agent.services.remembered import Remembered
from plait.flows.punt import Punt
from plait.lab import crafted
from plait.model.entities import (
    AddressPair,
    Endpoint,
    FixedAddress,
    Ipv6Mode,
    LiveHost,
    Network,
    Port,
    Subnet,
)
from plait.model.facets import Attachment, Change, Claim
from plait.model.lens import Lens
from plait.wire.announcement import Announcement, decode_announcement
from plait.wire.datagram import Datagram, decode_datagram, encode_datagram
from plait.wire.dhcp import Kind, decode_message, encode_message
from plait.wire.errors import MalformedMessage
from plait.wire.openflow.actions import output
from plait.wire.openflow.oxm import match
from plait.wire.openflow.packets import PacketIn

VIP = "10.0.0.200"
NETWORK = Network(id="n1", name="web", vni=5000)
SUBNETS = (
    Subnet(id="s4", name="s4", network="n1", prefix="10.0.0.0/24", gateway="10.0.0.1"),
    Subnet(id="s6", name="s6", network="n1", prefix="fd00:10::/64", gateway="fd00:10::1"),
)


def port(number: int, *, pairs: Iterable[str] = (f"{VIP}/32",), name: str | None = None) -> Port:
    return Port(
        id=f"p{number}",
        name=name or f"web-{number}",
        network="n1",
        mac=f"02:00:00:00:00:{number:02x}",
        addresses=(FixedAddress("s4", f"10.0.0.{number}"), FixedAddress("s6", f"fd00:10::{number}")),
        host="h1",
        address_pairs=tuple(AddressPair(pair) for pair in pairs),
    )


def elsewhere(number: int, *more: str, host: str = "h2") -> Change:
    endpoint = Endpoint(
        network="n1",
        port=f"p{number}",
        mac=f"02:00:00:00:00:{number:02x}",
        host=host,
        ips=(f"10.0.0.{number}", *more),
    )
    return Change(Endpoint, endpoint.port, endpoint)


@pytest.fixture
async def engine() -> Engine:
    """Two ports of this host in one network."""
    engine = Engine("h1")
    engine.change(
        [
            Change(LiveHost, "h1", LiveHost(name="h1", vtep="172.16.0.1")),
            Change(Network, "n1", NETWORK),
            *(Change(Subnet, subnet.id, subnet) for subnet in SUBNETS),
            *(Change(Port, f"p{number}", port(number)) for number in (1, 2)),
            *(Change(Attachment, f"p{number}", Attachment(f"p{number}", number)) for number in (1, 2)),
        ]
    )
    return engine


def discover(number: int) -> bytes:
    mac = bytes((2, 0, 0, 0, 0, number))
    question = encode_message(Kind.DISCOVER, b"", xid=b"abcd", mac=mac, is_request=True)
    return encode_datagram(Datagram(mac, b"\xff" * 6, bytes(4), b"\xff" * 4, 68, 67, question))


def announcement(number: int) -> Punted:
    mac = f"02:00:00:00:00:{number:02x}"
    frame = crafted.arp(
        mac, crafted.BROADCAST, operation=1, sender=(mac, VIP), target=("00:00:00:00:00:00", VIP)
    )
    return Punted(number, NETWORK.vni, frame)


def offered(dhcp: Dhcp, number: int) -> dict[int, bytes]:
    frame = dhcp.answer_v4(Punted(number, NETWORK.vni, discover(number)))
    assert frame is not None
    return decode_message(decode_datagram(frame).payload).options


async def test_what_a_port_is_told_follows_the_view(engine: Engine) -> None:
    dhcp = Dhcp(engine)
    assert offered(dhcp, 1)[12] == b"web-1"
    engine.change([Change(Port, "p1", port(1, name="other"))])
    assert offered(dhcp, 1)[12] == b"other"
    engine.change([Change(Subnet, "s4", Subnet(id="s4", name="s4", network="n1", prefix="10.0.0.0/24"))])
    assert 3 not in offered(dhcp, 1)
    engine.change([Change(LiveHost, "h1", LiveHost(name="h1", vtep="172.16.0.1", underlay_mtu_bytes=9000))])
    assert offered(dhcp, 1)[26] == (8950).to_bytes(2, "big")
    engine.change([Change(Attachment, "p1", None)])
    assert dhcp.answer_v4(Punted(1, NETWORK.vni, discover(1))) is None


async def test_what_was_worked_out_is_kept_until_something_that_it_came_from_changes(engine: Engine) -> None:
    worked_out: list[int] = []

    def name(lens: Lens, ofport: int) -> str | None:
        worked_out.append(ofport)
        id = lens.port_at(ofport)
        found = None if id is None else lens.port(id)
        return None if found is None else found.name

    names = Remembered(engine, name)
    assert [names.of(1), names.of(1), names.of(2)] == ["web-1", "web-1", "web-2"]
    engine.change([Change(Port, "p2", port(2, name="other"))])
    assert [names.of(1), names.of(2)] == ["web-1", "other"]
    assert worked_out == [1, 2, 2]


def claims_of(engine: Engine) -> dict[str, tuple[str, ...]]:
    return {claim.port: claim.ips for claim in engine.view.all(Claim)}


async def test_an_announced_address_is_the_port_s_and_the_last_word_counts(engine: Engine) -> None:
    claims = Claims(engine)
    claims.answer(announcement(1))
    assert claims_of(engine) == {"p1": (VIP,)}
    station = engine.view.station("p1")
    assert station is not None
    assert VIP in station.ips
    claims.answer(announcement(2))
    assert claims_of(engine) == {"p2": (VIP,)}


async def test_a_port_without_the_pair_claims_nothing(engine: Engine) -> None:
    claims = Claims(engine)
    engine.change([Change(Port, "p1", port(1, pairs=("10.0.0.128/25",)))])
    claims.answer(announcement(1))
    assert claims_of(engine) == {}


async def test_a_claim_ends_with_its_pair_and_with_its_port(engine: Engine) -> None:
    claims = Claims(engine)
    claims.answer(announcement(1))
    engine.change([Change(Port, "p1", port(1, pairs=()))])
    assert claims_of(engine) == {}
    claims.answer(announcement(2))
    engine.change([Change(Attachment, "p2", None)])
    assert claims_of(engine) == {}


async def test_a_claim_that_was_announced_gives_way_to_one_that_comes_later(engine: Engine) -> None:
    claims = Claims(engine)
    claims.answer(announcement(1))
    engine.change([elsewhere(1, VIP, host="h1")])
    engine.change([elsewhere(9)])
    assert claims_of(engine) == {"p1": (VIP,)}
    engine.change([elsewhere(9, VIP)])
    assert claims_of(engine) == {}


async def test_a_claim_that_is_still_to_be_announced_comes_later_than_what_stands(engine: Engine) -> None:
    claims = Claims(engine)
    claims.answer(announcement(1))
    engine.change([elsewhere(9, VIP)])
    assert claims_of(engine) == {"p1": (VIP,)}
    # Once it is announced, the other host gives way; until then it may say other things of its own.
    engine.change([elsewhere(1, VIP, host="h1")])
    engine.change([elsewhere(9, VIP, "10.0.0.201")])
    assert claims_of(engine) == {"p1": (VIP,)}


async def test_a_claim_takes_an_address_from_who_has_it_elsewhere(engine: Engine) -> None:
    claims = Claims(engine)
    engine.change([elsewhere(9, VIP)])
    claims.answer(announcement(1))
    engine.change([elsewhere(1, VIP, host="h1")])
    engine.change([elsewhere(9, VIP, "10.0.0.201")])
    assert claims_of(engine) == {"p1": (VIP,)}


class Switch:
    """Takes packets for ports."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, bytes]] = []
        self.something = asyncio.Event()

    async def packet_out(self, frame: bytes, actions: bytes) -> None:
        self.sent.append((frame, actions))
        self.something.set()

    async def next(self) -> tuple[bytes, bytes]:
        async with asyncio.timeout(5):
            while not self.sent:
                self.something.clear()
                await self.something.wait()
        return self.sent.pop(0)


@pytest.fixture
async def advertised(engine: Engine) -> Iterable[tuple[Switch, Advertising]]:
    switch = Switch()
    advertising = Advertising(engine, switch.packet_out)
    engine.open_gate()
    task = asyncio.create_task(advertising.run())
    advertising.say_again()
    yield switch, advertising
    task.cancel()
    await asyncio.wait([task])


async def test_everybody_is_told_at_the_start_and_of_every_change(
    engine: Engine, advertised: tuple[Switch, Advertising]
) -> None:
    switch, _ = advertised
    _, actions = await switch.next()
    assert actions == output(1) + output(2)
    slaac = Subnet(
        id="s6",
        name="s6",
        network="n1",
        prefix="fd00:10::/64",
        ipv6_mode=Ipv6Mode.SLAAC,
        gateway="fd00:10::1",
    )
    engine.change([Change(Subnet, "s6", slaac)])
    frame, actions = await switch.next()
    assert actions == output(1) + output(2)
    # No M flag any more.
    assert frame[54 + 5] == 0
    engine.change([Change(Subnet, "s6", None)])
    frame, _ = await switch.next()
    assert frame[54 + 6 : 54 + 8] == b"\0\0"


async def test_who_asks_and_who_is_new_is_told_alone(
    engine: Engine, advertised: tuple[Switch, Advertising]
) -> None:
    switch, advertising = advertised
    await switch.next()
    source = ("02:00:00:00:00:02", "fe80::2")
    asked = crafted.icmpv6(source, ("33:33:00:00:00:02", "ff02::2"), b"\x85" + bytes(7))
    advertising.answer(Punted(2, NETWORK.vni, asked))
    assert (await switch.next())[1] == output(2)
    engine.change([Change(Port, "p3", port(3)), Change(Attachment, "p3", Attachment("p3", 3))])
    assert (await switch.next())[1] == output(3)


async def test_own_endpoints_hear_where_an_address_is_now(engine: Engine) -> None:
    switch = Switch()
    announcing = Announcing(engine, switch.packet_out)
    task = asyncio.create_task(announcing.run())
    engine.change([elsewhere(9)])
    engine.change([elsewhere(9, VIP)])
    frame, actions = await switch.next()
    assert decode_announcement(frame) == Announcement("02:00:00:00:00:09", VIP)
    assert actions == output(1) + output(2)
    claims = Claims(engine)
    claims.answer(announcement(1))
    frame, actions = await switch.next()
    assert decode_announcement(frame) == Announcement("02:00:00:00:00:01", VIP)
    assert actions == output(2)
    assert not switch.sent
    task.cancel()
    await asyncio.wait([task])


class Connection:
    def __init__(self) -> None:
        self.sent: list[tuple[bytes, bytes]] = []

    async def packet_out(self, frame: bytes, actions: bytes) -> None:
        self.sent.append((frame, actions))


def packet_in(userdata: bytes, frame: bytes = b"frame") -> PacketIn:
    metadata = match(in_port=7, reg0=5000)
    return PacketIn(
        data=frame,
        size_bytes=len(frame),
        table=10,
        cookie=0,
        reason=1,
        metadata=metadata,
        userdata=userdata,
    )


async def test_a_packet_goes_to_the_service_for_its_reason_and_the_answer_back() -> None:
    punts = Punts({Punt.DHCP: lambda punted: punted.frame + punted.note})
    connection = Connection()
    await punts.take(connection, packet_in(bytes((Punt.DHCP,)) + b"note"))  # type: ignore[arg-type]
    assert connection.sent == [(b"framenote", output(7))]
    assert (punts.answered, punts.refused) == (1, 0)


async def test_what_is_broken_or_without_a_reason_is_counted_and_nothing_else() -> None:
    def refuse(punted: Punted) -> None:
        raise MalformedMessage("frame", 0, "it is broken")

    punts = Punts({Punt.DHCP: refuse})
    connection = Connection()
    for packet in (packet_in(bytes((Punt.DHCP,))), packet_in(b""), packet_in(b"\xff")):
        await punts.take(connection, packet)  # type: ignore[arg-type]
    assert (connection.sent, punts.answered, punts.refused) == ([], 0, 3)


async def test_others_have_turns_between_many_packets() -> None:
    punts = Punts({Punt.DHCP: lambda punted: None})
    turns = []

    async def other() -> None:
        for _ in range(3):
            turns.append(len(turns))
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    for _ in range(3 * PORTION):
        await punts.take(Connection(), packet_in(bytes((Punt.DHCP,))))  # type: ignore[arg-type]
    assert turns == [0, 1, 2]
    await task
