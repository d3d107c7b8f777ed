"""Checks of single values: each returns the canonical form, or raises `Invalid` with the way out."""

import ipaddress
import re

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}\Z")
_RULE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,98}\Z")
_DEVICE = re.compile(r"[^\s/:]{1,15}\Z")
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?\Z")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}\Z")


class Invalid(ValueError):
    """A value that can't be: the message names it and says what would do."""


def name(value: str, what: str) -> str:
    """A name or id: 1 to 63 letters, digits, '_', '.', '-'; it becomes part of store keys."""
    if not _NAME.match(value):
        raise Invalid(
            f"{what} {value!r} is not a name: "
            "use 1 to 63 letters, digits, '.', '_' or '-', beginning with a letter or digit"
        )
    return value


def rule_name(value: str) -> str:
    """The name of a rule: as `name`, or, of a rule that was made for something named, like `connect:web`."""
    if not _RULE_NAME.match(value):
        raise Invalid(f"rule {value!r} is not a name: use letters, digits, '.', '_' or '-'")
    return value


def device(value: str) -> str:
    """A network device's name as Linux takes it: 1 to 15 bytes (IFNAMSIZ), no '/', ':' or white space."""
    if not _DEVICE.match(value) or len(value.encode()) > 15 or value in (".", ".."):
        way_out = "use 1 to 15 characters without '/', ':' and spaces"
        raise Invalid(f"device {value!r} is not a Linux interface name: {way_out}")
    return value


def mac(value: str) -> str:
    """A unicast MAC address in lower case with colons."""
    text = value.lower().replace("-", ":")
    if not _MAC.match(text):
        raise Invalid(f"MAC {value!r} is not six bytes in hex: write it like 02:00:00:00:00:01")
    if int(text[:2], 16) & 1:
        raise Invalid(f"MAC {value!r} is a multicast address: clear the lowest bit of its first byte")
    if text == "00:00:00:00:00:00":
        raise Invalid(f"MAC {value!r} is no station's address: choose another or leave it out")
    return text


def ip(value: str, what: str = "address") -> IPAddress:
    """An IPv4 or IPv6 address, of any kind, without a scope."""
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        way_out = "write it like 10.0.0.5 or fd00::5"
        raise Invalid(f"{what} {value!r} is not an IPv4 or IPv6 address: {way_out}") from None
    if "%" in value:
        raise Invalid(
            f"{what} {value!r} has a scope, which means something on one host only: leave out the '%...'"
        )
    return address


def prefix(value: str) -> IPNetwork:
    """An IPv4 or IPv6 prefix whose host bits are zero."""
    try:
        found = ipaddress.ip_network(value, strict=False)
    except ValueError:
        way_out = "write it like 10.0.0.0/24 or fd00::/64"
        raise Invalid(f"prefix {value!r} is not a subnet: {way_out}") from None
    try:
        return ipaddress.ip_network(value)
    except ValueError:
        raise Invalid(f"prefix {value!r} is not a subnet: did you mean {found}?") from None


def domain(value: str) -> str:
    """A domain name: labels of 1 to 63 letters, digits and '-', 253 characters at most (RFC 1035, 2.3.1)."""
    if len(value) > 253 or not all(_LABEL.match(label) for label in value.split(".")):
        raise Invalid(f"domain {value!r} is not a domain name: write it like example.com")
    return value


def multicast(value: str) -> IPAddress:
    """An IPv4 or IPv6 multicast address, of any scope (RFC 5771; RFC 4291 section 2.7)."""
    group = ip(value, "multicast group")
    if not group.is_multicast:
        raise Invalid(f"multicast group {value!r} is not a multicast address: use 224.0.0.0/4 or ff00::/8")
    return group
