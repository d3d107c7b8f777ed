"""UDP in Ethernet frames: whole, cut off anywhere, and with anything else in it."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.lab import crafted
from plait.wire.datagram import Datagram, decode_datagram, encode_datagram
from plait.wire.errors import MalformedMessage
from plait.wire.internet import checksum

A, B = ("02:00:00:00:00:01", "10.0.0.1"), ("02:00:00:00:00:02", "10.0.0.2")
A6, B6 = (A[0], "fd00::1"), (B[0], "fd00::2")
addresses = st.one_of(st.tuples(*[st.binary(min_size=size, max_size=size)] * 2) for size in (4, 16))


@pytest.mark.parametrize(("here", "there"), [(A, B), (A6, B6)], ids=["IPv4", "IPv6"])
def test_what_another_encoder_wrote_is_read(here: tuple[str, str], there: tuple[str, str]) -> None:
    datagram = decode_datagram(crafted.udp(here, there, b"hello", sport=68, dport=67))
    assert datagram.payload == b"hello"
    assert datagram.source_mac.hex(":") == here[0]
    assert datagram.destination_mac.hex(":") == there[0]
    assert (datagram.source_port, datagram.destination_port) == (68, 67)


@pytest.mark.parametrize(("here", "there"), [(A, B), (A6, B6)], ids=["IPv4", "IPv6"])
def test_what_is_written_is_what_another_encoder_writes(
    here: tuple[str, str], there: tuple[str, str]
) -> None:
    data = bytes(range(61))
    theirs = crafted.udp(here, there, data, sport=67, dport=68)
    ours = encode_datagram(decode_datagram(theirs))
    # They differ in identification and Don't Fragment, and so in the header's checksum.
    header = 34 if ":" not in here[1] else 14
    assert ours[header:] == theirs[header:]
    assert len(ours) == len(theirs)
    if header == 34:
        assert checksum(ours[14:34]) == 0


@given(addresses, st.binary(max_size=300), st.integers(0, 65535), st.integers(0, 65535))
def test_every_datagram_comes_back_as_it_was(
    ends: tuple[bytes, bytes], payload: bytes, source_port: int, destination_port: int
) -> None:
    datagram = Datagram(b"\x02" * 6, b"\x04" * 6, *ends, source_port, destination_port, payload)
    assert decode_datagram(encode_datagram(datagram) + bytes(3)) == datagram


@pytest.mark.parametrize(("here", "there"), [(A, B), (A6, B6)], ids=["IPv4", "IPv6"])
def test_a_frame_that_ends_anywhere_before_its_end_is_refused(
    here: tuple[str, str], there: tuple[str, str]
) -> None:
    frame = crafted.udp(here, there, bytes(40))
    for length in range(len(frame)):
        with pytest.raises(MalformedMessage):
            decode_datagram(frame[:length])


@pytest.mark.parametrize(
    "frame",
    [
        crafted.first_fragment(crafted.udp(A, B, bytes(64))),
        crafted.first_fragment(crafted.udp(A6, B6, bytes(64))),
        crafted.packet(A, B, 6, bytes(40)),
        crafted.packet(A6, B6, 6, bytes(40)),
        crafted.arp(A[0], B[0], operation=1, sender=A, target=B),
    ],
    ids=["IPv4 fragment", "IPv6 fragment", "TCP", "TCP in IPv6", "ARP"],
)
def test_what_is_no_whole_datagram_is_refused(frame: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode_datagram(frame)


@given(st.binary(max_size=200), st.sampled_from([b"", b"\x08\0\x45", b"\x08\0\x4f", b"\x86\xdd\x60"]))
def test_whatever_bytes_come_nothing_else_is_raised(data: bytes, kind: bytes) -> None:
    with suppress(MalformedMessage):
        decode_datagram(bytes(12) + kind + data)
