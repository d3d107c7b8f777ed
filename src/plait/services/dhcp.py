"""What is answered to a DHCP client, by RFC 2131.

DISCOVER                                      OFFER of the port's address
REQUEST, naming us as server (SELECTING)      ACK of that address, NAK of another one
REQUEST for an address (INIT-REBOOT)          the same
REQUEST with an address (RENEWING, REBINDING) the same
INFORM                                        ACK with options, without a lease
RELEASE, DECLINE, for another server,
by a relay agent, with a strange MAC          nothing
"""

from collections.abc import Iterable

import msgspec

from plait.services.lease import Lease, Leases
from plait.wire.datagram import Datagram, encode_datagram
from plait.wire.dhcp import (
    CLIENT_PORT,
    LEAST_ROOM_BYTES,
    NO_ADDRESS,
    SERVER_PORT,
    Kind,
    Message,
    Option,
    encode_message,
    encode_option,
)

_EVERYBODY, _EVERYBODY_MAC = b"\xff" * 4, b"\xff" * 6
_HEADERS_BYTES = 20 + 8 + 240
_TYPE_AND_END_BYTES = 4


class Answer(msgspec.Struct, frozen=True, gc=False):
    """The frame for the client, if there is one; the address that it declined, because somebody has it."""

    frame: bytes | None = None
    declined: bytes | None = None


NOTHING = Answer()


def answer(leases: Leases, message: Message) -> Answer:
    """What a port with `leases` is answered to its endpoint's `message`."""
    if not message.is_request or message.relay != NO_ADDRESS or message.mac != leases.mac:
        return NOTHING
    wanted = message.options.get(Option.REQUESTED_ADDRESS, message.client)
    lease = next((each for each in leases.leases if each.address == wanted), leases.leases[0])
    match message.kind:
        case Kind.DISCOVER:
            return Answer(_give(Kind.OFFER, leases, lease, message))
        case Kind.REQUEST:
            named = message.options.get(Option.SERVER_ID)
            is_ours = named is None or any(named == each.server for each in leases.leases)
            if not is_ours or wanted == NO_ADDRESS:
                return NOTHING
            if wanted == lease.address:
                return Answer(_give(Kind.ACK, leases, lease, message))
            return Answer(_refuse(leases, lease, message))
        case Kind.INFORM if message.client != NO_ADDRESS:
            return Answer(_inform(leases, lease, message))
        case Kind.DECLINE:
            return Answer(declined=lease.address if wanted == lease.address else None)
    return NOTHING


def _give(kind: Kind, leases: Leases, lease: Lease, message: Message) -> bytes:
    # RFC 2131, 4.1: to the address that the client has, else to all if it asks for that, else to the new one.
    if message.client != NO_ADDRESS:
        to, to_mac = message.client, message.mac
    elif message.wants_broadcast:
        to, to_mac = _EVERYBODY, _EVERYBODY_MAC
    else:
        to, to_mac = lease.address, message.mac
    options = _fitting(lease, lease.offered, message, leases.largest_bytes)
    return _frame(kind, leases, lease, message, options, to=to, to_mac=to_mac, yours=lease.address)


def _inform(leases: Leases, lease: Lease, message: Message) -> bytes:
    options = _fitting(lease, lease.informed, message, leases.largest_bytes)
    return _frame(
        Kind.ACK, leases, lease, message, options, to=message.client, to_mac=message.mac, yours=NO_ADDRESS
    )


def _refuse(leases: Leases, lease: Lease, message: Message) -> bytes:
    """Always for all, because the client must not use the address that it believes to have."""
    options = encode_option(Option.SERVER_ID, lease.server) + _same_client(message)
    return _frame(
        Kind.NAK,
        leases,
        lease,
        message,
        options,
        to=_EVERYBODY,
        to_mac=_EVERYBODY_MAC,
        yours=NO_ADDRESS,
    )


def _same_client(message: Message) -> bytes:
    """A client identifier is given back as it came (RFC 6842, section 3)."""
    client_id = message.options.get(Option.CLIENT_ID)
    return b"" if client_id is None else encode_option(Option.CLIENT_ID, client_id)


def _fitting(lease: Lease, everything: bytes, message: Message, largest_bytes: int) -> bytes:
    """All options if the client has room for them; else those that it asks for, as far as they go in."""
    client_id = _same_client(message)
    room = _room_bytes(message, largest_bytes) - len(client_id) - _TYPE_AND_END_BYTES
    if len(everything) <= room:
        return everything + client_id
    has_lease = everything is lease.offered
    asked = message.options.get(Option.PARAMETERS, b"")
    return client_id + b"".join(_as_far_as(room, _weighed(lease, asked, has_lease=has_lease)))


def _weighed(lease: Lease, asked: bytes, *, has_lease: bool) -> Iterable[bytes]:
    yield encode_option(Option.SERVER_ID, lease.server)
    times = (Option.LEASE_TIME, Option.RENEWAL_TIME, Option.REBINDING_TIME)
    if has_lease:
        yield from (encode_option(code, lease.options[code]) for code in times)
    for code, value in lease.options.items():
        if code not in times and (code in asked or not asked):
            yield encode_option(code, value)


def _as_far_as(room: int, options: Iterable[bytes]) -> Iterable[bytes]:
    for option in options:
        if len(option) <= room:
            room -= len(option)
            yield option


def _room_bytes(message: Message, largest_bytes: int) -> int:
    """For options, in a packet of the size that the client takes (RFC 2132, section 9.10)."""
    size = int.from_bytes(message.options.get(Option.MAX_SIZE, b"")[:2], "big")
    return max(min(size, largest_bytes) - _HEADERS_BYTES, LEAST_ROOM_BYTES)


def _frame(
    kind: Kind,
    leases: Leases,
    lease: Lease,
    message: Message,
    options: bytes,
    *,
    to: bytes,
    to_mac: bytes,
    yours: bytes,
) -> bytes:
    payload = encode_message(
        kind,
        options,
        xid=message.xid,
        mac=message.mac,
        wants_broadcast=message.wants_broadcast,
        client=NO_ADDRESS if kind == Kind.NAK else message.client,
        yours=yours,
    )
    return encode_datagram(
        Datagram(leases.server_mac, to_mac, lease.server, to, SERVER_PORT, CLIENT_PORT, payload)
    )
