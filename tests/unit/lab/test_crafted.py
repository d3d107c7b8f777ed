"""Crafted packets are what tcpdump takes for good ones, checksums included."""

import shutil
import struct
import subprocess

import pytest

from plait.lab import crafted
from plait.wire.internet import checksum

A, B = ("02:00:00:00:00:0a", "10.0.0.1"), ("02:00:00:00:00:0b", "10.0.0.2")
A6, B6 = (A[0], "fd00::1"), (B[0], "fd00::2")


def test_the_checksum_is_that_of_rfc_1071() -> None:
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0x220D
    assert checksum(b"\x01") == checksum(b"\x01\x00")


@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="tcpdump is not installed")
@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (crafted.arp(A[0], B[0], operation=2, sender=A, target=B), "Reply 10.0.0.1 is-at 02:00:00:00:00:0a"),
        (crafted.udp(A, B, b"abc"), "[udp sum ok] UDP, length 3"),
        (crafted.udp(A6, B6, b"abc"), "[udp sum ok] UDP, length 3"),
        (crafted.echo_request(A, B, b"abc"), "ICMP echo request"),
        (crafted.echo_request(A6, B6, b"abc"), "[icmp6 sum ok] ICMP6, echo request"),
        (
            crafted.neighbor_advertisement(A6, B6, target="fd00::9", link=B[0]),
            "[icmp6 sum ok] ICMP6, neighbor advertisement",
        ),
        (
            crafted.router_advertisement((A[0], "fe80::1"), prefix="fd00:1::/64"),
            "[icmp6 sum ok] ICMP6, router advertisement",
        ),
        (crafted.dhcp_offer(A, B, offered="10.0.0.7"), "DHCP-Message (53), length 1: Offer"),
        (crafted.dhcpv6_advertise(A6, B6), "dhcp6 advertise"),
    ],
)
def test_tcpdump_reads_what_was_crafted(frame: bytes, said: str) -> None:
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)
    capture = header + struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame
    text = subprocess.run(
        ["tcpdump", "-nvvr", "-"], input=capture, capture_output=True, check=True
    ).stdout.decode()
    assert said in text
    assert "bad" not in text
    assert "wrong" not in text


def test_multicast_groups_have_their_link_addresses() -> None:
    assert crafted.multicast_mac("239.129.2.3") == "01:00:5e:01:02:03"
    assert crafted.multicast_mac("ff02::1:ff00:7") == "33:33:ff:00:00:07"
