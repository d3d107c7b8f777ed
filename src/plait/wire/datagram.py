"""UDP datagrams in Ethernet frames, IPv4 and IPv6, there and back.

Source: RFC 791, section 3.1; RFC 8200, section 3; RFC 768.
"""

from struct import Struct

import msgspec

from plait.wire.errors import MalformedMessage
from plait.wire.internet import ETH_IPV4, ETH_IPV6, ETHERNET_HEADER_BYTES, PROTO_UDP, checksum

_V4_HEADER_BYTES, _V6_HEADER_BYTES, _UDP_HEADER_BYTES = 20, 40, 8

_IPV4 = Struct("!BBHHHBBH4s4s")
_IPV6 = Struct("!IHBB16s16s")
_UDP = Struct("!HHHH")
_DONT_FRAGMENT, _MORE_OR_OFFSET = 0x4000, 0x3FFF
_HOPS = 64


class Datagram(msgspec.Struct, frozen=True, gc=False):
    """A datagram with the link's addresses around it; addresses are packed (6, and 4 or 16 bytes)."""

    source_mac: bytes
    destination_mac: bytes
    source: bytes
    destination: bytes
    source_port: int
    destination_port: int
    payload: bytes


def decode_datagram(frame: bytes) -> Datagram:
    """The UDP datagram of an Ethernet frame; a frame's padding is left out.

    Fragments and IPv6 extension headers are refused. Checksums are not looked at: on a virtual link the
    sender's kernel may have left them to a network card that is not there. Raises MalformedMessage.
    """
    match frame[12:14]:
        case b"\x08\x00":
            at, end, source, destination = _v4(frame)
        case b"\x86\xdd":
            at, end, source, destination = _v6(frame)
        case other:
            raise MalformedMessage("ethertype", 12, f"{other.hex()} is not IP")
    if end > len(frame) or at + _UDP_HEADER_BYTES > end:
        raise MalformedMessage("packet", at, f"{len(frame)} bytes, which is not all of it")
    source_port, destination_port, length, _ = _UDP.unpack_from(frame, at)
    if not _UDP_HEADER_BYTES <= length <= end - at:
        raise MalformedMessage("udp length", at + 4, f"{length} of {end - at} bytes")
    payload = frame[at + _UDP_HEADER_BYTES : at + length]
    return Datagram(frame[6:12], frame[:6], source, destination, source_port, destination_port, payload)


def _v4(frame: bytes) -> tuple[int, int, bytes, bytes]:
    """Where the packet's payload begins and ends; source, destination."""
    if len(frame) < ETHERNET_HEADER_BYTES + _V4_HEADER_BYTES:
        raise MalformedMessage("ipv4", len(frame), "no whole header")
    first, _, total, _, fragment, _, protocol, _, source, destination = _IPV4.unpack_from(
        frame, ETHERNET_HEADER_BYTES
    )
    header_bytes = (first & 15) * 4
    if first >> 4 != 4 or header_bytes < _V4_HEADER_BYTES:
        raise MalformedMessage("ipv4", ETHERNET_HEADER_BYTES, f"version and header length {first:02x}")
    if protocol != PROTO_UDP or fragment & _MORE_OR_OFFSET:
        raise MalformedMessage("ipv4", ETHERNET_HEADER_BYTES, "not UDP, or a fragment")
    return ETHERNET_HEADER_BYTES + header_bytes, ETHERNET_HEADER_BYTES + total, source, destination


def _v6(frame: bytes) -> tuple[int, int, bytes, bytes]:
    at = ETHERNET_HEADER_BYTES + _V6_HEADER_BYTES
    if len(frame) < at:
        raise MalformedMessage("ipv6", len(frame), "no whole header")
    first, length, following, _, source, destination = _IPV6.unpack_from(frame, ETHERNET_HEADER_BYTES)
    if first >> 28 != 6:
        raise MalformedMessage("ipv6", ETHERNET_HEADER_BYTES, f"version {first >> 28}")
    if following != PROTO_UDP:
        raise MalformedMessage("ipv6 next header", 20, f"{following} is not UDP")
    return at, at + length, source, destination


def encode_datagram(datagram: Datagram) -> bytes:
    """The frame; the family is that of the addresses. IPv4 may not be fragmented on its way."""
    length = _UDP_HEADER_BYTES + len(datagram.payload)
    ports = datagram.source_port, datagram.destination_port
    addresses = datagram.source + datagram.destination
    pseudo_header = addresses + PROTO_UDP.to_bytes(2, "big") + length.to_bytes(2, "big")
    # A checksum of 0 would mean none (RFC 768).
    total = checksum(pseudo_header + _UDP.pack(*ports, length, 0) + datagram.payload) or 0xFFFF
    udp = _UDP.pack(*ports, length, total)
    if len(datagram.source) == 16:
        ethertype = ETH_IPV6
        header = _IPV6.pack(6 << 28, length, PROTO_UDP, _HOPS, datagram.source, datagram.destination)
    else:
        ethertype = ETH_IPV4
        header = _ipv4_header(length, datagram.source, datagram.destination)
    link = datagram.destination_mac + datagram.source_mac + ethertype.to_bytes(2, "big")
    return link + header + udp + datagram.payload


def _ipv4_header(payload_bytes: int, source: bytes, destination: bytes) -> bytes:
    total = _V4_HEADER_BYTES + payload_bytes
    header = _IPV4.pack(0x45, 0, total, 0, _DONT_FRAGMENT, _HOPS, PROTO_UDP, 0, source, destination)
    return header[:10] + checksum(header).to_bytes(2, "big") + header[12:]
