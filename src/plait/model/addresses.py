"""Which addresses of a subnet a port may have, and which MAC it is given."""

import hashlib
import ipaddress

from plait.model import checks
from plait.model.checks import Invalid, IPAddress, IPNetwork
from plait.model.entities import Ipv6Mode, Subnet
from plait.model.numbers import Space


def space(subnet: Subnet) -> Space:
    """The addresses of `subnet` as numbers: without its ends, as far as they mean something, and its gateway.

    IPv4: network and broadcast address (RFC 919), except in /31 (RFC 3021) and /32.
    IPv6: the subnet-router anycast address (RFC 4291 section 2.6.1), except in /127 (RFC 6164) and /128.
    """
    prefix = checks.prefix(subnet.prefix)
    first, last = int(prefix.network_address), int(prefix.broadcast_address)
    if prefix.num_addresses > 2:
        first += 1
        last -= prefix.version == 4
    gateway = frozenset[int]() if subnet.gateway is None else frozenset((int(checks.ip(subnet.gateway)),))
    return Space(first, last, gateway)


def default_gateway(prefix: IPNetwork) -> str | None:
    """The first address of `prefix`; None where it is too small to spare one (/31, /32, /127, /128)."""
    return str(prefix.network_address + 1) if prefix.num_addresses > 2 else None


def text(subnet: Subnet, number: int) -> str:
    """The canonical text of an address that `space` gave as a number."""
    return str(ipaddress.IPv6Address(number) if subnet.version == 6 else ipaddress.IPv4Address(number))


def number(address: str) -> int:
    """The number that `text` made this text of."""
    return int(ipaddress.ip_address(address))


def check_choice(subnet: Subnet, address: IPAddress) -> None:
    """Raises Invalid, with the reason, if no port of `subnet` may have this address of its prefix."""
    if str(address) == subnet.gateway:
        raise Invalid(
            f"address {address} is the gateway of {subnet.prefix}: choose another, or change the gateway"
        )
    if address.is_multicast or address.is_unspecified or address.is_loopback:
        raise Invalid(f"address {address} is no unicast address: choose one that a single station can have")
    if int(address) not in space(subnet):
        what = "subnet-router anycast" if address.version == 6 else "network or broadcast"
        raise Invalid(f"address {address} is the {what} address of {subnet.prefix}: choose another")


def overlapping(prefix: IPNetwork, others: tuple[Subnet, ...]) -> Subnet | None:
    """The first of `others` that shares an address with `prefix`."""
    for other in others:
        theirs = checks.prefix(other.prefix)
        if theirs.version == prefix.version and theirs.overlaps(prefix):
            return other
    return None


def interface_number(mac: int) -> int:
    """The modified EUI-64 of a MAC address, both as numbers (RFC 4291, appendix A)."""
    high, low = mac >> 24, mac & 0xFFFFFF
    return (high ^ 0x020000) << 40 | 0xFFFE << 24 | low


def autonomous(subnet: Subnet, mac: str) -> str:
    """The address that a station gives itself in a /64 by its MAC (RFC 4862, 5.5.3; RFC 2464, 4)."""
    prefix = int(checks.prefix(subnet.prefix).network_address)
    return str(ipaddress.IPv6Address(prefix | interface_number(int(mac.replace(":", ""), 16))))


def check_autonomous(subnet: Subnet, address: str, mac: str) -> None:
    """Raises Invalid if a port with this MAC would not have this address in an autonomous subnet."""
    own = autonomous(subnet, mac)
    if address != own:
        raise Invalid(
            f"address {address} is not what {mac} gives itself in {subnet.prefix}, whose ipv6 mode is "
            f"{subnet.ipv6_mode}: leave it out to have {own}, or set the mode to {Ipv6Mode.STATEFUL}"
        )


def mac_of(port: str, attempt: int = 0) -> str:
    """A locally administered unicast MAC for a port id; another one for every `attempt`.

    02:xx:xx:xx:xx:xx (IEEE 802, U/L bit set): 40 bits of BLAKE2b, so 10,000 ports of a network meet once in
    20,000 tries.
    """
    digest = hashlib.blake2b(f"{port}/{attempt}".encode(), digest_size=5).digest()
    return ":".join(f"{byte:02x}" for byte in (2, *digest))
