"""ICMP errors: how a sender learns what became of its packet.

IPv4  an 8-byte head: type, code, checksum, and in the last two the MTU, where it is about that
      (RFC 792; RFC 1191, section 4); then the packet, as RFC 1812, section 4.3.2.3 has it
IPv6  the same with an MTU of four bytes (RFC 4443, section 3), and a checksum over addresses, too
"""

from enum import Enum
from struct import Struct

from plait.wire.internet import ETH_IPV4, ETH_IPV6, PROTO_ICMP, PROTO_ICMPV6, checksum
from plait.wire.offender import QUOTED_V4_BYTES, QUOTED_V6_BYTES, Offender, offender

__all__ = [
    "QUOTED_V4_BYTES",
    "QUOTED_V6_BYTES",
    "IcmpError",
    "Offender",
    "icmp_error",
    "offender",
    "too_big",
]

_IPV4 = Struct("!BBHHHBBH4s4s")
_ICMP = Struct("!BBHHH")
_ICMPV6 = Struct("!BBHI")
_DONT_FRAGMENT = 0x4000
_INTERNETWORK_CONTROL = 0xC0
"""The precedence of errors (RFC 1812, section 4.3.2.5)."""
_HOPS = 64


class IcmpError(Enum):
    """What can be wrong: (type, code) of ICMP, and of ICMPv6."""

    TOO_BIG = (3, 4), (2, 0)
    TIME_EXCEEDED = (11, 0), (3, 0)
    NO_ROUTE = (3, 0), (1, 0)
    NO_HOST = (3, 1), (1, 3)
    NO_PORT = (3, 3), (1, 4)


def icmp_error(
    error: IcmpError, about: Offender, *, source_mac: bytes, source: bytes, to_mac: bytes, mtu_bytes: int = 0
) -> bytes:
    """The frame that tells the sender of `about`. Addresses are packed; `mtu_bytes` says what does fit."""
    of_v4, of_v6 = error.value
    if len(source) == 16:
        eth_type = ETH_IPV6
        packet = _packet_v6(of_v6, mtu_bytes, about.quoted, source, about.source)
    else:
        eth_type = ETH_IPV4
        packet = _packet_v4(of_v4, mtu_bytes, about.quoted, source, about.source)
    return to_mac + source_mac + eth_type.to_bytes(2, "big") + packet


def too_big(frame: bytes, mtu_bytes: int) -> bytes | None:
    """The frame that tells the sender of `frame` (its beginning is enough) that at most `mtu_bytes` fit.

    It comes from the address that the packet was for, because a layer-2 network has no other to speak with.
    So it is also without "don't fragment": a router would make fragments, a switch can't, and a sender that
    was told does. None where no error may be sent. Raises MalformedMessage.
    """
    about = offender(frame)
    if about is None:
        return None
    return icmp_error(
        IcmpError.TOO_BIG,
        about,
        source_mac=about.destination_mac,
        source=about.destination,
        to_mac=about.source_mac,
        mtu_bytes=mtu_bytes,
    )


def _packet_v4(
    kind: tuple[int, int], mtu_bytes: int, quoted: bytes, source: bytes, destination: bytes
) -> bytes:
    icmp = _with_checksum(_ICMP.pack(*kind, 0, 0, mtu_bytes) + quoted, b"")
    total = _IPV4.size + len(icmp)
    header = _IPV4.pack(
        0x45, _INTERNETWORK_CONTROL, total, 0, _DONT_FRAGMENT, _HOPS, PROTO_ICMP, 0, source, destination
    )
    return header[:10] + checksum(header).to_bytes(2, "big") + header[12:] + icmp


def _packet_v6(
    kind: tuple[int, int], mtu_bytes: int, quoted: bytes, source: bytes, destination: bytes
) -> bytes:
    body = _ICMPV6.pack(*kind, 0, mtu_bytes) + quoted
    pseudo_header = source + destination + len(body).to_bytes(4, "big") + bytes((0, 0, 0, PROTO_ICMPV6))
    icmp = _with_checksum(body, pseudo_header)
    lengths = len(icmp).to_bytes(2, "big") + bytes((PROTO_ICMPV6, _HOPS))
    return b"\x60\0\0\0" + lengths + source + destination + icmp


def _with_checksum(message: bytes, pseudo_header: bytes) -> bytes:
    return message[:2] + checksum(pseudo_header + message).to_bytes(2, "big") + message[4:]
