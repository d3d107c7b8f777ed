"""Numbers that frames and packets carry, and the Internet checksum. Source: IANA's registries."""

from struct import unpack

ETHERNET_HEADER_BYTES = 14

ETH_IPV4 = 0x0800
ETH_ARP = 0x0806
ETH_IPV6 = 0x86DD

PROTO_HOP_BY_HOP = 0
PROTO_ICMP = 1
PROTO_IGMP = 2
PROTO_TCP = 6
PROTO_UDP = 17
PROTO_FRAGMENT = 44
PROTO_ICMPV6 = 58
PROTO_SCTP = 132

ECHO_REPLY, ECHO_REQUEST = 0, 8
ECHO_REQUEST_V6, ECHO_REPLY_V6 = 128, 129

ARP_REQUEST = 1
ARP_REPLY = 2

MLD_REPORT = 131
MLD_DONE = 132
MLD_V2_REPORT = 143

ND_ROUTER_SOLICITATION = 133
ND_ROUTER_ADVERTISEMENT = 134
ND_NEIGHBOUR_SOLICITATION = 135
ND_NEIGHBOUR_ADVERTISEMENT = 136
ND_REDIRECT = 137


def checksum(data: bytes) -> int:
    """Sixteen bits over `data`, padded with a zero byte if its length is odd (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
