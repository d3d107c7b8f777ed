"""DHCP messages (RFC 2131, section 2) and options (RFC 2132), there and back.

offset  bytes  field
     0      1  op: 1 from clients, 2 from servers
     1      1  htype: 1, Ethernet
     2      1  hlen: 6
     3      1  hops
     4      4  xid, chosen by the client
     8      2  secs
    10      2  flags: the highest bit asks for broadcast
    12      4  ciaddr, the client's address if it has one
    16      4  yiaddr, what it is given
    20      4  siaddr, next server in bootstrap
    24      4  giaddr, the relay agent's
    28     16  chaddr, the client's MAC and padding
    44     64  sname, or options
   108    128  file, or options
   236      4  magic cookie
   240         options
"""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from ipaddress import IPv4Network
from struct import Struct

import msgspec

from plait.wire.errors import MalformedMessage

SERVER_PORT, CLIENT_PORT = 67, 68
NO_ADDRESS = bytes(4)
MAX_MESSAGE_BYTES = 1472
"""What an Ethernet frame of usual size holds; longer messages are refused, which bounds the work."""
LEAST_ROOM_BYTES = 576 - 20 - 8 - 240
"""What every client takes as options (RFC 2131, section 2)."""

_FIXED = Struct("!BBBB4sHH4s4s4s4s6s10x")
_FIXED_BYTES = 240
_SNAME, _FILE, _COOKIE_AT = 44, 108, 236
_COOKIE = b"\x63\x82\x53\x63"
_ETHERNET = 1
_BROADCAST = 0x8000
_NO_NAMES = bytes(_COOKIE_AT - _SNAME)
_LEAST_BYTES = 300
"""Old relays and clients drop what is shorter (RFC 1542, section 2.1)."""


class Kind(IntEnum):
    """DHCP message types (RFC 2132, section 9.6)."""

    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    DECLINE = 4
    ACK = 5
    NAK = 6
    RELEASE = 7
    INFORM = 8


class Option(IntEnum):
    """Option codes. Source: RFC 2132; RFC 3397 (119); RFC 3442 (121)."""

    PAD = 0
    SUBNET_MASK = 1
    ROUTER = 3
    DNS_SERVERS = 6
    HOST_NAME = 12
    DOMAIN_NAME = 15
    MTU = 26
    BROADCAST_ADDRESS = 28
    NTP_SERVERS = 42
    REQUESTED_ADDRESS = 50
    LEASE_TIME = 51
    OVERLOAD = 52
    MESSAGE_TYPE = 53
    SERVER_ID = 54
    PARAMETERS = 55
    MESSAGE = 56
    MAX_SIZE = 57
    RENEWAL_TIME = 58
    REBINDING_TIME = 59
    CLIENT_ID = 61
    DOMAIN_SEARCH = 119
    CLASSLESS_ROUTES = 121
    END = 255


class Message(msgspec.Struct, frozen=True, gc=False):
    """A message of a client or a server; addresses are packed, an option that came in parts is whole."""

    is_request: bool
    kind: int
    xid: bytes
    wants_broadcast: bool
    client: bytes
    yours: bytes
    relay: bytes
    mac: bytes
    options: dict[int, bytes]


def decode_message(data: bytes) -> Message:
    """The payload of a datagram. Raises MalformedMessage, for BOOTP without DHCP too."""
    if not _FIXED_BYTES <= len(data) <= MAX_MESSAGE_BYTES:
        reason = f"{len(data)} bytes, {_FIXED_BYTES} to {MAX_MESSAGE_BYTES} are taken"
        raise MalformedMessage("dhcp", 0, reason)
    op, htype, hlen, _, xid, _, flags, client, yours, _, relay, mac = _FIXED.unpack_from(data)
    if op not in (1, 2) or htype != _ETHERNET or hlen != 6:
        raise MalformedMessage("dhcp", 0, f"op {op}, hardware type {htype} with {hlen} bytes")
    if data[_COOKIE_AT:_FIXED_BYTES] != _COOKIE:
        raise MalformedMessage("magic cookie", _COOKIE_AT, "BOOTP without DHCP")
    options: dict[int, bytes] = {}
    _take_options(data, _FIXED_BYTES, len(data), options)
    overload = options.get(Option.OVERLOAD, b"\0")[:1]
    # RFC 3396, section 7: the file field comes before sname.
    if overload in (b"\x01", b"\x03"):
        _take_options(data, _FILE, _COOKIE_AT, options)
    if overload in (b"\x02", b"\x03"):
        _take_options(data, _SNAME, _FILE, options)
    kind = options.get(Option.MESSAGE_TYPE, b"")
    if len(kind) != 1:
        raise MalformedMessage("message type", _FIXED_BYTES, f"{len(kind)} bytes instead of 1")
    return Message(op == 1, kind[0], xid, bool(flags & _BROADCAST), client, yours, relay, mac, options)


def _take_options(data: bytes, at: int, end: int, options: dict[int, bytes]) -> None:
    while at < end:
        code = data[at]
        if code == Option.PAD:
            at += 1
            continue
        if code == Option.END:
            return
        if at + 2 > end or at + 2 + data[at + 1] > end:
            raise MalformedMessage("option", at, f"option {code} ends outside")
        value = data[at + 2 : at + 2 + data[at + 1]]
        at += 2 + data[at + 1]
        # RFC 3396, section 5: parts of one option are put together in their order.
        options[code] = options[code] + value if code in options else value


def encode_message(
    kind: Kind,
    options: bytes,
    *,
    xid: bytes,
    mac: bytes,
    is_request: bool = False,
    wants_broadcast: bool = False,
    client: bytes = NO_ADDRESS,
    yours: bytes = NO_ADDRESS,
    relay: bytes = NO_ADDRESS,
) -> bytes:
    """A message with `options`, which are encoded already, behind its type."""
    op = 1 if is_request else 2
    flags = _BROADCAST if wants_broadcast else 0
    fixed = _FIXED.pack(op, _ETHERNET, 6, 0, xid, 0, flags, client, yours, NO_ADDRESS, relay, mac)
    message = b"".join((fixed, _NO_NAMES, _COOKIE, b"\x35\x01", kind.to_bytes(1, "big"), options, b"\xff"))
    return message if len(message) >= _LEAST_BYTES else message.ljust(_LEAST_BYTES, b"\0")


def encode_options(options: Mapping[int, bytes]) -> bytes:
    """Options in their order; one of more than 255 bytes in parts (RFC 3396, section 6)."""
    return b"".join(encode_option(code, value) for code, value in options.items())


def encode_option(code: int, value: bytes) -> bytes:
    """One option, in parts if it has more than 255 bytes."""
    if len(value) <= 255:
        return bytes((code, len(value))) + value
    parts = [value[at : at + 255] for at in range(0, len(value), 255)]
    return b"".join(bytes((code, len(part))) + part for part in parts)


def classless_routes(routes: Iterable[tuple[IPv4Network, bytes]]) -> bytes:
    """The value of option 121: for each route a prefix length, as much of the prefix as counts, a router.

    Source: RFC 3442, page 3. A client that takes it ignores option 3, so it needs the default route as well.
    """
    encoded = b""
    for prefix, router in routes:
        significant = (prefix.prefixlen + 7) // 8
        encoded += bytes((prefix.prefixlen,)) + prefix.network_address.packed[:significant] + router
    return encoded
