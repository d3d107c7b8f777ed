"""The error that tells a sender what fits: as RFC 792, 1191 and 4443 have it, never where it may not be."""

import ipaddress
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.wire.errors import MalformedMessage
from plait.wire.icmp import QUOTED_V6_BYTES, too_big
from plait.wire.internet import checksum

SENDER, RECEIVER = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
V4 = ipaddress.ip_address("10.0.0.1").packed, ipaddress.ip_address("10.0.0.2").packed
V6 = ipaddress.ip_address("fd00::1").packed, ipaddress.ip_address("fd00::2").packed
DONT_FRAGMENT = 0x4000


def v4(payload: bytes, *, protocol: int = 17, fragment: int = DONT_FRAGMENT, to: bytes = V4[1]) -> bytes:
    length = (20 + len(payload)).to_bytes(2, "big")
    header = (
        b"\x45\0"
        + length
        + b"\0\1"
        + fragment.to_bytes(2, "big")
        + bytes((64, protocol))
        + b"\0\0"
        + V4[0]
        + to
    )
    return RECEIVER + SENDER + b"\x08\0" + header + payload


def v6(payload: bytes, *, following: int = 17) -> bytes:
    header = b"\x60\0\0\0" + len(payload).to_bytes(2, "big") + bytes((following, 64)) + V6[0] + V6[1]
    return RECEIVER + SENDER + b"\x86\xdd" + header + payload


def test_an_ipv4_sender_is_told_the_mtu_and_which_packet_it_was() -> None:
    frame = v4(bytes(range(200)))
    answer = too_big(frame, 1450)
    assert answer is not None
    assert answer[:14] == SENDER + RECEIVER + b"\x08\0"
    header, icmp = answer[14:34], answer[34:]
    assert header[12:20] == V4[1] + V4[0]
    assert header[9] == 1
    assert checksum(header) == 0
    assert icmp[:2] == bytes((3, 4))
    assert int.from_bytes(icmp[6:8], "big") == 1450
    assert checksum(icmp) == 0
    assert icmp[8:] == frame[14 : 14 + 28]


def test_an_ipv6_sender_is_told_the_mtu_and_gets_as_much_back_as_fits_into_1280_bytes() -> None:
    frame = v6(bytes(1460))
    answer = too_big(frame, 1430)
    assert answer is not None
    header, icmp = answer[14:54], answer[54:]
    assert header[8:40] == V6[1] + V6[0]
    assert int.from_bytes(header[4:6], "big") == len(icmp)
    assert len(answer) - 14 == 1280
    assert icmp[:2] == bytes((2, 0))
    assert int.from_bytes(icmp[4:8], "big") == 1430
    assert icmp[8:] == frame[14 : 14 + QUOTED_V6_BYTES]
    assert checksum(header[8:40] + len(icmp).to_bytes(4, "big") + b"\0\0\0\x3a" + icmp) == 0


@pytest.mark.parametrize(
    "frame",
    [
        v4(bytes(100), fragment=0),
        v4(bytes(100), fragment=DONT_FRAGMENT | 185),
        v4(bytes((3, 4)) + bytes(100), protocol=1),
        v6(bytes((1, 0)) + bytes(100), following=58),
        b"\x01" + v4(bytes(100))[1:],
    ],
    ids=["may be fragmented", "later fragment", "ICMP error", "ICMPv6 error", "for many"],
)
def test_no_error_is_sent_about_what_must_not_have_one(frame: bytes) -> None:
    assert too_big(frame, 1450) is None


def test_an_echo_request_gets_its_answer_although_it_is_icmp() -> None:
    assert too_big(v4(bytes((8, 0)) + bytes(100), protocol=1), 1450) is not None
    assert too_big(v6(bytes((128, 0)) + bytes(100), following=58), 1450) is not None


@given(st.binary(max_size=1500), st.sampled_from([b"", b"\x08\0\x45", b"\x86\xdd\x60", b"\x08\x06"]))
def test_whatever_bytes_come_nothing_else_is_raised(data: bytes, kind: bytes) -> None:
    with suppress(MalformedMessage):
        answer = too_big(RECEIVER + SENDER + kind + data, 1450)
        assert answer is None or len(answer) <= 14 + 1280
