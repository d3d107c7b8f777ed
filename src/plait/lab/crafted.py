"""Packets made by hand, as an endpoint that means ill would send them. Pure: every function returns bytes.

Sources: Ethernet, ARP RFC 826, IPv4 RFC 791, IPv6 RFC 8200, UDP RFC 768, ICMP RFC 792, ICMPv6 RFC 4443,
neighbour discovery RFC 4861, DHCP RFC 2131.
"""

import ipaddress
import struct

from plait.wire import internet

BROADCAST = "ff:ff:ff:ff:ff:ff"
ALL_NODES = "ff02::1"
_ICMP, _UDP, _ICMPV6 = 1, 17, 58


def ethernet(source: str, destination: str, ethertype: int, payload: bytes) -> bytes:
    """A frame, padded to 60 bytes as links want it."""
    frame = _mac(destination) + _mac(source) + struct.pack("!H", ethertype) + payload
    return frame.ljust(60, b"\0")


def arp(
    source: str, destination: str, *, operation: int, sender: tuple[str, str], target: tuple[str, str]
) -> bytes:
    """An ARP frame; `operation` 1 asks, 2 answers; `sender` and `target` are (MAC, IPv4)."""
    fixed = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation)
    pairs = b"".join(_mac(mac) + ipaddress.IPv4Address(ip).packed for mac, ip in (sender, target))
    return ethernet(source, destination, 0x0806, fixed + pairs)


def ip(
    source: str, destination: str, protocol: int, payload: bytes, *, hops: int = 64, fragment: int = 0
) -> bytes:
    """An IPv4 or IPv6 packet, of the family of `source`. `fragment`: flags and offset as in IPv4's header."""
    here, there = ipaddress.ip_address(source), ipaddress.ip_address(destination)
    if here.version == 6:
        return (
            struct.pack("!IHBB", 6 << 28, len(payload), protocol, hops) + here.packed + there.packed + payload
        )
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, fragment, hops, protocol, 0)
    header += here.packed + there.packed
    return header[:10] + internet.checksum(header).to_bytes(2, "big") + header[12:] + payload


def packet(
    source: tuple[str, str], destination: tuple[str, str], protocol: int, payload: bytes, *, hops: int = 64
) -> bytes:
    """A frame with an IP packet; `source` and `destination` are (MAC, IP)."""
    ethertype = 0x86DD if ":" in source[1] else 0x0800
    body = ip(source[1], destination[1], protocol, payload, hops=hops)
    return ethernet(source[0], destination[0], ethertype, body)


def first_fragment(frame: bytes) -> bytes:
    """The frame's packet as the first of several fragments: enough of it for ports and types to be seen.

    Source: RFC 791, section 3.1 (More Fragments); RFC 8200, section 4.5.
    """
    ethertype = int.from_bytes(frame[12:14], "big")
    source, destination = frame[6:12].hex(":"), frame[:6].hex(":")
    if ethertype == 0x86DD:
        header, payload = frame[14:54], frame[54 : 54 + int.from_bytes(frame[18:20], "big")]
        part = payload[: len(payload) // 8 * 8]
        extension = bytes((header[6], 0)) + struct.pack("!HI", 1, 4711)
        length = (len(extension) + len(part)).to_bytes(2, "big")
        return ethernet(
            source, destination, ethertype, header[:4] + length + b"\x2c" + header[7:] + extension + part
        )
    payload = frame[34 : 14 + int.from_bytes(frame[16:18], "big")]
    part = payload[: len(payload) // 8 * 8]
    sender, receiver = (str(ipaddress.IPv4Address(frame[at : at + 4])) for at in (26, 30))
    return ethernet(source, destination, ethertype, ip(sender, receiver, frame[23], part, fragment=0x2000))


def udp(
    source: tuple[str, str],
    destination: tuple[str, str],
    data: bytes,
    *,
    sport: int = 40000,
    dport: int = 40001,
) -> bytes:
    """A UDP packet; `source` and `destination` are (MAC, IP)."""
    header = struct.pack("!HHHH", sport, dport, 8 + len(data), 0)
    checksum = _transport_checksum(source[1], destination[1], _UDP, header + data) or 0xFFFF
    return packet(source, destination, _UDP, header[:6] + checksum.to_bytes(2, "big") + data)


def echo_request(source: tuple[str, str], destination: tuple[str, str], data: bytes) -> bytes:
    """ICMP or ICMPv6 echo; `source` and `destination` are (MAC, IP)."""
    if ":" in source[1]:
        return icmpv6(source, destination, struct.pack("!BBHHH", 128, 0, 0, 1, 1) + data, hops=64)
    body = struct.pack("!BBHHH", 8, 0, 0, 1, 1) + data
    body = body[:2] + internet.checksum(body).to_bytes(2, "big") + body[4:]
    return packet(source, destination, _ICMP, body)


def icmpv6(source: tuple[str, str], destination: tuple[str, str], body: bytes, *, hops: int = 255) -> bytes:
    """An ICMPv6 message whose checksum is put in. RFC 4861: a hop limit of 255 is a MUST for discovery."""
    checksum = _transport_checksum(source[1], destination[1], _ICMPV6, body)
    return packet(source, destination, _ICMPV6, body[:2] + checksum.to_bytes(2, "big") + body[4:], hops=hops)


def neighbor_advertisement(
    source: tuple[str, str], destination: tuple[str, str], *, target: str, link: str
) -> bytes:
    """Says that IPv6 address `target` is at MAC `link`, overriding (RFC 4861 section 4.4)."""
    body = struct.pack("!BBHI", 136, 0, 0, 0x60000000) + ipaddress.IPv6Address(target).packed
    return icmpv6(source, destination, body + b"\x02\x01" + _mac(link))


def router_advertisement(
    source: tuple[str, str], destination: tuple[str, str] = ("33:33:00:00:00:01", ALL_NODES), *, prefix: str
) -> bytes:
    """Offers itself as the router of `prefix`, to all nodes or to one (RFC 4861 section 4.2)."""
    network = ipaddress.IPv6Network(prefix)
    body = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
    body += struct.pack("!BBBBIII", 3, 4, network.prefixlen, 0xC0, 86400, 14400, 0)
    return icmpv6(source, destination, body + network.network_address.packed)


def dhcp_offer(
    source: tuple[str, str], destination: tuple[str, str], *, offered: str, data: bytes = b""
) -> bytes:
    """What a DHCP server answers (RFC 2131 section 3), with `data` at its end."""
    body = struct.pack("!BBBBIHH", 2, 1, 6, 0, 1, 0, 0) + bytes(4) + ipaddress.IPv4Address(offered).packed
    body += (
        ipaddress.IPv4Address(source[1]).packed
        + bytes(4)
        + _mac(destination[0]).ljust(16, b"\0")
        + bytes(192)
    )
    options = b"\x63\x82\x53\x63" + b"\x35\x01\x02" + b"\xff"
    return udp(source, destination, body + options + data, sport=67, dport=68)


def dhcpv6_advertise(source: tuple[str, str], destination: tuple[str, str], data: bytes = b"") -> bytes:
    """What a DHCPv6 server answers (RFC 8415 section 8), with `data` at its end."""
    return udp(source, destination, b"\x02\x00\x00\x01" + data, sport=547, dport=546)


def multicast_mac(group: str) -> str:
    """The MAC address of a group (RFC 1112 section 6.4, RFC 2464 section 7)."""
    packed = ipaddress.ip_address(group).packed
    if len(packed) == 16:
        return (b"\x33\x33" + packed[-4:]).hex(":")
    return (b"\x01\x00\x5e" + bytes([packed[1] & 0x7F]) + packed[2:]).hex(":")


def _transport_checksum(source: str, destination: str, protocol: int, data: bytes) -> int:
    """Over the pseudo-header and `data` (RFC 768, RFC 8200 section 8.1)."""
    here, there = ipaddress.ip_address(source), ipaddress.ip_address(destination)
    shape = "!IHBB" if here.version == 6 else "!BBH"
    values = (len(data), 0, 0, protocol) if here.version == 6 else (0, protocol, len(data))
    return internet.checksum(here.packed + there.packed + struct.pack(shape, *values) + data)


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))
