"""The ICMP error that tells a sender how large its packets may be.

IPv4  type 3, code 4, MTU in the second half of the second word (RFC 1191, section 4);
      quotes the packet's header and 8 bytes behind it
IPv6  type 2, code 0, MTU in the second word (RFC 4443, section 3.2);
      quotes as much as fits into 1,280 bytes
"""

from struct import Struct

from plait.wire import internet
from plait.wire.errors import MalformedMessage
from plait.wire.internet import ETHERNET_HEADER_BYTES, PROTO_ICMP, PROTO_ICMPV6, checksum

QUOTED_V4_BYTES = 60 + 8
"""The longest header and 8 bytes (RFC 792)."""
QUOTED_V6_BYTES = 1280 - 40 - 8

_IPV4 = Struct("!BBHHHBBH4s4s")
_ICMP = Struct("!BBHHH")
_ICMPV6 = Struct("!BBHI")
_DONT_FRAGMENT = 0x4000
_OFFSET = 0x1FFF
_ICMP_ERRORS = frozenset({3, 4, 5, 11, 12})


def too_big(frame: bytes, mtu_bytes: int) -> bytes | None:
    """The frame that tells the sender of `frame` (its beginning is enough) that at most `mtu_bytes` fit.

    It comes from the address that the packet was for, because a layer-2 network has no other to speak with.
    None where no error may be sent: the packet may be fragmented, is itself an ICMP error, a later fragment,
    or for many (RFC 1122, 3.2.2; RFC 4443, 2.4). Raises MalformedMessage.
    """
    if len(frame) < ETHERNET_HEADER_BYTES + 20:
        raise MalformedMessage("frame", len(frame), "too short for Ethernet and IP")
    match int.from_bytes(frame[12:14], "big"):
        case internet.ETH_IPV4:
            packet = _too_big_v4(frame[ETHERNET_HEADER_BYTES:], mtu_bytes)
        case internet.ETH_IPV6:
            packet = _too_big_v6(frame[ETHERNET_HEADER_BYTES:], mtu_bytes)
        case other:
            raise MalformedMessage("ethertype", 12, f"{other:04x} is not IP")
    if packet is None or frame[0] & 1:
        return None
    return frame[6:12] + frame[0:6] + frame[12:14] + packet


def _too_big_v4(packet: bytes, mtu_bytes: int) -> bytes | None:
    first, _, _, _, fragment, _, protocol, _, source, destination = _IPV4.unpack_from(packet)
    header_bytes = (first & 15) * 4
    if first >> 4 != 4 or header_bytes < 20 or len(packet) < header_bytes + 8:
        raise MalformedMessage("ipv4", ETHERNET_HEADER_BYTES, "no whole header with 8 bytes behind it")
    if not fragment & _DONT_FRAGMENT or fragment & _OFFSET:
        return None
    if protocol == PROTO_ICMP and packet[header_bytes] in _ICMP_ERRORS:
        return None
    quoted = packet[: header_bytes + 8]
    icmp = _with_checksum(_ICMP.pack(3, 4, 0, 0, mtu_bytes) + quoted, b"")
    header = _IPV4.pack(0x45, 0xC0, 20 + len(icmp), 0, _DONT_FRAGMENT, 64, PROTO_ICMP, 0, destination, source)
    return header[:10] + checksum(header).to_bytes(2, "big") + header[12:] + icmp


def _too_big_v6(packet: bytes, mtu_bytes: int) -> bytes | None:
    if len(packet) < 40 or packet[0] >> 4 != 6:
        raise MalformedMessage("ipv6", ETHERNET_HEADER_BYTES, "no whole header")
    source, destination = packet[8:24], packet[24:40]
    if packet[6] == PROTO_ICMPV6 and len(packet) > 40 and packet[40] < 128:
        return None
    if not any(source) or source[0] == 0xFF:
        return None
    body = _ICMPV6.pack(2, 0, 0, mtu_bytes) + packet[:QUOTED_V6_BYTES]
    pseudo = destination + source + len(body).to_bytes(4, "big") + b"\0\0\0\x3a"
    icmp = _with_checksum(body, pseudo)
    header = b"\x60\0\0\0" + len(icmp).to_bytes(2, "big") + b"\x3a\x40" + destination + source
    return header + icmp


def _with_checksum(message: bytes, pseudo_header: bytes) -> bytes:
    return message[:2] + checksum(pseudo_header + message).to_bytes(2, "big") + message[4:]
