"""Packets as matches see them: fields by their OpenFlow names. What the trace sends through the tables."""

from collections.abc import Mapping

import msgspec

from plait.flows.address_numbers import ipv4_number, ipv6_number, mac_number
from plait.wire.internet import (
    ARP_REQUEST,
    ECHO_REPLY,
    ECHO_REPLY_V6,
    ETH_ARP,
    ETH_IPV4,
    ETH_IPV6,
    ETHERNET_HEADER_BYTES,
    ND_NEIGHBOUR_SOLICITATION,
    PROTO_ICMP,
    PROTO_ICMPV6,
    PROTO_SCTP,
    PROTO_TCP,
    PROTO_UDP,
)
from plait.wire.openflow.oxm import match
from plait.wire.openflow.text import match_text

BROADCAST_MAC = 0xFFFFFFFFFFFF
ICMP_ECHO_REQUEST = 8
ICMPV6_ECHO_REQUEST = 128
_SOLICITED_NODE = 0xFF02 << 112 | 0x1FF << 24
_ND_HOP_LIMIT = 255
_USUAL_HOP_LIMIT = 64
_EPHEMERAL_PORT = 49152
_ARP_BYTES = 28
_SOLICITATION_BYTES = 72
_PROTOCOLS = {
    PROTO_ICMP: "icmp",
    PROTO_TCP: "tcp",
    PROTO_UDP: "udp",
    PROTO_SCTP: "sctp",
    PROTO_ICMPV6: "icmpv6",
}
_REPLIES = {
    "icmpv4_type": {ICMP_ECHO_REQUEST: ECHO_REPLY},
    "icmpv6_type": {ICMPV6_ECHO_REQUEST: ECHO_REPLY_V6},
}
_PING_BYTES = {ETH_IPV4: 84, ETH_IPV6: 104}


class Packet(msgspec.Struct, frozen=True):
    """One frame: its `fields` (what it doesn't have counts as 0) and its size with the Ethernet header.

    Without a size it goes, wherever flows look at that, both ways: first as one that is too large.
    """

    fields: Mapping[str, int]
    size_bytes: int | None


def arp_request(mac: str, sender: str, asked: str) -> Packet:
    """ "Who has `asked`? Tell `sender`" (RFC 826); 0.0.0.0 as sender makes it a probe (RFC 5227)."""
    fields = {
        "eth_src": mac_number(mac),
        "eth_dst": BROADCAST_MAC,
        "eth_type": ETH_ARP,
        "arp_op": ARP_REQUEST,
        "arp_spa": ipv4_number(sender),
        "arp_tpa": ipv4_number(asked),
        "arp_sha": mac_number(mac),
    }
    return Packet(fields, ETHERNET_HEADER_BYTES + _ARP_BYTES)


def neighbour_solicitation(mac: str, sender: str, asked: str) -> Packet:
    """The same for IPv6 (RFC 4861, 4.3); from `::` it detects duplicate addresses (RFC 4862, 5.4)."""
    target = ipv6_number(asked)
    group = _SOLICITED_NODE | target & 0xFFFFFF
    fields = {
        "eth_src": mac_number(mac),
        "eth_dst": 0x3333 << 32 | group & 0xFFFFFFFF,
        "eth_type": ETH_IPV6,
        "ipv6_src": ipv6_number(sender),
        "ipv6_dst": group,
        "ip_proto": PROTO_ICMPV6,
        "nw_ttl": _ND_HOP_LIMIT,
        "icmpv6_type": ND_NEIGHBOUR_SOLICITATION,
        "nd_target": target,
        "nd_sll": mac_number(mac) if ipv6_number(sender) else 0,
    }
    return Packet(fields, ETHERNET_HEADER_BYTES + _SOLICITATION_BYTES)


def request(mac: str, sender: str, asked: str) -> Packet:
    """The question for the MAC of an address, in the way of the address's version."""
    return (neighbour_solicitation if ":" in asked else arp_request)(mac, sender, asked)


def ip(
    source_mac: int,
    target_mac: int,
    source: str,
    target: str,
    *,
    proto: int,
    fields: Mapping[str, int],
    size_bytes: int | None = None,
) -> Packet:
    """An IP packet with the `fields` of its transport; `size_bytes` counts from the IP header."""
    eth_type = ETH_IPV6 if ":" in target else ETH_IPV4
    name, number = ("ipv6", ipv6_number) if eth_type == ETH_IPV6 else ("ipv4", ipv4_number)
    headers = {
        "eth_src": source_mac,
        "eth_dst": target_mac,
        "eth_type": eth_type,
        f"{name}_src": number(source),
        f"{name}_dst": number(target),
        "ip_proto": proto,
        "nw_ttl": _USUAL_HOP_LIMIT,
    }
    size_bytes = _PING_BYTES[eth_type] if size_bytes is None else size_bytes
    return Packet({**headers, **fields}, ETHERNET_HEADER_BYTES + size_bytes)


def echo_request(
    source_mac: int, target_mac: int, source: str, target: str, *, size_bytes: int | None = None
) -> Packet:
    """A ping."""
    if ":" in target:
        proto, fields = PROTO_ICMPV6, {"icmpv6_type": ICMPV6_ECHO_REQUEST}
    else:
        proto, fields = PROTO_ICMP, {"icmpv4_type": ICMP_ECHO_REQUEST}
    return ip(source_mac, target_mac, source, target, proto=proto, fields=fields, size_bytes=size_bytes)


def tcp(
    source_mac: int, target_mac: int, source: str, target: str, port: int, *, size_bytes: int | None = None
) -> Packet:
    """A TCP segment to `port`."""
    fields = {"tcp_src": _EPHEMERAL_PORT, "tcp_dst": port}
    return ip(source_mac, target_mac, source, target, proto=PROTO_TCP, fields=fields, size_bytes=size_bytes)


def udp(
    source_mac: int, target_mac: int, source: str, target: str, port: int, *, size_bytes: int | None = None
) -> Packet:
    """A UDP datagram to `port`."""
    fields = {"udp_src": _EPHEMERAL_PORT, "udp_dst": port}
    return ip(source_mac, target_mac, source, target, proto=PROTO_UDP, fields=fields, size_bytes=size_bytes)


def sctp(
    source_mac: int, target_mac: int, source: str, target: str, port: int, *, size_bytes: int | None = None
) -> Packet:
    """An SCTP packet to `port`."""
    fields = {"sctp_src": _EPHEMERAL_PORT, "sctp_dst": port}
    return ip(source_mac, target_mac, source, target, proto=PROTO_SCTP, fields=fields, size_bytes=size_bytes)


def answer(packet: Packet, source_mac: int, target_mac: int) -> Packet:
    """What the receiver of an IP packet answers; MACs are those of its own first hop."""
    fields = dict(packet.fields)
    for field in ("ipv4", "ipv6", "tcp", "udp", "sctp"):
        there, back = f"{field}_src", f"{field}_dst"
        if there in fields:
            fields[there], fields[back] = fields[back], fields[there]
    for name, replies in _REPLIES.items():
        if name in fields:
            fields[name] = replies.get(fields[name], fields[name])
    macs = {"eth_src": source_mac, "eth_dst": target_mac}
    return Packet({**fields, **macs, "nw_ttl": _USUAL_HOP_LIMIT}, packet.size_bytes)


def exact_text(packet: Packet, **where: int) -> str:
    """The packet as `ofproto/trace` takes it: it knows ports and types by full names only (ovs-fields(7)).

    `where` it comes in: `in_port`, and from a tunnel `tun_id`.
    """
    words = match_text(match(**{**packet.fields, **where}))
    protocol = _PROTOCOLS.get(packet.fields.get("ip_proto", 0), "")
    return (
        words.replace("tp_src", f"{protocol}_src")
        .replace("tp_dst", f"{protocol}_dst")
        .replace("icmp_", f"{protocol}_")
    )
