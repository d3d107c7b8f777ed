"""Addresses as the numbers that matches take, and those that follow from others."""

from ipaddress import IPv6Address
from typing import Literal

from plait.model.addresses import interface_number
from plait.model.topology import span
from plait.wire.internet import ETH_IPV4, ETH_IPV6

ALL_NODES_MAC = 0x333300000001
ALL_NODES = 0xFF02 << 112 | 1
LINK_LOCAL = 0xFE80 << 112


def mac_number(mac: str) -> int:
    """A canonical MAC address as 48 bits."""
    return int(mac.replace(":", ""), 16)


def ipv4_number(address: str) -> int:
    """A canonical IPv4 address as 32 bits."""
    a, b, c, d = address.split(".")
    return int(a) << 24 | int(b) << 16 | int(c) << 8 | int(d)


def ipv6_number(address: str) -> int:
    """An IPv6 address as 128 bits."""
    return int(IPv6Address(address))


def prefix_match(prefix: str, end: Literal["src", "dst"]) -> dict[str, int | tuple[int, int]]:
    """The keywords of `match` that ask for an address inside a prefix, or for a single one."""
    version, first, bits = span(prefix)
    eth_type, size = (ETH_IPV6, 128) if version == 6 else (ETH_IPV4, 32)
    if not bits:
        return {"eth_type": eth_type}
    return {"eth_type": eth_type, f"ipv{version}_{end}": (first, (1 << bits) - 1 << size - bits)}


def link_local_number(mac: int) -> int:
    """fe80::/64 with the modified EUI-64 of the MAC address (RFC 4291, appendix A)."""
    return LINK_LOCAL | interface_number(mac)


def multicast_mac(address: str) -> int:
    """The group MAC of an IP multicast address (RFC 1112, 6.4; RFC 2464, 7)."""
    if ":" in address:
        return 0x3333 << 32 | ipv6_number(address) & 0xFFFFFFFF
    return 0x01005E << 24 | ipv4_number(address) & 0x7FFFFF
