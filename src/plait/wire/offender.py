"""The packet that an ICMP error is about, as far as the error needs to know it; and whether there may be one.

No error about: an ICMP error, so that none breeds others; a fragment other than the first, which can't be
told from one; what was for many or comes from nobody in particular.
Source: RFC 1122, section 3.2.2; RFC 4443, section 2.4 (e).
"""

from struct import Struct

import msgspec

from plait.wire import internet
from plait.wire.errors import MalformedMessage
from plait.wire.internet import ETHERNET_HEADER_BYTES, ND_REDIRECT, PROTO_ICMP, PROTO_ICMPV6

QUOTED_V4_BYTES = 576 - 20 - 8
"""As much as fits into 576 bytes (RFC 1812, section 4.3.2.3)."""
QUOTED_V6_BYTES = 1280 - 40 - 8
"""As much as fits into 1,280 bytes (RFC 4443, section 2.4 (c))."""

_IPV4 = Struct("!BBHHHBBH4s4s")
_IPV6 = Struct("!4xHBx16s16s")
_LATER_FRAGMENT = 0x1FFF
_ICMP_ERRORS = frozenset({3, 4, 5, 11, 12})

_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _DESTINATION = 0, 43, 44, 51, 60
_HEADERS_MAX = 8
"""Extension headers that are looked behind; nothing sane has more."""


class Offender(msgspec.Struct, frozen=True, gc=False):
    """A packet with the link's addresses around it (packed: 6, and 4 or 16 bytes); `quoted` is its beginning.

    Without padding of the frame, and no more than an error may quote.
    """

    source_mac: bytes
    destination_mac: bytes
    source: bytes
    destination: bytes
    quoted: bytes


def offender(frame: bytes) -> Offender | None:
    """The packet of a frame, of which the beginning is enough; None where no error may be sent about it.

    Raises MalformedMessage.
    """
    if len(frame) < ETHERNET_HEADER_BYTES:
        raise MalformedMessage("frame", len(frame), "too short for Ethernet")
    packet = frame[ETHERNET_HEADER_BYTES:]
    match int.from_bytes(frame[12:14], "big"):
        case internet.ETH_IPV4:
            found = _v4(packet)
        case internet.ETH_IPV6:
            found = _v6(packet)
        case other:
            raise MalformedMessage("ethertype", 12, f"{other:04x} is not IP")
    if found is None or frame[0] & 1:
        return None
    return Offender(frame[6:12], frame[:6], *found)


def _v4(packet: bytes) -> tuple[bytes, bytes, bytes] | None:
    if len(packet) < _IPV4.size:
        raise MalformedMessage("ipv4", ETHERNET_HEADER_BYTES, "no whole header")
    first, _, total, _, fragment, _, protocol, _, source, destination = _IPV4.unpack_from(packet)
    header_bytes = (first & 15) * 4
    if first >> 4 != 4 or header_bytes < _IPV4.size or total < header_bytes or len(packet) < header_bytes:
        raise MalformedMessage("ipv4", ETHERNET_HEADER_BYTES, "no whole header")
    body = packet[header_bytes:total]
    if fragment & _LATER_FRAGMENT or not _is_one_v4(source) or not _is_one_v4(destination):
        return None
    if protocol == PROTO_ICMP and (not body or body[0] in _ICMP_ERRORS):
        return None
    return source, destination, packet[: min(total, QUOTED_V4_BYTES)]


def _is_one_v4(address: bytes) -> bool:
    """Neither "this network", nor loopback, nor multicast, nor class E with the broadcast address."""
    return address[0] not in (0, 127) and address[0] < 224


def _v6(packet: bytes) -> tuple[bytes, bytes, bytes] | None:
    if len(packet) < _IPV6.size or packet[0] >> 4 != 6:
        raise MalformedMessage("ipv6", ETHERNET_HEADER_BYTES, "no whole header")
    length, following, source, destination = _IPV6.unpack_from(packet)
    packet = packet[: _IPV6.size + length]
    if not _is_one_v6(source) or not _is_one_v6(destination) or not _may_have_errors(packet, following):
        return None
    return source, destination, packet[:QUOTED_V6_BYTES]


def _is_one_v6(address: bytes) -> bool:
    """Neither multicast nor unspecified nor loopback."""
    return address[0] != 0xFF and int.from_bytes(address, "big") > 1


def _may_have_errors(packet: bytes, following: int) -> bool:
    """Whether it is no error itself: behind its extension headers (RFC 8200, section 4), if one can tell."""
    at = _IPV6.size
    for _ in range(_HEADERS_MAX):
        if following == PROTO_ICMPV6:
            return at < len(packet) and packet[at] >= 128 and packet[at] != ND_REDIRECT
        if following not in (_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _DESTINATION):
            return True
        if at + 8 > len(packet):
            return False
        if following == _FRAGMENT:
            if int.from_bytes(packet[at + 2 : at + 4], "big") >> 3:
                return False
            size = 8
        elif following == _AUTHENTICATION:
            # In units of 4 bytes, less 2 (RFC 4302, section 2.2).
            size = (packet[at + 1] + 2) * 4
        else:
            size = (packet[at + 1] + 1) * 8
        following, at = packet[at], at + size
    return False
