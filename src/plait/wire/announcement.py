"""An endpoint's word, unasked, that an address is its own: gratuitous ARP, unsolicited advertisement.

Source: RFC 5227, sections 2.3 and 3; RFC 4861, sections 4.4 and 7.2.6.
"""

import ipaddress

import msgspec

from plait.wire.errors import MalformedMessage
from plait.wire.internet import (
    ETHERNET_HEADER_BYTES,
    ND_NEIGHBOUR_ADVERTISEMENT,
    PROTO_ICMPV6,
    checksum,
)
from plait.wire.router_advertisement import ALL_NODES, ALL_NODES_MAC

_ARP_BYTES = 28
_FOR_IPV4 = b"\x00\x01\x08\x00\x06\x04"
_ICMP_AT = ETHERNET_HEADER_BYTES + 40
_ADVERTISEMENT_BYTES = 24
_SOLICITED, _OVERRIDE = 0x40, 0x20


class Announcement(msgspec.Struct, frozen=True, gc=False):
    """The sender's MAC and the address, both as text."""

    mac: str
    address: str


def decode_announcement(frame: bytes) -> Announcement:
    """What an Ethernet frame announces. Raises MalformedMessage, also for what is no announcement."""
    match frame[12:14]:
        case b"\x08\x06":
            address = _arp(frame)
        case b"\x86\xdd":
            address = _advertisement(frame)
        case other:
            raise MalformedMessage("ethertype", 12, f"{other.hex()} announces nothing")
    return Announcement(frame[6:12].hex(":"), str(ipaddress.ip_address(address)))


def encode_announcement(said: Announcement) -> bytes:
    """The Ethernet frame by which everybody learns, or learns anew, where the address is."""
    mac, address = bytes.fromhex(said.mac.replace(":", "")), ipaddress.ip_address(said.address).packed
    if len(address) == 4:
        arp = _FOR_IPV4 + b"\0\1" + mac + address + bytes(6) + address
        return (b"\xff" * 6 + mac + b"\x08\x06" + arp).ljust(60, b"\0")
    body = bytes((ND_NEIGHBOUR_ADVERTISEMENT, 0, 0, 0, _OVERRIDE, 0, 0, 0)) + address + b"\x02\x01" + mac
    addresses = address + ALL_NODES
    total = checksum(addresses + len(body).to_bytes(4, "big") + PROTO_ICMPV6.to_bytes(4, "big") + body)
    message = body[:2] + total.to_bytes(2, "big") + body[4:]
    header = b"\x60\0\0\0" + len(message).to_bytes(2, "big") + bytes((PROTO_ICMPV6, 255)) + addresses
    return ALL_NODES_MAC + mac + b"\x86\xdd" + header + message


def _arp(frame: bytes) -> bytes:
    """Request or answer whose sender's and target's addresses are the same."""
    arp = frame[ETHERNET_HEADER_BYTES : ETHERNET_HEADER_BYTES + _ARP_BYTES]
    if len(arp) < _ARP_BYTES or arp[:6] != _FOR_IPV4:
        raise MalformedMessage("arp", ETHERNET_HEADER_BYTES, "not whole, or not IPv4 on Ethernet")
    sender, address, target = arp[8:14], arp[14:18], arp[24:28]
    if sender != frame[6:12] or address != target or not any(address):
        raise MalformedMessage("arp", ETHERNET_HEADER_BYTES, "it does not announce its sender's address")
    return address


def _advertisement(frame: bytes) -> bytes:
    """RFC 4861, 7.1.2: valid, for all nodes and therefore not solicited."""
    packet = frame[ETHERNET_HEADER_BYTES:]
    message = packet[40 : 40 + int.from_bytes(packet[4:6], "big")]
    if len(message) < _ADVERTISEMENT_BYTES or packet[6] != PROTO_ICMPV6 or packet[7] != 255:
        raise MalformedMessage("ipv6", ETHERNET_HEADER_BYTES, "no whole advertisement of this link")
    if message[:2] != bytes((ND_NEIGHBOUR_ADVERTISEMENT, 0)) or message[4] & _SOLICITED:
        raise MalformedMessage("icmpv6", _ICMP_AT, f"type {message[0]}, or solicited")
    pseudo_header = packet[8:40] + len(message).to_bytes(4, "big") + PROTO_ICMPV6.to_bytes(4, "big")
    if checksum(pseudo_header + message):
        raise MalformedMessage("icmpv6 checksum", _ICMP_AT + 2, "it is wrong")
    return message[8:24]
