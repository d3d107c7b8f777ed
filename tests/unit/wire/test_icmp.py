"""ICMP errors: as RFC 792, 1191, 1812 and 4443 have them, never where they may not be."""

import ipaddress
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.wire.errors import MalformedMessage
from plait.wire.icmp import QUOTED_V4_BYTES, QUOTED_V6_BYTES, IcmpError, icmp_error, offender, too_big
from plait.wire.internet import checksum

SENDER, RECEIVER = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
ROUTER = bytes.fromhex("020000000099")
V4 = ipaddress.ip_address("10.0.0.1").packed, ipaddress.ip_address("10.0.0.2").packed
V6 = ipaddress.ip_address("fd00::1").packed, ipaddress.ip_address("fd00::2").packed
GATEWAY_V4 = ipaddress.ip_address("10.0.0.254").packed
GATEWAY_V6 = ipaddress.ip_address("fd00::fe").packed
DONT_FRAGMENT, MORE = 0x4000, 0x2000
UDP, ICMP, ICMPV6 = 17, 1, 58


def packed(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


def v4(
    payload: bytes,
    *,
    protocol: int = UDP,
    fragment: int = DONT_FRAGMENT,
    source: bytes = V4[0],
    to: bytes = V4[1],
    options: bytes = b"",
) -> bytes:
    head = bytes((0x45 + len(options) // 4, 0))
    length = (20 + len(options) + len(payload)).to_bytes(2, "big")
    rest = b"\0\1" + fragment.to_bytes(2, "big") + bytes((64, protocol)) + b"\0\0"
    return RECEIVER + SENDER + b"\x08\0" + head + length + rest + source + to + options + payload


def v6(payload: bytes, *, following: int = UDP, source: bytes = V6[0], to: bytes = V6[1]) -> bytes:
    header = b"\x60\0\0\0" + len(payload).to_bytes(2, "big") + bytes((following, 64)) + source + to
    return RECEIVER + SENDER + b"\x86\xdd" + header + payload


def told_by_the_router(error: IcmpError, frame: bytes, mtu_bytes: int = 0) -> bytes | None:
    about = offender(frame)
    if about is None:
        return None
    address = GATEWAY_V4 if len(about.source) == 4 else GATEWAY_V6
    ends = {"source_mac": ROUTER, "source": address, "to_mac": SENDER}
    return icmp_error(error, about, **ends, mtu_bytes=mtu_bytes)


def test_an_ipv4_sender_is_told_the_mtu_and_which_packet_it_was() -> None:
    frame = v4(bytes(range(200)))
    answer = too_big(frame, 1450)
    assert answer is not None
    assert answer[:14] == SENDER + RECEIVER + b"\x08\0"
    header, icmp = answer[14:34], answer[34:]
    assert header[12:20] == V4[1] + V4[0]
    assert header[9] == ICMP
    assert checksum(header) == 0
    assert icmp[:2] == bytes((3, 4))
    assert int.from_bytes(icmp[6:8], "big") == 1450
    assert checksum(icmp) == 0
    assert icmp[8:] == frame[14:]


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
    ("error", "of_v4", "of_v6"),
    [
        (IcmpError.TIME_EXCEEDED, (11, 0), (3, 0)),
        (IcmpError.NO_ROUTE, (3, 0), (1, 0)),
        (IcmpError.NO_HOST, (3, 1), (1, 3)),
        (IcmpError.NO_PORT, (3, 3), (1, 4)),
        (IcmpError.TOO_BIG, (3, 4), (2, 0)),
    ],
)
def test_a_router_speaks_for_itself_of_what_is_wrong(
    error: IcmpError, of_v4: tuple[int, int], of_v6: tuple[int, int]
) -> None:
    answer = told_by_the_router(error, v4(bytes(2000)))
    assert answer is not None
    header, icmp = answer[14:34], answer[34:]
    assert answer[:12] == SENDER + ROUTER
    assert header[12:20] == GATEWAY_V4 + V4[0]
    assert (header[0], header[1], header[8]) == (0x45, 0xC0, 64)
    assert int.from_bytes(header[2:4], "big") == len(answer) - 14 == 576
    assert tuple(icmp[:2]) == of_v4
    assert icmp[4:8] == bytes(4)
    assert (checksum(header), checksum(icmp)) == (0, 0)

    answer = told_by_the_router(error, v6(bytes(100)))
    assert answer is not None
    header, icmp = answer[14:54], answer[54:]
    assert header[7] == 64
    assert header[8:40] == GATEWAY_V6 + V6[0]
    assert tuple(icmp[:2]) == of_v6
    assert icmp[8:] == v6(bytes(100))[14:]
    assert checksum(header[8:40] + len(icmp).to_bytes(4, "big") + b"\0\0\0\x3a" + icmp) == 0


def fragment_header(offset: int, following: int = UDP) -> bytes:
    return bytes((following, 0)) + (offset << 3 | 1).to_bytes(2, "big") + bytes(4)


@pytest.mark.parametrize(
    "frame",
    [
        v4(bytes(100), fragment=185),
        v4(bytes(100), fragment=MORE | 185),
        *(v4(bytes((kind, 0)) + bytes(100), protocol=ICMP) for kind in (3, 4, 5, 11, 12)),
        v4(b"", protocol=ICMP),
        *(v4(bytes(8), source=packed(each)) for each in ("0.0.0.0", "127.0.0.1", "224.0.0.1", "240.0.0.1")),
        *(v4(bytes(8), to=packed(each)) for each in ("239.1.1.1", "255.255.255.255", "0.0.0.1")),
        *(v6(bytes((kind, 0)) + bytes(100), following=ICMPV6) for kind in (1, 2, 3, 4, 100, 127, 137)),
        v6(b"", following=ICMPV6),
        *(v6(bytes(8), source=packed(each)) for each in ("::", "::1", "ff02::1")),
        v6(bytes(8), to=packed("ff02::1")),
        v6(fragment_header(100) + bytes(100), following=44),
        v6(bytes((ICMPV6, 0)) + bytes(6) + bytes((1, 0)) + bytes(100), following=0),
        v6(bytes((44, 1)) + bytes(14) + fragment_header(0, ICMPV6) + bytes((3, 0, 0, 0)), following=43),
        v6(bytes((ICMPV6, 1)) + bytes(10) + bytes((1, 0)) + bytes(50), following=51),
        v6(bytes((60, 0)) + bytes(6) + bytes((60, 0)) + bytes(6) + bytes((60, 200)), following=60),
        v6(b"".join(bytes((60, 0)) + bytes(6) for _ in range(20)), following=60),
        b"\x01" + v4(bytes(100))[1:],
        b"\x33" + v6(bytes(100))[1:],
    ],
)
def test_no_error_is_sent_about_what_must_not_have_one(frame: bytes) -> None:
    assert offender(frame) is None
    assert too_big(frame, 1450) is None


@pytest.mark.parametrize(
    "frame",
    [
        v4(bytes((8, 0)) + bytes(100), protocol=ICMP),
        v4(bytes(100), fragment=0),
        v4(bytes(100), fragment=MORE),
        v4(bytes(100), options=bytes(40)),
        v4(b""),
        v6(bytes((128, 0)) + bytes(100), following=ICMPV6),
        v6(fragment_header(0) + bytes(100), following=44),
        v6(bytes((ICMPV6, 0)) + bytes(6) + bytes((128, 0)) + bytes(100), following=0),
        v6(bytes(100), following=59),
        v6(b""),
    ],
)
def test_everything_else_may_have_one(frame: bytes) -> None:
    assert too_big(frame, 1450) is not None


def test_the_padding_of_a_frame_is_not_quoted() -> None:
    for frame in (v4(bytes(10)), v6(bytes(10))):
        about = offender(frame + b"padding")
        assert about is not None
        assert about.quoted == frame[14:]


def test_of_what_was_cut_off_as_much_is_quoted_as_there_is() -> None:
    for frame, most in ((v4(bytes(1400)), QUOTED_V4_BYTES), (v6(bytes(1400)), QUOTED_V6_BYTES)):
        for there in (100, 1000, 1414):
            about = offender(frame[:there])
            assert about is not None
            assert about.quoted == frame[14:there][:most]


@pytest.mark.parametrize("frame", [v4(bytes(30), options=bytes(8)), v6(bytes(30))])
def test_byte_by_byte_less_than_a_header_is_refused_and_all_else_understood(frame: bytes) -> None:
    header_bytes = 14 + (28 if frame[12] == 8 else 40)
    for there in range(len(frame)):
        if there < header_bytes:
            with pytest.raises(MalformedMessage):
                offender(frame[:there])
        else:
            assert offender(frame[:there]) is not None


@pytest.mark.parametrize(
    "packet",
    [
        b"\x08\x06" + bytes(40),
        b"\x08\x00\x65" + bytes(40),
        b"\x08\x00\x44\0\0\x14" + bytes(40),
        b"\x08\x00\x4f\0\0\x3c" + bytes(40),
        b"\x08\x00\x46\0\0\x14" + bytes(40),
        b"\x86\xdd\x40" + bytes(60),
    ],
)
def test_what_is_no_ip_packet_is_refused(packet: bytes) -> None:
    with pytest.raises(MalformedMessage):
        too_big(RECEIVER + SENDER + packet, 1450)


@given(
    st.binary(max_size=1500),
    st.sampled_from([b"", b"\x08\0\x45", b"\x86\xdd\x60", b"\x08\x06", b"\x86\xdd\x60" + bytes(5) + b"\0"]),
)
def test_whatever_bytes_come_nothing_else_is_raised(data: bytes, kind: bytes) -> None:
    with suppress(MalformedMessage):
        answer = too_big(RECEIVER + SENDER + kind + data, 1450)
        assert answer is None or len(answer) <= 14 + 1280
