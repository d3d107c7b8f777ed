"""Who talks to whom in a frame: addresses, protocol and ports, for a line in a log. Nothing of what they say.

Source: RFC 791, section 3.1; RFC 8200, sections 3 and 4; the first four bytes of TCP, UDP, SCTP and ICMP.
"""

import ipaddress

import msgspec

from plait.wire.errors import MalformedMessage
from plait.wire.internet import (
    ETH_IPV4,
    ETH_IPV6,
    ETHERNET_HEADER_BYTES,
    PROTO_HOP_BY_HOP,
    PROTO_ICMP,
    PROTO_ICMPV6,
    PROTO_TCP,
    PROTO_UDP,
)

PROTO_ROUTING, PROTO_FRAGMENT, PROTO_DESTINATION, PROTO_SCTP = 43, 44, 60, 132
MAX_EXTENSIONS = 8
"""Extension headers that are looked through: a packet with more of them is shown without ports."""

_NAMES = {PROTO_TCP: "tcp", PROTO_UDP: "udp", PROTO_SCTP: "sctp", PROTO_ICMP: "icmp", PROTO_ICMPV6: "icmpv6"}
_WITH_PORTS = (PROTO_TCP, PROTO_UDP, PROTO_SCTP)


class Conversation(msgspec.Struct, frozen=True, gc=False):
    """What is not there, or was cut off, is None. `protocol`: a name, or the number as text."""

    source: str
    destination: str
    protocol: str
    source_port: int | None = None
    destination_port: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None


def decode_conversation(frame: bytes) -> Conversation:
    """Of an Ethernet frame, or of its beginning. Raises MalformedMessage where no IP header is whole."""
    ethertype = int.from_bytes(frame[12:14], "big")
    if ethertype == ETH_IPV4:
        source, destination, protocol, at = _v4(frame)
    elif ethertype == ETH_IPV6:
        source, destination, protocol, at = _v6(frame)
    else:
        raise MalformedMessage("ethertype", 12, f"{ethertype:#06x} is not IP")
    name = _NAMES.get(protocol, str(protocol))
    start = b"" if at is None else frame[at : at + 4]
    if protocol in _WITH_PORTS and len(start) == 4:
        ports = int.from_bytes(start[:2], "big"), int.from_bytes(start[2:], "big")
        return Conversation(source, destination, name, *ports)
    if protocol in (PROTO_ICMP, PROTO_ICMPV6) and len(start) == 4:
        return Conversation(source, destination, name, icmp_type=start[0], icmp_code=start[1])
    return Conversation(source, destination, name)


def _v4(frame: bytes) -> tuple[str, str, int, int | None]:
    """Source, destination, protocol, and where the payload begins; None: not in this fragment."""
    header = frame[ETHERNET_HEADER_BYTES : ETHERNET_HEADER_BYTES + 20]
    length = (header[0] & 15) * 4 if header else 0
    if len(header) < 20 or header[0] >> 4 != 4 or length < 20:
        raise MalformedMessage("ipv4", ETHERNET_HEADER_BYTES, "no whole header")
    is_later = int.from_bytes(header[6:8], "big") & 0x1FFF
    source, destination = (str(ipaddress.IPv4Address(part)) for part in (header[12:16], header[16:20]))
    return source, destination, header[9], None if is_later else ETHERNET_HEADER_BYTES + length


def _v6(frame: bytes) -> tuple[str, str, int, int | None]:
    header = frame[ETHERNET_HEADER_BYTES : ETHERNET_HEADER_BYTES + 40]
    if len(header) < 40 or header[0] >> 4 != 6:
        raise MalformedMessage("ipv6", ETHERNET_HEADER_BYTES, "no whole header")
    source, destination = (str(ipaddress.IPv6Address(part)) for part in (header[8:24], header[24:40]))
    following, at = header[6], ETHERNET_HEADER_BYTES + 40
    for _ in range(MAX_EXTENSIONS):
        if following not in (PROTO_HOP_BY_HOP, PROTO_ROUTING, PROTO_FRAGMENT, PROTO_DESTINATION):
            return source, destination, following, at
        extension = frame[at : at + 8]
        if len(extension) < 8:
            return source, destination, following, None
        if following == PROTO_FRAGMENT:
            is_later = int.from_bytes(extension[2:4], "big") >> 3
            if is_later:
                return source, destination, extension[0], None
            following, at = extension[0], at + 8
        else:
            following, at = extension[0], at + (extension[1] + 1) * 8
    return source, destination, following, None
