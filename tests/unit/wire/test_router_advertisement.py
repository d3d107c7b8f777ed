"""Router solicitations that are taken or refused, and advertisements as RFC 4861 lays them out."""

from contextlib import suppress
from ipaddress import IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.lab import crafted
from plait.wire.errors import MalformedMessage
from plait.wire.internet import checksum
from plait.wire.router_advertisement import (
    Advertisement,
    Prefix,
    decode_solicitation,
    encode_advertisement,
)

ASKER = ("02:00:00:00:00:05", "fe80::5")
ALL_ROUTERS = ("33:33:00:00:00:02", "ff02::2")
LINK_LAYER = b"\x01\x01" + bytes.fromhex("020000000005")
ROUTER = bytes.fromhex("020000000001")


def solicitation(body: bytes = bytes(4) + LINK_LAYER, source: str = "fe80::5", hops: int = 255) -> bytes:
    return crafted.icmpv6((ASKER[0], source), ALL_ROUTERS, b"\x85\0\0\0" + body, hops=hops)


@pytest.mark.parametrize(("source", "body"), [("fe80::5", bytes(4) + LINK_LAYER), ("::", bytes(4))])
def test_a_solicitation_says_who_asks(source: str, body: bytes) -> None:
    decoded = decode_solicitation(solicitation(body, source))
    assert decoded.mac.hex(":") == ASKER[0]
    assert decoded.source == IPv6Address(source).packed


@pytest.mark.parametrize(
    "frame",
    [
        solicitation(hops=254),
        solicitation(source="::"),
        solicitation(bytes(4) + b"\x01\x00" + bytes(6)),
        solicitation(bytes(4) + b"\x01\x02" + bytes(6)),
        solicitation(bytes(4) + b"\x01"),
        solicitation()[:-1] + b"\xff",
        crafted.icmpv6(ASKER, ALL_ROUTERS, b"\x85\1\0\0" + bytes(4)),
        crafted.icmpv6(ASKER, ALL_ROUTERS, b"\x80\0\0\0" + bytes(4)),
    ],
    ids=[
        "from off the link",
        "a link-layer address of nobody",
        "an option of length 0",
        "an option that ends outside",
        "half an option",
        "wrong checksum",
        "code",
        "another message",
    ],
)
def test_what_rfc_4861_says_must_be_discarded_is_refused(frame: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode_solicitation(frame)


def test_a_solicitation_that_ends_anywhere_before_its_end_is_refused() -> None:
    frame = solicitation()
    for length in range(len(frame)):
        with pytest.raises(MalformedMessage):
            decode_solicitation(frame[:length])


@given(st.binary(max_size=200), st.sampled_from([b"", b"\x86\xdd\x60"]))
def test_whatever_bytes_come_nothing_else_is_raised(data: bytes, kind: bytes) -> None:
    with suppress(MalformedMessage):
        decode_solicitation(bytes(12) + kind + data)


def test_an_advertisement_is_laid_out_as_rfc_4861_has_it() -> None:
    said = Advertisement(
        mac=ROUTER,
        source=IPv6Address("fe80::1").packed,
        lifetime_s=1800,
        is_managed=True,
        has_other=True,
        mtu_bytes=1450,
        prefixes=(Prefix(IPv6Network("fd00:10::/64"), is_autonomous=True),),
        routes=(IPv6Network("fd00:20::/48"),),
        dns=(IPv6Address("fd00::53").packed,),
        search=("example.com",),
    )
    frame = encode_advertisement(said)
    assert frame[:14] == bytes.fromhex("333300000001") + ROUTER + b"\x86\xdd"
    header, message = frame[14:54], frame[54:]
    assert (header[6], header[7]) == (58, 255)
    assert header[24:] == IPv6Address("ff02::1").packed
    assert int.from_bytes(header[4:6], "big") == len(message)
    assert checksum(header[8:] + len(message).to_bytes(4, "big") + b"\0\0\0\x3a" + message) == 0
    assert (
        (message[:2] + message[4:]).hex(" ", 4)
        == bytes.fromhex(
            "8600"  # type, code (the checksum stands behind them)
            "40c0070800000000" + "00000000"  # hop limit 64, M and O, 1,800 s, no times
            "0101020000000001"  # source link-layer address
            "05010000000005aa"  # MTU
            "030440c0"
            + "00015180"
            + "00003840"
            + "00000000"
            + "fd000010"
            + "00" * 12  # prefix, L and A
            + "1802300000000708"
            + "fd00002000000000"  # route information, /48 of medium preference
            "1903000000000708" + "fd00" + "00" * 12 + "0053"  # DNS server
            "1f03000000000708" + "076578616d706c6503636f6d00000000"  # search list
        ).hex(" ", 4)
    )


def test_to_one_it_goes_to_that_one_alone() -> None:
    said = Advertisement(mac=ROUTER, source=IPv6Address("fe80::1").packed)
    to = IPv6Address("fe80::5").packed
    frame = encode_advertisement(said, to=to, to_mac=bytes.fromhex("020000000005"))
    assert frame[:6].hex(":") == ASKER[0]
    assert frame[38:54] == to


@pytest.mark.parametrize(("bits", "size"), [(0, 8), (1, 16), (64, 16), (65, 24), (128, 24)])
def test_a_route_takes_as_many_words_as_its_prefix(bits: int, size: int) -> None:
    said = Advertisement(mac=ROUTER, source=bytes(16), routes=(IPv6Network((0, bits)),))
    assert len(encode_advertisement(said)) - 54 - 16 - 8 == size
