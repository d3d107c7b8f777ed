"""What routers say of their link (RFC 4861, section 4.2), and the question for it (section 4.1).

Options: prefix information (4.6.2), MTU (4.6.4), source link-layer address (4.6.1), routes (RFC 4191,
section 2.3), DNS servers and search list (RFC 8106, section 5).
"""

from ipaddress import IPv6Network
from struct import Struct

import msgspec

from plait.wire.domain_names import encode_names
from plait.wire.errors import MalformedMessage
from plait.wire.internet import (
    ETH_IPV6,
    ETHERNET_HEADER_BYTES,
    ND_ROUTER_ADVERTISEMENT,
    ND_ROUTER_SOLICITATION,
    PROTO_ICMPV6,
    checksum,
)

ALL_NODES = bytes.fromhex("ff02" + "00" * 13 + "01")
ALL_NODES_MAC = bytes.fromhex("333300000001")

_ICMP_AT = ETHERNET_HEADER_BYTES + 40
_SOLICITATION_BYTES = 8
_SOURCE_LINK_LAYER, _PREFIX, _MTU, _ROUTE, _DNS_SERVERS, _DNS_SEARCH = 1, 3, 5, 24, 25, 31
_HEADER = Struct("!BBHBBHII")
_IPV6 = Struct("!IHBB16s16s")
_MANAGED, _OTHER = 0x80, 0x40
_ON_LINK, _AUTONOMOUS = 0x80, 0x40
_HOPS = 64


class Prefix(msgspec.Struct, frozen=True, gc=False):
    """A prefix of the link, and whether endpoints make their address from it."""

    prefix: IPv6Network
    is_autonomous: bool
    valid_s: int = 86400
    preferred_s: int = 14400


class Advertisement(msgspec.Struct, frozen=True, gc=False):
    """What a router says. `is_managed`: addresses by DHCPv6; `has_other`: the rest by it.

    `lifetime_s` 0: it is no default router. `routes` lead through it all the same. `extra_s`: how long
    routes, DNS servers and search list count.
    """

    mac: bytes
    source: bytes
    lifetime_s: int = 0
    is_managed: bool = False
    has_other: bool = False
    mtu_bytes: int | None = None
    prefixes: tuple[Prefix, ...] = ()
    routes: tuple[IPv6Network, ...] = ()
    dns: tuple[bytes, ...] = ()
    search: tuple[str, ...] = ()
    extra_s: int = 1800


class Solicitation(msgspec.Struct, frozen=True, gc=False):
    """Who asks; `source` is :: while it has no address yet."""

    mac: bytes
    source: bytes


def decode_solicitation(frame: bytes) -> Solicitation:
    """The router solicitation of an Ethernet frame, valid by RFC 4861, 6.1.1. Raises MalformedMessage."""
    if len(frame) < _ICMP_AT + _SOLICITATION_BYTES or frame[12:14] != b"\x86\xdd":
        raise MalformedMessage("frame", 0, "no whole solicitation in IPv6")
    _, length, following, hops, source, destination = _IPV6.unpack_from(frame, ETHERNET_HEADER_BYTES)
    message = frame[_ICMP_AT : _ICMP_AT + length]
    if following != PROTO_ICMPV6 or hops != 255:
        raise MalformedMessage("ipv6", ETHERNET_HEADER_BYTES, f"header {following}, hop limit {hops}")
    if not _SOLICITATION_BYTES <= len(message) == length:
        raise MalformedMessage("ipv6 length", 18, f"{length} bytes, {len(message)} are there")
    if message[0] != ND_ROUTER_SOLICITATION or message[1] != 0:
        raise MalformedMessage("icmpv6", _ICMP_AT, f"type {message[0]}, code {message[1]}")
    if checksum(_pseudo_header(source, destination, length) + message):
        raise MalformedMessage("icmpv6 checksum", _ICMP_AT + 2, "it is wrong")
    _check_options(message, may_have_link_layer=any(source))
    return Solicitation(frame[6:12], source)


def _check_options(message: bytes, *, may_have_link_layer: bool) -> None:
    at = _SOLICITATION_BYTES
    while at < len(message):
        if at + 2 > len(message) or message[at + 1] == 0:
            raise MalformedMessage("option", at, "no length, or one of 0")
        if message[at] == _SOURCE_LINK_LAYER and not may_have_link_layer:
            raise MalformedMessage("option", at, "a link-layer address of somebody without an address")
        at += 8 * message[at + 1]
    if at != len(message):
        raise MalformedMessage("option", at, "it ends outside")


def encode_advertisement(
    said: Advertisement, *, to: bytes = ALL_NODES, to_mac: bytes = ALL_NODES_MAC
) -> bytes:
    """The Ethernet frame, to all nodes or to one."""
    flags = (_MANAGED if said.is_managed else 0) | (_OTHER if said.has_other else 0)
    parts = [
        _HEADER.pack(ND_ROUTER_ADVERTISEMENT, 0, 0, _HOPS, flags, said.lifetime_s, 0, 0),
        bytes((_SOURCE_LINK_LAYER, 1)) + said.mac,
    ]
    if said.mtu_bytes is not None:
        parts.append(bytes((_MTU, 1, 0, 0)) + said.mtu_bytes.to_bytes(4, "big"))
    parts.extend(_prefix(prefix) for prefix in said.prefixes)
    parts.extend(_route(route, said.extra_s) for route in said.routes)
    if said.dns:
        parts.append(_option(_DNS_SERVERS, said.extra_s, b"".join(said.dns)))
    if said.search:
        parts.append(_option(_DNS_SEARCH, said.extra_s, encode_names(said.search)))
    message = b"".join(parts)
    total = checksum(_pseudo_header(said.source, to, len(message)) + message)
    message = message[:2] + total.to_bytes(2, "big") + message[4:]
    header = _IPV6.pack(6 << 28, len(message), PROTO_ICMPV6, 255, said.source, to)
    return to_mac + said.mac + ETH_IPV6.to_bytes(2, "big") + header + message


def _prefix(prefix: Prefix) -> bytes:
    flags = _ON_LINK | (_AUTONOMOUS if prefix.is_autonomous else 0)
    times = prefix.valid_s.to_bytes(4, "big") + prefix.preferred_s.to_bytes(4, "big") + bytes(4)
    head = bytes((_PREFIX, 4, prefix.prefix.prefixlen, flags))
    return head + times + prefix.prefix.network_address.packed


def _route(route: IPv6Network, lifetime_s: int) -> bytes:
    """As much of the prefix as counts, in words of 8 bytes; a router of medium preference."""
    words = (route.prefixlen + 63) // 64
    head = bytes((_ROUTE, 1 + words, route.prefixlen, 0)) + lifetime_s.to_bytes(4, "big")
    return head + route.network_address.packed[: 8 * words]


def _option(kind: int, lifetime_s: int, value: bytes) -> bytes:
    words = (len(value) + 7) // 8
    head = bytes((kind, 1 + words, 0, 0)) + lifetime_s.to_bytes(4, "big")
    return head + value.ljust(8 * words, b"\0")


def _pseudo_header(source: bytes, destination: bytes, length: int) -> bytes:
    """RFC 8200, section 8.1."""
    return source + destination + length.to_bytes(4, "big") + PROTO_ICMPV6.to_bytes(4, "big")
