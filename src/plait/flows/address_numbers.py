"""Addresses as the numbers that matches take, and those that follow from others."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_network
from typing import Literal

from plait.model.addresses import interface_number
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


@lru_cache(maxsize=65536)
def _prefix_numbers(prefix: str) -> tuple[int, int, int]:
    network = ip_network(prefix)
    return network.version, int(network.network_address), int(network.netmask)


def prefix_match(prefix: str, end: Literal["src", "dst"]) -> dict[str, int | tuple[int, int]]:
    """The keywords of `match` that ask for an address inside a canonical prefix, or for a single one."""
    version, address, mask = _prefix_numbers(prefix)
    eth_type = ETH_IPV6 if version == 6 else ETH_IPV4
    return {"eth_type": eth_type, f"ipv{version}_{end}": (address, mask)} if mask else {"eth_type": eth_type}


def link_local_number(mac: int) -> int:
    """fe80::/64 with the modified EUI-64 of the MAC address (RFC 4291, appendix A)."""
    return LINK_LOCAL | interface_number(mac)


def multicast_mac(address: str) -> int:
    """The group MAC of an IP multicast address (RFC 1112, 6.4; RFC 2464, 7)."""
    if ":" in address:
        return 0x3333 << 32 | ipv6_number(address) & 0xFFFFFFFF
    return 0x01005E << 24 | ipv4_number(address) & 0x7FFFFF
