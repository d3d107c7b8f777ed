"""What hosts say of the multicast groups that they want: IGMP and MLD reports.

    IGMPv1, v2   RFC 1112, appendix I; RFC 2236: one group a message
    IGMPv3       RFC 3376, section 4.2: group records
    MLDv1        RFC 2710: one group a message
    MLDv2        RFC 3810, section 5.2: address records

Sources are not looked at: who wants a group from some senders gets it from all, and filters for itself.
"""

from ipaddress import IPv4Address, IPv6Address

import msgspec

from plait.wire import internet
from plait.wire.errors import MalformedMessage
from plait.wire.internet import ETHERNET_HEADER_BYTES

MAX_RECORDS = 64
"""Records of one message that are looked at; the rest is ignored."""

_IS_INCLUDE, _IS_EXCLUDE, _TO_INCLUDE, _TO_EXCLUDE, _ALLOW_NEW, _BLOCK_OLD = range(1, 7)


class Wish(msgspec.Struct, frozen=True):
    """A group that the sender wants from now on, or no longer; canonical text."""

    group: str
    is_wanted: bool


def wishes(frame: bytes) -> tuple[Wish, ...]:
    """What an IGMP or MLD message in an Ethernet frame says, in its order; link-local groups are left out.

    Queries and unknown types say nothing. Raises MalformedMessage.
    """
    packet = frame[ETHERNET_HEADER_BYTES:]
    match int.from_bytes(frame[12:14], "big"):
        case internet.ETH_IPV4:
            found = _igmp(_payload_v4(packet))
        case internet.ETH_IPV6:
            found = _mld(_payload_v6(packet))
        case other:
            raise MalformedMessage("ethertype", 12, f"{other:04x} is not IP")
    return tuple(wish for wish in found if _is_routable(wish.group))


def _payload_v4(packet: bytes) -> bytes:
    header_bytes = (packet[0] & 15) * 4 if packet else 0
    if header_bytes < 20 or len(packet) < header_bytes or packet[9] != internet.PROTO_IGMP:
        raise MalformedMessage("ipv4", ETHERNET_HEADER_BYTES, "no IGMP in it")
    total_bytes = int.from_bytes(packet[2:4], "big")
    return packet[header_bytes : max(total_bytes, header_bytes)]


def _payload_v6(packet: bytes) -> bytes:
    """MLD comes behind a hop-by-hop header with the router alert (RFC 2710, section 3)."""
    if len(packet) < 40:
        raise MalformedMessage("ipv6", ETHERNET_HEADER_BYTES, "no whole header")
    following, offset = packet[6], 40
    if following == internet.PROTO_HOP_BY_HOP and len(packet) >= 42:
        following, offset = packet[40], 40 + 8 * (packet[41] + 1)
    if following != internet.PROTO_ICMPV6 or len(packet) < offset:
        raise MalformedMessage("ipv6", ETHERNET_HEADER_BYTES, "no MLD in it")
    end = 40 + int.from_bytes(packet[4:6], "big")
    return packet[offset : max(end, offset)]


def _igmp(message: bytes) -> list[Wish]:
    if len(message) < 8:
        raise MalformedMessage("igmp", 0, f"{len(message)} bytes, at least 8 are needed")
    match message[0]:
        case 0x12 | 0x16:  # version 1 and 2 report
            return [Wish(_text(message[4:8]), is_wanted=True)]
        case 0x17:  # version 2 leave
            return [Wish(_text(message[4:8]), is_wanted=False)]
        case 0x22:  # version 3 report
            return _records(message, address_bytes=4)
    return []


def _mld(message: bytes) -> list[Wish]:
    if len(message) < 8:
        raise MalformedMessage("mld", 0, f"{len(message)} bytes, at least 8 are needed")
    match message[0]:
        case internet.MLD_REPORT | internet.MLD_DONE as kind:
            if len(message) < 24:
                raise MalformedMessage("mld", 0, f"{len(message)} bytes, 24 are needed")
            return [Wish(_text(message[8:24]), is_wanted=kind == internet.MLD_REPORT)]
        case internet.MLD_V2_REPORT:
            return _records(message, address_bytes=16)
    return []


def _records(message: bytes, *, address_bytes: int) -> list[Wish]:
    """A record in bytes: type 1, words of other data 1, number of sources 2, group, sources, that data."""
    found: list[Wish] = []
    offset = 8
    for _ in range(min(int.from_bytes(message[6:8], "big"), MAX_RECORDS)):
        sources_at = offset + 4 + address_bytes
        if len(message) < sources_at:
            raise MalformedMessage("group record", offset, "it ends in the middle")
        kind, auxiliary_words = message[offset], message[offset + 1]
        n_sources = int.from_bytes(message[offset + 2 : offset + 4], "big")
        end = sources_at + n_sources * address_bytes + auxiliary_words * 4
        if len(message) < end:
            raise MalformedMessage("group record", sources_at, f"{n_sources} sources are not all there")
        group = _text(message[offset + 4 : sources_at])
        if kind in (_IS_EXCLUDE, _TO_EXCLUDE, _ALLOW_NEW):
            found.append(Wish(group, is_wanted=True))
        elif kind in (_IS_INCLUDE, _TO_INCLUDE):
            found.append(Wish(group, is_wanted=n_sources > 0))
        elif kind != _BLOCK_OLD:
            raise MalformedMessage("group record", offset, f"type {kind} does not exist")
        offset = end
    return found


def _text(address: bytes) -> str:
    return str(IPv4Address(address) if len(address) == 4 else IPv6Address(address))


def _is_routable(group: str) -> bool:
    """Whether the group means more than this link's own housekeeping.

    That is 224.0.0.0/24 (RFC 5771, section 4) and the scopes 0 to 2 of IPv6 (RFC 4291, section 2.7). mDNS,
    224.0.0.251 and ff02::fb, is among it: it would reach every container of a network.
    """
    if ":" in group:
        address = IPv6Address(group)
        return address.is_multicast and address.packed[1] & 0x0F > 2
    v4 = IPv4Address(group)
    return v4.is_multicast and v4.packed[:3] != b"\xe0\0\0"
