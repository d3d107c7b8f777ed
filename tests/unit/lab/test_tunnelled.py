"""What a capture tells of tenants' frames, on packets made by hand."""

import ipaddress
import struct

import pytest

from plait.lab import crafted
from plait.lab.errors import LabError
from plait.lab.tunnelled import Kind, carried, frames, tally
from plait.model.entities import Transport

A, B = ("02:00:00:00:00:0a", "10.0.0.1"), ("02:00:00:00:00:0b", "10.0.0.2")
A6, B6 = (A[0], "fd00::1"), (B[0], "fd00::2")
H1, H2 = ("02:ee:00:00:00:01", "172.16.0.1"), ("02:ee:00:00:00:02", "172.16.0.2")
H1_V6, H2_V6 = (H1[0], "fd00:16::1"), (H2[0], "fd00:16::2")
VNI = 0x12345


def pcap(*captured: bytes, order: str = "<") -> bytes:
    header = struct.pack(f"{order}IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)
    return header + b"".join(struct.pack(f"{order}IIII", 0, 0, len(one), len(one)) + one for one in captured)


def vxlan(tenant: bytes, outer: tuple[tuple[str, str], tuple[str, str]] = (H1, H2)) -> bytes:
    return crafted.udp(*outer, struct.pack("!II", 0x08000000, VNI << 8) + tenant, dport=4789)


def geneve(tenant: bytes, options: bytes = b"") -> bytes:
    header = struct.pack("!BBHI", len(options) // 4, 0, 0x6558, VNI << 8) + options
    return crafted.udp(H1, H2, header + tenant, dport=6081)


def gre(tenant: bytes, flags: int = 0x2000) -> bytes:
    optional = {0x8000: b"\0\0\0\0", 0x2000: struct.pack("!I", VNI), 0x1000: b"\0\0\0\1"}
    fields = b"".join(value for flag, value in optional.items() if flags & flag)
    return crafted.packet(H1, H2, 47, struct.pack("!HH", flags, 0x6558) + fields + tenant)


UNICAST = crafted.echo_request(A, B, b"hello")


@pytest.mark.parametrize(
    ("outer", "transport"),
    [
        (vxlan(UNICAST), Transport.VXLAN),
        (vxlan(UNICAST, (H1_V6, H2_V6)), Transport.VXLAN),
        (geneve(UNICAST), Transport.GENEVE),
        (geneve(UNICAST, options=bytes(12)), Transport.GENEVE),
        (gre(UNICAST), Transport.GRE),
        (gre(UNICAST, flags=0xB000), Transport.GRE),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tenants_frame_is_found_in_every_tunnel(outer: bytes, transport: Transport, order: str) -> None:
    (found,) = carried(pcap(outer, order=order))
    assert (found.transport, found.vni, found.source, found.destination, found.kind) == (
        transport,
        VNI,
        A[0],
        B[0],
        Kind.UNICAST,
    )
    assert ipaddress.ip_address(found.receiver) == ipaddress.ip_address(
        H2_V6[1] if ":" in found.receiver else H2[1]
    )


@pytest.mark.parametrize(
    ("tenant", "kind"),
    [
        (crafted.arp(A[0], crafted.BROADCAST, operation=1, sender=A, target=B), Kind.ARP),
        (crafted.arp(A[0], B[0], operation=2, sender=A, target=B), Kind.ARP),
        (crafted.neighbor_advertisement(A6, B6, target=A6[1], link=A[0]), Kind.ND),
        (crafted.router_advertisement((A[0], "fe80::1"), prefix="fd00:1::/64"), Kind.ND),
        (crafted.udp(A, (crafted.BROADCAST, "255.255.255.255"), b"x"), Kind.BROADCAST),
        (crafted.udp(A, (crafted.multicast_mac("239.1.1.1"), "239.1.1.1"), b"x"), Kind.MULTICAST),
        (crafted.udp(A6, B6, b"x"), Kind.UNICAST),
        (crafted.echo_request(A6, B6, b"x"), Kind.UNICAST),
    ],
)
def test_kinds_of_frames_are_told_apart(tenant: bytes, kind: Kind) -> None:
    (found,) = carried(pcap(vxlan(tenant)))
    assert found.kind is kind


def test_what_is_in_no_tunnel_is_not_counted() -> None:
    outside = [
        UNICAST,
        crafted.udp(H1, H2, b"x" * 40, dport=53),
        crafted.arp(H1[0], crafted.BROADCAST, operation=1, sender=H1, target=H2),
        b"",
        b"\0" * 13,
    ]
    assert list(carried(pcap(*outside))) == []


def test_a_frame_cut_anywhere_in_its_tunnel_raises_nothing() -> None:
    for whole in (vxlan(UNICAST), geneve(UNICAST, options=bytes(8)), gre(UNICAST, flags=0xB000)):
        for length in range(len(whole)):
            list(carried(pcap(whole[:length])))


def test_the_tally_tells_known_unknown_and_misdirected_unicast() -> None:
    found = list(carried(pcap(vxlan(UNICAST))))
    assert tally(found, {(VNI, B[0]): {H2[1]}}).unwanted == 0
    assert tally(found, {(VNI, B[0]): {H1[1]}}).misdirected == 1
    assert tally(found, {(VNI + 1, B[0]): {H2[1]}}).unknown_unicast == 1
    assert tally(found, {}).unicast == 1


def test_a_file_that_is_no_capture_is_refused() -> None:
    with pytest.raises(LabError, match="not a pcap file"):
        list(frames(b"hello"))


def test_a_record_cut_short_by_the_end_of_the_file_is_left_out() -> None:
    whole = pcap(UNICAST, UNICAST)
    assert len(list(frames(whole[:-1]))) == 1
