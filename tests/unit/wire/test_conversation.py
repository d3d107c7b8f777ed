"""Who talks to whom in a frame, whatever is in it."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.lab import crafted
from plait.wire.conversation import Conversation, decode_conversation
from plait.wire.errors import MalformedMessage

V4 = (("02:00:00:00:00:01", "10.0.0.1"), ("02:00:00:00:00:02", "10.0.0.2"))
V6 = (("02:00:00:00:00:01", "fd00::1"), ("02:00:00:00:00:02", "fd00::2"))
PORTS = b"\x12\x34\x00\x50"


@pytest.mark.parametrize("ends", [V4, V6])
@pytest.mark.parametrize(("number", "name"), [(6, "tcp"), (17, "udp"), (132, "sctp")])
def test_what_has_ports_is_told_with_them(ends: tuple[tuple[str, str], ...], number: int, name: str) -> None:
    frame = crafted.packet(ends[0], ends[1], number, PORTS + b"payload")
    assert decode_conversation(frame) == Conversation(ends[0][1], ends[1][1], name, 0x1234, 80)


def test_icmp_is_told_with_type_and_code() -> None:
    assert decode_conversation(crafted.packet(*V4, 1, b"\x08\x00rest")) == Conversation(
        "10.0.0.1", "10.0.0.2", "icmp", icmp_type=8, icmp_code=0
    )
    assert decode_conversation(crafted.packet(*V6, 58, b"\x80\x00rest")).icmp_type == 128


def test_other_protocols_are_told_by_their_number() -> None:
    assert decode_conversation(crafted.packet(*V4, 47, b"abcd")) == Conversation("10.0.0.1", "10.0.0.2", "47")


def test_options_and_extension_headers_are_passed_over() -> None:
    frame = bytearray(crafted.packet(*V4, 17, b"\0" * 4 + PORTS))
    frame[14] = 0x46
    assert decode_conversation(bytes(frame)).destination_port == 80
    extensions = bytes((60, 0)) + bytes(6) + bytes((17, 1)) + bytes(14)
    assert decode_conversation(crafted.packet(*V6, 0, extensions + PORTS)).destination_port == 80


def test_later_fragments_have_no_ports_and_first_ones_have() -> None:
    later = bytearray(crafted.packet(*V4, 17, PORTS))
    later[20:22] = b"\x00\xb9"
    assert decode_conversation(bytes(later)) == Conversation("10.0.0.1", "10.0.0.2", "udp")
    for offset, port in ((0, 80), (185, None)):
        fragment = bytes((17, 0)) + (offset << 3 | 1).to_bytes(2, "big") + bytes(4)
        assert decode_conversation(crafted.packet(*V6, 44, fragment + PORTS)).destination_port == port


@pytest.mark.parametrize("ends", [V4, V6])
def test_what_is_cut_off_is_told_as_far_as_it_goes(ends: tuple[tuple[str, str], ...]) -> None:
    frame = crafted.packet(ends[0], ends[1], 17, PORTS + bytes(40))
    header = 34 if ends is V4 else 54
    for length in range(len(frame)):
        if length < header:
            with pytest.raises(MalformedMessage):
                decode_conversation(frame[:length])
        else:
            told = decode_conversation(frame[:length])
            assert told.destination_port == (80 if length >= header + 4 else None)


@settings(max_examples=500)
@given(st.binary(max_size=128), st.sampled_from([b"", b"\x08\x00", b"\x86\xdd"]))
def test_no_bytes_do_harm(data: bytes, ethertype: bytes) -> None:
    frame = bytes(12) + ethertype + data
    with suppress(MalformedMessage):
        decode_conversation(frame)
