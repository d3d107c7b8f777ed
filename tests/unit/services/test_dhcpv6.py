"""A DHCPv6 client's questions and what they are answered, case by case as in RFC 8415."""

from contextlib import suppress
from ipaddress import IPv6Address

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.model.entities import DhcpOption, FixedAddress, Ipv6Mode, Network, Port, Subnet
from plait.services.assignment import Assignment, assignment_of
from plait.services.dhcpv6 import answer
from plait.services.identity import link_local, server_duid, service_mac
from plait.wire import dhcpv6
from plait.wire.datagram import decode_datagram
from plait.wire.dhcpv6 import Association, Kind, Message, Option, Status, decode_message, decode_options
from plait.wire.errors import MalformedMessage

MAC = bytes.fromhex("020000000005")
SOURCE = link_local(MAC)
CLIENT, SERVER = b"\0\3\0\1client", server_duid("n1")
NETWORK = Network(id="n1", name="web", vni=5000)
SUBNET = Subnet(
    id="s1",
    name="web-6",
    network="n1",
    prefix="fd00:10::/64",
    gateway="fd00:10::1",
    lease_s=3000,
    dns=("10.0.0.53", "fd00::53"),
    ntp=("fd00::123",),
    search=("example.com",),
)
PORT = Port(
    id="p1",
    name="web-1",
    network="n1",
    mac="02:00:00:00:00:05",
    addresses=(FixedAddress("s1", "fd00:10::5"), FixedAddress("s1", "fd00:10::6")),
)
OWN, SECOND, STALE, STRANGE = (
    IPv6Address(text).packed for text in ("fd00:10::5", "fd00:10::6", "fd00:10::77", "fd00:99::5")
)
ONE = b"\0\0\0\1"


def assigned(subnet: Subnet = SUBNET, port: Port = PORT) -> Assignment:
    of_port = assignment_of(port, NETWORK, (subnet,))
    assert of_port is not None
    return of_port


def na(*addresses: bytes, id: bytes = ONE) -> Association:
    return Association(Option.IA_NA, id, addresses)


def asked(kind: Kind, *associations: Association, server: bytes | None = None, **more: object) -> Message:
    fields = {"client_id": CLIENT, "server_id": server, "associations": associations, **more}
    return Message(kind, b"\1\2\3", **fields)  # type: ignore[arg-type]


def replied(message: Message, assignment: Assignment | None = None) -> tuple[Kind, dict[int, list[bytes]]]:
    frame = answer(assignment or assigned(), message, mac=MAC, source=SOURCE).frame
    assert frame is not None
    datagram = decode_datagram(frame)
    assert (datagram.destination_mac, datagram.destination) == (MAC, SOURCE)
    assert (datagram.source_mac, datagram.source) == (service_mac("n1"), link_local(service_mac("n1")))
    assert (datagram.source_port, datagram.destination_port) == (547, 546)
    options: dict[int, list[bytes]] = {}
    for code, value in decode_options(datagram.payload[4:]):
        options.setdefault(code, []).append(value)
    assert datagram.payload[1:4] == message.xid
    assert options.pop(Option.SERVER_ID) == [SERVER]
    assert options.pop(Option.CLIENT_ID, None) == (None if message.client_id is None else [CLIENT])
    return Kind(datagram.payload[0]), options


def addresses(association: bytes) -> dict[bytes, int]:
    """Address -> seconds that it counts."""
    given = (value for code, value in decode_options(association[12:]) if code == Option.IA_ADDRESS)
    return {value[:16]: int.from_bytes(value[20:24], "big") for value in given}


def status(options: bytes) -> Status | None:
    said = dict(decode_options(options)).get(Option.STATUS)
    return None if said is None else Status(int.from_bytes(said[:2], "big"))


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (asked(Kind.SOLICIT, na()), Kind.ADVERTISE),
        (asked(Kind.SOLICIT, na(STALE)), Kind.ADVERTISE),
        (asked(Kind.SOLICIT, na(), wants_rapid_commit=True), Kind.REPLY),
        (asked(Kind.REQUEST, na(), server=SERVER), Kind.REPLY),
        (asked(Kind.REQUEST, na(OWN), server=SERVER), Kind.REPLY),
        (asked(Kind.REQUEST, na(STALE), server=SERVER), Kind.REPLY),
        (asked(Kind.RENEW, na(OWN), server=SERVER), Kind.REPLY),
        (asked(Kind.REBIND, na(OWN, SECOND)), Kind.REPLY),
    ],
    ids=[
        "solicit",
        "solicit another",
        "rapid",
        "request",
        "request one",
        "request another",
        "renew",
        "rebind",
    ],
)
def test_a_client_gets_all_addresses_of_its_port(message: Message, kind: Kind) -> None:
    got, options = replied(message)
    assert got == kind
    assert (Option.RAPID_COMMIT in options) == message.wants_rapid_commit
    (association,) = options[Option.IA_NA]
    assert association[:4] == ONE
    assert [int.from_bytes(association[at : at + 4], "big") for at in (4, 8)] == [1500, 2400]
    assert addresses(association) == {OWN: 3000, SECOND: 3000}


@pytest.mark.parametrize("kind", [Kind.RENEW, Kind.REBIND])
def test_an_address_that_the_port_has_no_more_ends_at_once(kind: Kind) -> None:
    server = SERVER if kind is Kind.RENEW else None
    _, options = replied(asked(kind, na(OWN, STALE), server=server))
    assert addresses(options[Option.IA_NA][0]) == {OWN: 3000, SECOND: 3000, STALE: 0}


@pytest.mark.parametrize(
    ("message", "code", "expected"),
    [
        (asked(Kind.REQUEST, na(STRANGE), server=SERVER), Option.IA_NA, Status.NOT_ON_LINK),
        (asked(Kind.SOLICIT, na(), Association(Option.IA_PD, ONE)), Option.IA_PD, Status.NO_PREFIX),
    ],
    ids=["another link's address", "a prefix"],
)
def test_what_can_not_be_given_is_said(message: Message, code: Option, expected: Status) -> None:
    _, options = replied(message)
    assert status(options[code][0][12:]) == expected


def test_temporary_and_further_associations_get_no_addresses() -> None:
    _, options = replied(asked(Kind.SOLICIT, na(), na(id=b"\0\0\0\2"), Association(Option.IA_TA, ONE)))
    first, second = options[Option.IA_NA]
    assert addresses(first).keys() == {OWN, SECOND}
    assert status(second[12:]) == Status.NO_ADDRESSES
    assert status(options[Option.IA_TA][0][4:]) == Status.NO_ADDRESSES


@pytest.mark.parametrize(
    ("kind", "server", "expected"),
    [
        (Kind.SOLICIT, None, Status.NO_ADDRESSES),
        (Kind.REQUEST, SERVER, Status.NO_ADDRESSES),
        (Kind.RENEW, SERVER, Status.NO_BINDING),
        (Kind.REBIND, None, Status.NO_BINDING),
    ],
)
def test_a_stateless_subnet_gives_no_addresses(kind: Kind, server: bytes | None, expected: Status) -> None:
    stateless = msgspec.structs.replace(SUBNET, ipv6_mode=Ipv6Mode.STATELESS)
    _, options = replied(asked(kind, na(OWN), server=server), assigned(stateless))
    assert status(options[Option.IA_NA][0][12:]) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [((OWN,), Status.SUCCESS), ((OWN, SECOND), Status.SUCCESS), ((OWN, STRANGE), Status.NOT_ON_LINK)],
)
def test_a_client_that_moved_learns_whether_its_addresses_are_right(
    said: tuple[bytes, ...], expected: Status
) -> None:
    kind, options = replied(asked(Kind.CONFIRM, na(*said)))
    assert kind == Kind.REPLY
    assert int.from_bytes(options[Option.STATUS][0][:2], "big") == expected


@pytest.mark.parametrize("kind", [Kind.RELEASE, Kind.DECLINE])
def test_a_release_or_decline_is_acknowledged(kind: Kind) -> None:
    message = asked(kind, na(OWN), na(STRANGE, id=b"\0\0\0\2"), server=SERVER)
    _, options = replied(message)
    assert options[Option.STATUS][0][:2] == b"\0\0"
    (unknown,) = options[Option.IA_NA]
    assert unknown[:4] == b"\0\0\0\2"
    assert status(unknown[12:]) == Status.NO_BINDING
    declined = answer(assigned(), message, mac=MAC, source=SOURCE).declined
    assert declined == ((OWN,) if kind is Kind.DECLINE else ())


def test_who_wants_information_gets_what_it_asks_for() -> None:
    free = msgspec.structs.replace(SUBNET, dhcp_options=(DhcpOption(6, 59, "61"), DhcpOption(6, 2, "00")))
    port = msgspec.structs.replace(PORT, dhcp_options=(DhcpOption(6, 59, "62"),))
    everything = frozenset(range(100))
    kind, options = replied(asked(Kind.INFORMATION_REQUEST, requested=everything), assigned(free, port))
    assert kind == Kind.REPLY
    ntp = IPv6Address("fd00::123").packed
    assert options == {
        Option.DNS_SERVERS: [IPv6Address("fd00::53").packed],
        Option.DOMAIN_LIST: [b"\x07example\x03com\0"],
        Option.SNTP_SERVERS: [ntp],
        Option.NTP_SERVER: [b"\0\1\0\x10" + ntp],
        Option.REFRESH_TIME: [(3000).to_bytes(4, "big")],
        59: [b"b"],
    }
    _, options = replied(asked(Kind.INFORMATION_REQUEST, requested=frozenset({23}), client_id=None))
    assert options.keys() == {23}


@pytest.mark.parametrize(
    "message",
    [
        asked(Kind.SOLICIT, na(), server=SERVER),
        asked(Kind.SOLICIT, na(), client_id=None),
        asked(Kind.REQUEST, na()),
        asked(Kind.REQUEST, na(), server=b"somebody else"),
        asked(Kind.RENEW, na(OWN)),
        asked(Kind.REBIND, na(OWN), server=SERVER),
        asked(Kind.CONFIRM, na(OWN), server=SERVER),
        asked(Kind.CONFIRM, na()),
        asked(Kind.RELEASE, na(OWN)),
        asked(Kind.INFORMATION_REQUEST, na()),
        asked(Kind.INFORMATION_REQUEST, server=b"somebody else"),
        asked(Kind.ADVERTISE, na(OWN)),
        asked(Kind.REPLY, na(OWN)),
    ],
)
def test_what_rfc_8415_says_must_be_discarded_is_not_answered(message: Message) -> None:
    assert answer(assigned(), message, mac=MAC, source=SOURCE).frame is None


def test_a_strange_mac_is_not_answered() -> None:
    assert answer(assigned(), asked(Kind.SOLICIT, na()), mac=b"\2" * 6, source=SOURCE).frame is None


@pytest.mark.parametrize("mode", [Ipv6Mode.SLAAC, Ipv6Mode.OFF])
def test_other_modes_have_no_dhcpv6(mode: Ipv6Mode) -> None:
    assert assignment_of(PORT, NETWORK, (msgspec.structs.replace(SUBNET, ipv6_mode=mode),)) is None


@given(st.binary(max_size=300), st.sampled_from(list(Kind)), st.booleans())
def test_whatever_a_client_says_it_gets_its_own_addresses_or_none(
    data: bytes, kind: Kind, names_server: bool
) -> None:
    head = dhcpv6.encode_option(Option.CLIENT_ID, CLIENT)
    if names_server:
        head += dhcpv6.encode_option(Option.SERVER_ID, SERVER)
    with suppress(MalformedMessage):
        message = decode_message(bytes((kind,)) + b"\1\2\3" + head + data)
        frame = answer(assigned(), message, mac=MAC, source=SOURCE).frame
        assert frame is None or len(frame) <= 1514


def test_the_largest_answer_fits_into_a_packet_that_every_link_carries() -> None:
    many = tuple(IPv6Address(f"fd00:10::{n:x}").packed for n in range(100, 144))
    subnet = msgspec.structs.replace(
        SUBNET,
        dns=tuple(f"fd00::{n:x}" for n in range(1, 30)),
        ntp=tuple(f"fd00::{n:x}" for n in range(1, 30)),
        search=tuple(f"{'x' * 60}.example{n}.com" for n in range(30)),
        dhcp_options=tuple(DhcpOption(6, code, "ab" * 255) for code in range(100, 110)),
    )
    port = msgspec.structs.replace(
        PORT, addresses=tuple(FixedAddress("s1", f"fd00:10::{n:x}") for n in range(1, 33))
    )
    associations = tuple(na(*many, id=bytes((0, 0, 0, n))) for n in range(40))
    message = asked(Kind.REBIND, *associations, requested=frozenset(range(200)), client_id=bytes(130))
    frame = answer(assigned(subnet, port), message, mac=MAC, source=SOURCE).frame
    assert frame is not None
    assert len(frame) <= 14 + 1280
    (association,) = (
        value for code, value in decode_options(decode_datagram(frame).payload[4:]) if len(value) > 800
    )
    assert set(addresses(association).values()) == {3000}
