"""DHCPv6 messages: RFC 8415's layout, and everything that is broken."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.wire import dhcpv6
from plait.wire.dhcpv6 import Association, Kind, Message, Option, decode_message, encode_option
from plait.wire.errors import MalformedMessage

DUID = bytes.fromhex("00030001020000000001")
ADDRESS = bytes.fromhex("fd000010000000000000000000000005")
XID = b"\1\2\3"


def whole() -> bytes:
    association = Association(Option.IA_NA, b"\0\0\0\7")
    inner = dhcpv6.encode_address(ADDRESS, preferred_s=0, valid_s=0)
    return dhcpv6.encode_message(
        Kind.REQUEST,
        XID,
        [
            encode_option(Option.CLIENT_ID, DUID),
            encode_option(Option.SERVER_ID, b"\0\1"),
            dhcpv6.encode_association(association, inner),
            encode_option(Option.REQUESTED, b"\0\x17\0\x18"),
            encode_option(Option.RAPID_COMMIT, b""),
            encode_option(999, b"whatever"),
        ],
    )


def test_a_message_comes_back_as_it_was() -> None:
    assert decode_message(whole()) == Message(
        kind=Kind.REQUEST,
        xid=XID,
        client_id=DUID,
        server_id=b"\0\1",
        associations=(Association(Option.IA_NA, b"\0\0\0\7", (ADDRESS,)),),
        requested=frozenset({23, 24}),
        wants_rapid_commit=True,
    )


def test_fields_stand_where_rfc_8415_has_them() -> None:
    association = Association(Option.IA_NA, b"\0\0\0\7")
    inner = dhcpv6.encode_address(ADDRESS, preferred_s=1, valid_s=2)
    encoded = dhcpv6.encode_association(association, inner, renew_s=3, rebind_s=4)
    assert (
        encoded.hex()
        == (
            "00030028" + "00000007" + "00000003" + "00000004"  # IA_NA, IAID, T1, T2
            "00050018" + ADDRESS.hex() + "00000001" + "00000002"  # IAADDR, preferred, valid
        )
    )


def test_a_message_that_ends_in_the_middle_of_an_option_is_refused() -> None:
    for length in range(len(whole())):
        try:
            decoded = decode_message(whole()[:length])
        except MalformedMessage:
            continue
        assert decoded.client_id in (None, DUID)


def test_more_options_than_anybody_needs_are_refused() -> None:
    with pytest.raises(MalformedMessage, match="more than 64 options"):
        decode_message(b"\1" + XID + encode_option(999, b"") * 65)


def test_an_empty_or_endless_identifier_is_refused() -> None:
    for duid in (b"", bytes(131)):
        with pytest.raises(MalformedMessage, match="duid"):
            decode_message(b"\1" + XID + encode_option(Option.CLIENT_ID, duid))


@given(st.binary(max_size=400))
def test_whatever_options_come_nothing_else_is_raised(data: bytes) -> None:
    with suppress(MalformedMessage):
        decode_message(b"\1" + XID + data)


@given(
    st.lists(st.tuples(st.sampled_from([1, 2, 3, 4, 5, 6, 13, 14, 25]), st.binary(max_size=60)), max_size=9)
)
def test_whatever_is_in_options_nothing_else_is_raised(options: list[tuple[int, bytes]]) -> None:
    with suppress(MalformedMessage):
        decode_message(b"\1" + XID + b"".join(encode_option(code, value) for code, value in options))
