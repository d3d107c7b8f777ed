"""Whatever an endpoint sends to those who give out addresses, its host stays well and others are served."""

import random
from collections.abc import Iterator
from functools import partial

import pytest
from tests.lab.assigning import asked
from tests.lab.conftest import MakeEndpoint, MakeNetwork

from plait.intent import Intent
from plait.lab import crafted
from plait.lab.endpoint import Endpoint
from plait.lab.lab import Lab
from plait.lab.waiting import wait_until
from plait.lab.wire import Wire
from plait.model.entities import AddressPair, PortState
from plait.wire.datagram import Datagram, encode_datagram
from plait.wire.dhcp import Kind, encode_message

FRAMES = 2000
SEED = 20_131_115
VIP, VIP6 = "10.0.0.200", "fd00:10::200"
ALL_NODES, ALL_ROUTERS = ("33:33:00:00:00:01", "ff02::1"), ("33:33:00:00:00:02", "ff02::2")
ALL_SERVERS = ("33:33:00:01:00:02", "ff02::1:2")


def dhcp(end: Endpoint, chance: random.Random) -> bytes:
    """A client's question, broken in its middle, at its end, or in its lengths."""
    mac = bytes.fromhex(end.mac.replace(":", ""))
    options = chance.randbytes(chance.randrange(300))
    kind = chance.choice(list(Kind))
    message = encode_message(
        kind, options, xid=chance.randbytes(4), mac=mac, is_request=chance.random() < 0.9
    )
    message = damaged(message, chance)
    return encode_datagram(Datagram(mac, b"\xff" * 6, bytes(4), b"\xff" * 4, 68, 67, message))


def dhcpv6(end: Endpoint, chance: random.Random) -> bytes:
    codes = (1, 2, 3, 4, 5, 6, 8, 13, 14, 25)
    message = bytes((chance.randrange(14),)) + chance.randbytes(3)
    for _ in range(chance.randrange(8)):
        value = chance.randbytes(chance.choice((0, 1, 4, 12, 24, 40, 130)))
        length = len(value) if chance.random() < 0.8 else chance.randrange(65536)
        message += chance.choice(codes).to_bytes(2, "big") + length.to_bytes(2, "big") + value
    return crafted.udp(
        (end.mac, link_local(end)), ALL_SERVERS, damaged(message, chance), sport=546, dport=547
    )


def router_solicitation(end: Endpoint, chance: random.Random) -> bytes:
    body = b"\x85\0\0\0" + chance.randbytes(chance.randrange(40))
    source = chance.choice((link_local(end), "::"))
    return crafted.icmpv6((end.mac, source), ALL_ROUTERS, body, hops=chance.choice((255, 64)))


def arp(end: Endpoint, chance: random.Random) -> bytes:
    return damaged(
        crafted.arp(
            end.mac,
            crafted.BROADCAST,
            operation=chance.choice((1, 2, 3)),
            sender=(end.mac, chance.choice((VIP, end.v4, "0.0.0.0"))),
            target=("00:00:00:00:00:00", chance.choice((VIP, end.v4))),
        ),
        chance,
    ).ljust(60, b"\0")


def neighbour(end: Endpoint, chance: random.Random) -> bytes:
    """Solicitations and advertisements, the latter for the address that may be claimed."""
    target = bytes.fromhex("fd000010000000000000000000000200")
    body = bytes((chance.choice((135, 136)), 0, 0, 0)) + chance.randbytes(4) + target
    body += chance.randbytes(chance.randrange(24))
    return crafted.icmpv6((end.mac, chance.choice((VIP6, link_local(end)))), ALL_NODES, body)


def link_local(end: Endpoint) -> str:
    first, *rest = bytes.fromhex(end.mac.replace(":", ""))
    packed = bytes((first ^ 2, *rest[:2], 0xFF, 0xFE, *rest[2:]))
    return "fe80::" + packed.hex(":", -2)


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Half of the time: some bytes other ones, the end cut off."""
    if chance.random() < 0.5:
        return data
    bytes_ = bytearray(data)
    for _ in range(chance.randrange(6)):
        bytes_[chance.randrange(len(bytes_))] = chance.randrange(256)
    return bytes(bytes_[: chance.randrange(len(bytes_) + 1)])


KINDS = (dhcp, dhcpv6, router_solicitation, arp, neighbour)


def frames(end: Endpoint, chance: random.Random) -> Iterator[bytes]:
    for number in range(FRAMES):
        yield KINDS[number % len(KINDS)](end, chance)


@pytest.mark.parametrize("security", [True, False], ids=["with port security", "without"])
def test_broken_frames_harm_nobody(
    lab: Lab, network: MakeNetwork, endpoint: MakeEndpoint, security: bool
) -> None:
    of = network()
    pairs = (AddressPair(f"{VIP}/32"), AddressPair(f"{VIP6}/128")) if security else ()
    villain = endpoint(of, "h1", address_pairs=pairs, security=security)
    neighbour, far = endpoint(of, "h1"), endpoint(of, "h2")
    before = villain.host.ask("status")
    agent = villain.host.agent
    assert agent is not None
    with Wire(villain.namespace) as wire:
        for frame in frames(villain, random.Random(SEED)):
            wire.send(frame[:1514])
    assert all(asked(end, Kind.DISCOVER) is not None for end in (villain, neighbour, far))
    assert neighbour.ping(far.v4).lost == neighbour.ping(far.v6).lost == 0
    after = villain.host.ask("status")
    assert after["packets_refused"] > before["packets_refused"]
    assert after["packets_answered"] > before["packets_answered"]
    assert villain.host.agent == agent
    assert lab.frontend.run(partial(_state, villain)) is PortState.UP
    wait_until(lambda: lab.differences() == {}, "all agents agree with their switches")


async def _state(end: Endpoint, intent: Intent) -> PortState:
    port = await intent.ports.get(end.record.port or "")
    return (await intent.ports.wait_up(port, timeout_s=10)).state


def test_a_flood_of_questions_leaves_others_their_answers_and_changes_their_way(
    lab: Lab, network: MakeNetwork, endpoint: MakeEndpoint
) -> None:
    of = network()
    villain, neighbour = endpoint(of, "h1"), endpoint(of, "h1")
    mac = bytes.fromhex(villain.mac.replace(":", ""))
    question = encode_message(Kind.DISCOVER, b"", xid=b"abcd", mac=mac, is_request=True)
    frame = encode_datagram(Datagram(mac, b"\xff" * 6, bytes(4), b"\xff" * 4, 68, 67, question))
    with Wire(villain.namespace) as wire:
        for _ in range(20):
            wire.send(*[frame] * 500)
        late = endpoint(of, "h1")
        wire.send(*[frame] * 500)
        assert late.ping(neighbour.v4).lost == 0
    wait_until(lambda: asked(neighbour, Kind.DISCOVER, patience_s=1) is not None, "the neighbour is answered")
    assert lab.differences() == {}
