"""DHCPv6 messages (RFC 8415, sections 8 and 21), there and back.

offset  bytes  field
     0      1  message type
     1      3  transaction id, chosen by the client
     4         options: code 2, length 2, value
"""

from collections.abc import Iterable, Iterator
from enum import IntEnum
from struct import Struct

import msgspec

from plait.wire.errors import MalformedMessage

SERVER_PORT, CLIENT_PORT = 547, 546
MAX_MESSAGE_BYTES = 1452
"""What an Ethernet frame of usual size holds; longer messages are refused, which bounds the work."""
MAX_OPTIONS = 64
"""Options of one message, or inside of one option, that are looked at; more of them are refused."""

_HEADER_BYTES = 4
_OPTION = Struct("!HH")
_ASSOCIATION = Struct("!4sII")
_ADDRESS = Struct("!16sII")
_MAX_DUID_BYTES = 130


class Kind(IntEnum):
    """Message types between clients and servers (RFC 8415, section 7.3)."""

    SOLICIT = 1
    ADVERTISE = 2
    REQUEST = 3
    CONFIRM = 4
    RENEW = 5
    REBIND = 6
    REPLY = 7
    RELEASE = 8
    DECLINE = 9
    INFORMATION_REQUEST = 11


class Option(IntEnum):
    """Option codes. Source: RFC 8415, section 21; RFC 3646 (23, 24); RFC 4075 (31); RFC 5908 (56)."""

    CLIENT_ID = 1
    SERVER_ID = 2
    IA_NA = 3
    IA_TA = 4
    IA_ADDRESS = 5
    REQUESTED = 6
    STATUS = 13
    RAPID_COMMIT = 14
    DNS_SERVERS = 23
    DOMAIN_LIST = 24
    IA_PD = 25
    IA_PREFIX = 26
    SNTP_SERVERS = 31
    REFRESH_TIME = 32
    NTP_SERVER = 56


class Status(IntEnum):
    """Status codes (RFC 8415, section 21.13)."""

    SUCCESS = 0
    NO_ADDRESSES = 2
    NO_BINDING = 3
    NOT_ON_LINK = 4
    NO_PREFIX = 6


class Association(msgspec.Struct, frozen=True, gc=False):
    """An identity association of a client: `code` is IA_NA, IA_TA or IA_PD; the first two have addresses."""

    code: int
    id: bytes
    addresses: tuple[bytes, ...] = ()


class Message(msgspec.Struct, frozen=True, gc=False):
    """What a message says; `requested` are the codes of options that the client asks for."""

    kind: int
    xid: bytes
    client_id: bytes | None = None
    server_id: bytes | None = None
    associations: tuple[Association, ...] = ()
    requested: frozenset[int] = frozenset()
    wants_rapid_commit: bool = False


def decode_message(data: bytes) -> Message:
    """The payload of a datagram; options that mean nothing here are passed over. Raises MalformedMessage."""
    if not _HEADER_BYTES <= len(data) <= MAX_MESSAGE_BYTES:
        raise MalformedMessage("dhcpv6", 0, f"{len(data)} bytes, 4 to {MAX_MESSAGE_BYTES} are taken")
    client_id = server_id = None
    associations: list[Association] = []
    requested: frozenset[int] = frozenset()
    wants_rapid_commit = False
    for code, value, at in _options(data, _HEADER_BYTES):
        match code:
            case Option.CLIENT_ID:
                client_id = _duid(value, at)
            case Option.SERVER_ID:
                server_id = _duid(value, at)
            case Option.IA_NA | Option.IA_TA | Option.IA_PD:
                associations.append(_association(code, value, at))
            case Option.REQUESTED:
                requested = frozenset(
                    int.from_bytes(value[place : place + 2], "big") for place in range(0, len(value), 2)
                )
            case Option.RAPID_COMMIT:
                wants_rapid_commit = True
    return Message(
        data[0], data[1:4], client_id, server_id, tuple(associations), requested, wants_rapid_commit
    )


def decode_options(data: bytes) -> list[tuple[int, bytes]]:
    """(code, value) of the options of a message, or of those inside of an option. Raises MalformedMessage."""
    return [(code, value) for code, value, _ in _options(data, 0)]


def _options(data: bytes, at: int) -> Iterator[tuple[int, bytes, int]]:
    for _ in range(MAX_OPTIONS):
        if at == len(data):
            return
        if at + _OPTION.size > len(data):
            raise MalformedMessage("dhcpv6 option", at, "it ends in the middle")
        code, length = _OPTION.unpack_from(data, at)
        begin = at + _OPTION.size
        if begin + length > len(data):
            raise MalformedMessage("dhcpv6 option", at, f"option {code} ends outside")
        yield code, data[begin : begin + length], at
        at = begin + length
    if at != len(data):
        raise MalformedMessage("dhcpv6 option", at, f"more than {MAX_OPTIONS} options")


def _duid(value: bytes, at: int) -> bytes:
    if not 1 <= len(value) <= _MAX_DUID_BYTES:
        raise MalformedMessage("duid", at, f"{len(value)} bytes, 1 to {_MAX_DUID_BYTES} are allowed")
    return value


def _association(code: int, value: bytes, at: int) -> Association:
    """IA_NA and IA_PD have two times behind their id, IA_TA has none."""
    options_at = 4 if code == Option.IA_TA else _ASSOCIATION.size
    if len(value) < options_at:
        raise MalformedMessage("identity association", at, f"{len(value)} bytes, {options_at} are needed")
    addresses = []
    for inner, content, _ in _options(value, options_at):
        if inner == Option.IA_ADDRESS:
            if len(content) < _ADDRESS.size:
                raise MalformedMessage("identity association", at, "an address that ends in the middle")
            addresses.append(content[:16])
    return Association(code, value[:4], tuple(addresses))


def encode_message(kind: Kind, xid: bytes, options: Iterable[bytes]) -> bytes:
    """A message of options that are encoded already."""
    return b"".join((kind.to_bytes(1, "big"), xid, *options))


def encode_option(code: int, value: bytes) -> bytes:
    """One option."""
    return _OPTION.pack(code, len(value)) + value


def encode_status(status: Status, text: str = "") -> bytes:
    """The option that says how something went; `text` is for people."""
    return encode_option(Option.STATUS, status.to_bytes(2, "big") + text.encode())


def encode_address(address: bytes, *, preferred_s: int, valid_s: int) -> bytes:
    """The option with an address of an association."""
    return encode_option(Option.IA_ADDRESS, _ADDRESS.pack(address, preferred_s, valid_s))


def encode_association(
    association: Association, inner: bytes, *, renew_s: int = 0, rebind_s: int = 0
) -> bytes:
    """An association as a server answers it, with `inner` options that are encoded already."""
    if association.code == Option.IA_TA:
        return encode_option(association.code, association.id + inner)
    return encode_option(association.code, _ASSOCIATION.pack(association.id, renew_s, rebind_s) + inner)


def ntp_servers(addresses: Iterable[bytes]) -> bytes:
    """The value of option 56: one suboption 1 an address (RFC 5908, section 4.1)."""
    return b"".join(encode_option(1, address) for address in addresses)


def link_layer_duid(mac: bytes) -> bytes:
    """The DUID-LL of an Ethernet address (RFC 8415, section 11.4)."""
    return b"\x00\x03\x00\x01" + mac
