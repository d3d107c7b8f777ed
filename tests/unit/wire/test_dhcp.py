"""DHCP messages: RFC 2131's layout, options in parts and in other fields, and everything that is broken."""

from contextlib import suppress
from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.wire.dhcp import (
    LEAST_ROOM_BYTES,
    Kind,
    Message,
    Option,
    classless_routes,
    decode_message,
    encode_message,
    encode_option,
    encode_options,
)
from plait.wire.errors import MalformedMessage

MAC, XID = bytes.fromhex("020000000001"), b"\1\2\3\4"
OPTIONS = {Option.REQUESTED_ADDRESS: b"\x0a\0\0\5", Option.PARAMETERS: bytes((1, 3, 6))}


def request(options: bytes = b"", kind: Kind = Kind.DISCOVER) -> bytes:
    return encode_message(kind, options, xid=XID, mac=MAC, is_request=True)


def test_a_message_comes_back_as_it_was() -> None:
    encoded = encode_message(
        Kind.REQUEST,
        encode_options(OPTIONS),
        xid=XID,
        mac=MAC,
        is_request=True,
        wants_broadcast=True,
        client=b"\x0a\0\0\5",
    )
    assert decode_message(encoded) == Message(
        is_request=True,
        kind=Kind.REQUEST,
        xid=XID,
        wants_broadcast=True,
        client=b"\x0a\0\0\5",
        yours=bytes(4),
        relay=bytes(4),
        mac=MAC,
        options={Option.MESSAGE_TYPE: b"\3", **OPTIONS},
    )


def test_fields_stand_where_rfc_2131_has_them() -> None:
    encoded = encode_message(
        Kind.OFFER, b"", xid=XID, mac=MAC, client=b"\1\1\1\1", yours=b"\2\2\2\2", relay=b"\3\3\3\3"
    )
    assert encoded[:4] == b"\2\1\6\0"
    assert encoded[4:8] == XID
    assert (encoded[12:16], encoded[16:20], encoded[24:28]) == (b"\1\1\1\1", b"\2\2\2\2", b"\3\3\3\3")
    assert encoded[28:34] == MAC
    assert encoded[236:244] == b"\x63\x82\x53\x63\x35\x01\x02\xff"
    assert len(encoded) == 300


def test_an_option_of_many_bytes_goes_in_parts_and_comes_back_whole() -> None:
    value = bytes(range(256)) * 2
    assert len(encode_option(119, value)) == 512 + 3 * 2
    assert decode_message(request(encode_option(119, value))).options[119] == value


@pytest.mark.parametrize(("overload", "where"), [(1, 108), (2, 44), (3, 108), (3, 44)])
def test_options_in_the_fields_of_names_count(overload: int, where: int) -> None:
    message = bytearray(request(bytes((Option.OVERLOAD, 1, overload))))
    message[where : where + 7] = b"\x32\x04\x0a\0\0\5\xff"
    assert decode_message(bytes(message)).options[Option.REQUESTED_ADDRESS] == b"\x0a\0\0\5"


def test_without_overload_names_are_names() -> None:
    message = bytearray(request())
    message[44:51] = b"\x32\x04\x0a\0\0\5\xff"
    assert Option.REQUESTED_ADDRESS not in decode_message(bytes(message)).options


def test_padding_between_options_is_passed_over() -> None:
    decoded = decode_message(request(bytes(5) + encode_option(50, b"\x0a\0\0\5") + bytes(9)))
    assert decoded.options[50] == b"\x0a\0\0\5"


def test_a_message_that_ends_anywhere_before_its_last_option_is_refused() -> None:
    whole = request(encode_options({**OPTIONS, 61: bytes(40)})).rstrip(b"\0")
    assert decode_message(whole)
    for length in range(len(whole) - 1):
        try:
            decoded = decode_message(whole[:length])
        except MalformedMessage:
            continue
        # Ended right behind an option: what was there is taken, nothing is made up.
        assert decoded.options.items() <= decode_message(whole).options.items()


@pytest.mark.parametrize(
    ("at", "value"),
    [(0, b"\x03"), (1, b"\x06"), (2, b"\x10"), (236, b"\0\0\0\0"), (240, b"\x35\x02\1\1"), (240, b"\xff")],
    ids=["op", "hardware", "MAC size", "cookie", "type of two bytes", "no type"],
)
def test_what_is_wrong_is_refused(at: int, value: bytes) -> None:
    message = bytearray(request())
    message[at : at + len(value)] = value
    with pytest.raises(MalformedMessage):
        decode_message(bytes(message))


def test_a_message_larger_than_a_frame_is_refused() -> None:
    with pytest.raises(MalformedMessage, match="1473 bytes"):
        decode_message(request().ljust(1473, b"\0"))


@given(st.binary(max_size=600))
def test_whatever_options_come_nothing_else_is_raised(data: bytes) -> None:
    with suppress(MalformedMessage):
        decode_message(request()[:240] + data)


@given(st.binary(max_size=800))
def test_whatever_bytes_come_nothing_else_is_raised(data: bytes) -> None:
    with suppress(MalformedMessage):
        decode_message(data)


@pytest.mark.parametrize(
    ("prefix", "encoded"),
    [
        ("0.0.0.0/0", "00"),
        ("10.0.0.0/8", "080a"),
        ("10.17.0.0/16", "100a11"),
        ("10.27.129.0/24", "180a1b81"),
        ("10.229.0.128/25", "190ae50080"),
        ("10.198.122.47/32", "200ac67a2f"),
    ],
)
def test_route_descriptors_are_those_of_rfc_3442(prefix: str, encoded: str) -> None:
    router = b"\x0a\0\0\1"
    assert classless_routes([(IPv4Network(prefix), router)]) == bytes.fromhex(encoded) + router


def test_what_every_client_takes_fits_into_576_bytes() -> None:
    assert len(request(bytes(LEAST_ROOM_BYTES - 4))) + 8 + 20 == 576
