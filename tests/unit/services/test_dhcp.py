"""A DHCP client's questions and what they are answered, case by case as in RFC 2131."""

from contextlib import suppress
from ipaddress import IPv4Address

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.model.entities import DhcpOption, FixedAddress, HostRoute, Network, Port, Subnet
from plait.model.routers import RouterInterface
from plait.services.dhcp import answer
from plait.services.identity import FALLBACK_SERVER, service_mac
from plait.services.lease import Leases, leases_of
from plait.wire.datagram import Datagram, decode_datagram
from plait.wire.dhcp import Kind, Message, Option, decode_message, encode_message, encode_options
from plait.wire.errors import MalformedMessage

MAC = bytes.fromhex("020000000005")
XID = b"\1\2\3\4"
NETWORK = Network(id="n1", name="web", vni=5000)
SUBNET = Subnet(
    id="s1",
    name="web-4",
    network="n1",
    prefix="10.0.0.0/24",
    gateway="10.0.0.1",
    lease_s=3600,
    dns=("10.0.0.53", "fd00::53", "9.9.9.9"),
    ntp=("10.0.0.123",),
    domain="example.com",
    search=("example.com", "a.example.com"),
    routes=(HostRoute("192.168.0.0/16", "10.0.0.254"),),
)
PORT = Port(
    id="p1",
    name="web-1",
    network="n1",
    mac="02:00:00:00:00:05",
    addresses=(FixedAddress("s1", "10.0.0.5"), FixedAddress("s1", "10.0.0.6")),
)
OWN, SECOND, OTHER, GATEWAY = (IPv4Address(f"10.0.0.{n}").packed for n in (5, 6, 77, 1))
REQUESTED, SERVER = Option.REQUESTED_ADDRESS, Option.SERVER_ID


def leases(
    subnet: Subnet = SUBNET, port: Port = PORT, interfaces: tuple[RouterInterface, ...] = ()
) -> Leases:
    of_port = leases_of(port, NETWORK, (subnet,), interfaces, 1450)
    assert of_port is not None
    return of_port


def asked(kind: Kind, options: dict[int, bytes] | None = None, **fields: bytes | bool) -> Message:
    message = encode_message(
        kind, encode_options(options or {}), xid=XID, is_request=True, **{"mac": MAC, **fields}
    )  # type: ignore[arg-type]
    return decode_message(message)


def replied(message: Message, of_port: Leases | None = None) -> tuple[Datagram, Message]:
    frame = answer(of_port or leases(), message).frame
    assert frame is not None
    datagram = decode_datagram(frame)
    return datagram, decode_message(datagram.payload)


@pytest.mark.parametrize(
    ("message", "kind", "address"),
    [
        (asked(Kind.DISCOVER), Kind.OFFER, OWN),
        (asked(Kind.DISCOVER, {REQUESTED: SECOND}), Kind.OFFER, SECOND),
        (asked(Kind.DISCOVER, {REQUESTED: OTHER}), Kind.OFFER, OWN),
        (asked(Kind.REQUEST, {SERVER: GATEWAY, REQUESTED: OWN}), Kind.ACK, OWN),
        (asked(Kind.REQUEST, {SERVER: GATEWAY, REQUESTED: SECOND}), Kind.ACK, SECOND),
        (asked(Kind.REQUEST, {SERVER: GATEWAY, REQUESTED: OTHER}), Kind.NAK, bytes(4)),
        (asked(Kind.REQUEST, {REQUESTED: OWN}), Kind.ACK, OWN),
        (asked(Kind.REQUEST, {REQUESTED: OTHER}), Kind.NAK, bytes(4)),
        (asked(Kind.REQUEST, {REQUESTED: b"\x0a"}), Kind.NAK, bytes(4)),
        (asked(Kind.REQUEST, client=OWN), Kind.ACK, OWN),
        (asked(Kind.REQUEST, client=OTHER), Kind.NAK, bytes(4)),
        (asked(Kind.INFORM, client=OTHER), Kind.ACK, bytes(4)),
    ],
    ids=[
        "discover",
        "discover its second address",
        "discover a strange address",
        "selecting",
        "selecting its second address",
        "selecting a strange address",
        "init-reboot",
        "init-reboot with a strange address",
        "init-reboot with a broken address",
        "renewing or rebinding",
        "renewing a strange address",
        "inform",
    ],
)
def test_a_client_is_answered(message: Message, kind: Kind, address: bytes) -> None:
    _, reply = replied(message)
    assert (Kind(reply.kind), reply.yours) == (kind, address)
    assert not reply.is_request
    assert (reply.xid, reply.mac) == (XID, MAC)
    assert reply.options[SERVER] == GATEWAY


@pytest.mark.parametrize(
    "message",
    [
        asked(Kind.REQUEST, {SERVER: OTHER, REQUESTED: OWN}),
        asked(Kind.REQUEST),
        asked(Kind.DISCOVER, relay=b"\x0a\0\0\x0a"),
        asked(Kind.DISCOVER, mac=bytes.fromhex("020000000006")),
        asked(Kind.RELEASE, {SERVER: GATEWAY}, client=OWN),
        asked(Kind.DECLINE, {SERVER: GATEWAY, REQUESTED: OWN}),
        asked(Kind.INFORM),
        asked(Kind.OFFER),
        decode_message(encode_message(Kind.DISCOVER, b"", xid=XID, mac=MAC)),
    ],
    ids=[
        "for another server",
        "a request for nothing",
        "by a relay agent",
        "a strange MAC",
        "release",
        "decline",
        "inform of nobody",
        "a server's message",
        "an answer",
    ],
)
def test_a_client_is_not_answered(message: Message) -> None:
    assert answer(leases(), message).frame is None


def test_a_declined_address_is_told_if_it_was_given() -> None:
    assert answer(leases(), asked(Kind.DECLINE, {REQUESTED: SECOND})).declined == SECOND
    assert answer(leases(), asked(Kind.DECLINE, {REQUESTED: OTHER})).declined is None
    assert answer(leases(), asked(Kind.RELEASE, client=OWN)).declined is None


@pytest.mark.parametrize(
    ("message", "to", "to_mac"),
    [
        (asked(Kind.DISCOVER), OWN, MAC),
        (asked(Kind.DISCOVER, wants_broadcast=True), b"\xff" * 4, b"\xff" * 6),
        (asked(Kind.REQUEST, client=OWN), OWN, MAC),
        (asked(Kind.REQUEST, client=OTHER), b"\xff" * 4, b"\xff" * 6),
        (asked(Kind.REQUEST, {REQUESTED: OTHER}), b"\xff" * 4, b"\xff" * 6),
        (asked(Kind.INFORM, client=OTHER), OTHER, MAC),
    ],
    ids=["without address", "by broadcast", "with address", "NAK of it", "NAK", "inform"],
)
def test_an_answer_goes_where_rfc_2131_sends_it(message: Message, to: bytes, to_mac: bytes) -> None:
    datagram, reply = replied(message)
    assert (datagram.destination, datagram.destination_mac) == (to, to_mac)
    assert (datagram.source, datagram.source_mac) == (GATEWAY, service_mac("n1"))
    assert (datagram.source_port, datagram.destination_port) == (67, 68)
    assert reply.wants_broadcast == message.wants_broadcast


def test_everything_that_belongs_to_an_address_is_told() -> None:
    _, reply = replied(asked(Kind.DISCOVER))
    assert reply.options == {
        53: b"\2",
        54: GATEWAY,
        51: (3600).to_bytes(4, "big"),
        58: (1800).to_bytes(4, "big"),
        59: (3150).to_bytes(4, "big"),
        1: b"\xff\xff\xff\0",
        3: GATEWAY,
        6: IPv4Address("10.0.0.53").packed + IPv4Address("9.9.9.9").packed,
        26: (1450).to_bytes(2, "big"),
        121: bytes.fromhex("10c0a8 0a0000fe" + "00 0a000001"),
        15: b"example.com",
        12: b"web-1",
        28: IPv4Address("10.0.0.255").packed,
        42: IPv4Address("10.0.0.123").packed,
        119: b"\x07example\x03com\0" + b"\x01a\xc0\0",
    }


def test_who_informs_is_told_everything_but_a_lease() -> None:
    _, offer = replied(asked(Kind.DISCOVER))
    _, reply = replied(asked(Kind.INFORM, client=OTHER))
    lease = {51: None, 58: None, 59: None, 53: None}
    assert {**reply.options, **lease} == {**offer.options, **lease}
    assert reply.options.keys().isdisjoint({51, 58, 59})


def test_a_nak_says_nothing_but_who_says_it() -> None:
    _, reply = replied(asked(Kind.REQUEST, {REQUESTED: OTHER, Option.CLIENT_ID: b"me"}))
    assert reply.options == {53: b"\6", 54: GATEWAY, 61: b"me"}


@pytest.mark.parametrize("kind", [Kind.DISCOVER, Kind.INFORM])
def test_a_client_identifier_comes_back(kind: Kind) -> None:
    _, reply = replied(asked(kind, {Option.CLIENT_ID: b"\1\2\3"}, client=OWN))
    assert reply.options[Option.CLIENT_ID] == b"\1\2\3"


def test_free_options_replace_ours_and_those_of_a_port_the_subnets() -> None:
    subnet = msgspec.structs.replace(
        SUBNET,
        dhcp_options=(DhcpOption(4, 26, "0578"), DhcpOption(4, 66, "61"), DhcpOption(6, 67, "62")),
    )
    port = msgspec.structs.replace(
        PORT, hostname="www", dhcp_options=(DhcpOption(4, 66, "63"), DhcpOption(4, 54, "01020304"))
    )
    _, reply = replied(asked(Kind.DISCOVER), leases(subnet, port))
    assert reply.options[26] == b"\x05\x78"
    assert reply.options[66] == b"c"
    assert reply.options[12] == b"www"
    assert reply.options[54] == GATEWAY
    assert 67 not in reply.options


def interface(router: str, address: str) -> RouterInterface:
    return RouterInterface(
        router=router,
        network="n1",
        subnet="s1",
        prefix="10.0.0.0/24",
        address=address,
        mac="02:00:00:00:00:0f",
    )


@pytest.mark.parametrize(
    ("gateway", "interfaces", "router"),
    [
        ("10.0.0.1", (), "10.0.0.1"),
        ("10.0.0.1", (interface("r1", "10.0.0.1"), interface("r2", "10.0.0.2")), "10.0.0.1"),
        (None, (interface("r1", "10.0.0.2"),), "10.0.0.2"),
        ("10.0.0.1", (interface("r1", "10.0.0.2"),), "10.0.0.2"),
    ],
    ids=["gateway alone", "router at the gateway", "router without a gateway", "router beside the gateway"],
)
def test_the_default_router_is_where_one_is(
    gateway: str | None, interfaces: tuple[RouterInterface, ...], router: str
) -> None:
    subnet = msgspec.structs.replace(SUBNET, gateway=gateway)
    _, reply = replied(asked(Kind.DISCOVER), leases(subnet, interfaces=interfaces))
    assert reply.options[3] == reply.options[54] == IPv4Address(router).packed


def test_without_gateway_there_is_no_router_and_a_server_all_the_same() -> None:
    subnet = msgspec.structs.replace(SUBNET, gateway=None)
    datagram, reply = replied(asked(Kind.DISCOVER), leases(subnet))
    assert 3 not in reply.options
    assert reply.options[121] == bytes.fromhex("10c0a80a0000fe")
    assert datagram.source == reply.options[54] == FALLBACK_SERVER


def test_a_port_without_an_address_for_dhcp_has_no_lease() -> None:
    off = msgspec.structs.replace(SUBNET, dhcp=False)
    assert leases_of(PORT, NETWORK, (off,), (), 1450) is None
    assert leases_of(msgspec.structs.replace(PORT, addresses=()), NETWORK, (SUBNET,), (), 1450) is None


LONG = msgspec.structs.replace(
    SUBNET, dhcp_options=tuple(DhcpOption(4, code, "ab" * 200) for code in (224, 225))
)


def test_a_small_client_gets_what_it_asks_for_as_far_as_it_goes_in() -> None:
    _, reply = replied(asked(Kind.DISCOVER, {Option.PARAMETERS: bytes((225, 3, 1, 224))}), leases(LONG))
    assert reply.options.keys() == {53, 54, 51, 58, 59, 1, 3, 224}


def test_a_client_with_room_gets_all() -> None:
    _, reply = replied(asked(Kind.DISCOVER, {Option.MAX_SIZE: (1500).to_bytes(2, "big")}), leases(LONG))
    assert {224, 225, 119, 12} <= reply.options.keys()


@given(st.integers(0, 65535), st.binary(max_size=20), st.lists(st.integers(1, 254), max_size=9, unique=True))
def test_no_answer_is_larger_than_its_client_can_take(size: int, client_id: bytes, codes: list[int]) -> None:
    subnet = msgspec.structs.replace(
        SUBNET, dhcp_options=tuple(DhcpOption(4, code, "ab" * 255) for code in codes)
    )
    options = {Option.MAX_SIZE: size.to_bytes(2, "big"), Option.CLIENT_ID: client_id}
    datagram, reply = replied(asked(Kind.DISCOVER, options), leases(subnet))
    assert len(datagram.payload) + 28 <= max(576, min(size, 1450))
    assert {53, 54, 51} <= reply.options.keys()


@given(st.binary(max_size=400), st.sampled_from(list(Kind)))
def test_whatever_a_client_says_it_gets_its_own_address_or_none(data: bytes, kind: Kind) -> None:
    with suppress(MalformedMessage):
        message = decode_message(encode_message(kind, b"", xid=XID, mac=MAC, is_request=True)[:243] + data)
        if (frame := answer(leases(LONG), message).frame) is not None:
            reply = decode_message(decode_datagram(frame).payload)
            assert reply.yours in (OWN, SECOND, bytes(4))
