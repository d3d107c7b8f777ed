"""Gratuitous ARP and unsolicited neighbour advertisements, and all that only looks like them."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.lab import crafted
from plait.wire.announcement import Announcement, decode_announcement, encode_announcement
from plait.wire.errors import MalformedMessage

MAC, OTHER = "02:00:00:00:00:01", "02:00:00:00:00:02"
ALL_NODES = ("33:33:00:00:00:01", "ff02::1")


def arp(
    *, operation: int = 1, sender: tuple[str, str] = (MAC, "10.0.0.9"), target: str = "10.0.0.9"
) -> bytes:
    return crafted.arp(
        MAC, crafted.BROADCAST, operation=operation, sender=sender, target=("00:00:00:00:00:00", target)
    )


def advertisement(*, flags: int = 0x20, kind: int = 136, hops: int = 255) -> bytes:
    target = bytes.fromhex("fd000010000000000000000000000009")
    body = bytes((kind, 0, 0, 0, flags, 0, 0, 0)) + target + b"\x02\x01" + bytes.fromhex(MAC.replace(":", ""))
    return crafted.icmpv6((MAC, "fd00:10::9"), ALL_NODES, body, hops=hops)


@pytest.mark.parametrize(
    ("frame", "address"),
    [(arp(), "10.0.0.9"), (arp(operation=2), "10.0.0.9"), (advertisement(), "fd00:10::9")],
    ids=["announcement", "gratuitous answer", "unsolicited advertisement"],
)
def test_an_endpoint_announces_an_address(frame: bytes, address: str) -> None:
    assert decode_announcement(frame) == Announcement(MAC, address)


@pytest.mark.parametrize("address", ["10.0.0.9", "fd00:10::9"])
def test_what_is_announced_for_an_endpoint_is_what_it_would_announce_itself(address: str) -> None:
    frame = encode_announcement(Announcement(MAC, address))
    assert frame == (advertisement() if ":" in address else arp())
    assert decode_announcement(frame) == Announcement(MAC, address)


@pytest.mark.parametrize(
    "frame",
    [
        arp(target="10.0.0.8"),
        arp(sender=(MAC, "0.0.0.0"), target="10.0.0.9"),
        arp(sender=(MAC, "0.0.0.0"), target="0.0.0.0"),
        arp(sender=(OTHER, "10.0.0.9")),
        advertisement(flags=0x60),
        advertisement(kind=135),
        advertisement(hops=64),
        advertisement()[:-1] + b"\xff",
        crafted.udp((MAC, "10.0.0.9"), (OTHER, "10.0.0.1"), b"x"),
        crafted.udp((MAC, "fd00::9"), (OTHER, "fd00::1"), bytes(64)),
    ],
    ids=[
        "a question",
        "a probe",
        "a probe for nothing",
        "another's MAC",
        "solicited",
        "a solicitation",
        "from off the link",
        "wrong checksum",
        "UDP",
        "UDP in IPv6",
    ],
)
def test_what_announces_nothing_is_refused(frame: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode_announcement(frame)


@pytest.mark.parametrize(("frame", "end"), [(arp(), 42), (advertisement(), 86)], ids=["ARP", "ND"])
def test_an_announcement_that_ends_anywhere_before_its_end_is_refused(frame: bytes, end: int) -> None:
    for length in range(end):
        with pytest.raises(MalformedMessage):
            decode_announcement(frame[:length])


@given(st.binary(max_size=120), st.sampled_from([b"", b"\x08\x06\0\1\x08\0\6\4", b"\x86\xdd\x60"]))
def test_whatever_bytes_come_nothing_else_is_raised(data: bytes, kind: bytes) -> None:
    with suppress(MalformedMessage):
        decode_announcement(bytes(12) + kind + data)
