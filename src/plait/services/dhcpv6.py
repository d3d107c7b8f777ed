"""What is answered to a DHCPv6 client, by RFC 8415, section 18.3.

SOLICIT               ADVERTISE, or with rapid commit REPLY, with all addresses of the port
REQUEST               REPLY with them; NotOnLink for an address of another link
RENEW, REBIND         the same; addresses that the port has no more count for 0 seconds; NoBinding
CONFIRM               REPLY: Success, or NotOnLink unless all are the port's own
RELEASE, DECLINE      REPLY: Success
INFORMATION-REQUEST   REPLY with options
for another server, or with what must not be in it (section 16): nothing
"""

import ipaddress
from collections.abc import Iterable, Iterator

import msgspec

from plait.services.assignment import Assignment
from plait.wire.datagram import Datagram, encode_datagram
from plait.wire.dhcpv6 import (
    CLIENT_PORT,
    SERVER_PORT,
    Association,
    Kind,
    Message,
    Option,
    Status,
    encode_address,
    encode_association,
    encode_message,
    encode_option,
    encode_status,
)

MAX_ASSOCIATIONS = 8
"""Associations of one message that are answered."""
MAX_ADDRESSES = 32
"""Addresses of one association, the port's own first."""
MAX_MESSAGE_BYTES = 1280 - 40 - 8
"""What every IPv6 link carries (RFC 8200, section 5): options for which there is no room are left out."""

_LEAST_REFRESH_S = 600
"""RFC 8415, section 7.6, IRT_MINIMUM."""
_WITHOUT_SERVER = frozenset({Kind.SOLICIT, Kind.CONFIRM, Kind.REBIND})
_WITH_SERVER = frozenset({Kind.REQUEST, Kind.RENEW, Kind.RELEASE, Kind.DECLINE})


class Answer(msgspec.Struct, frozen=True, gc=False):
    """The frame for the client, if there is one; addresses that it declined, because somebody has them."""

    frame: bytes | None = None
    declined: tuple[bytes, ...] = ()


NOTHING = Answer()


def answer(assignment: Assignment, message: Message, *, mac: bytes, source: bytes) -> Answer:
    """What a port is answered to its endpoint's `message`, which came from `source` at `mac`."""
    if mac != assignment.mac or not _is_valid(assignment, message):
        return NOTHING
    kind, inner = _inner(assignment, message)
    if inner is None:
        return NOTHING
    options = [encode_option(Option.SERVER_ID, assignment.duid), *inner]
    if message.client_id is not None:
        options.insert(0, encode_option(Option.CLIENT_ID, message.client_id))
    payload = encode_message(kind, message.xid, _fitting(options))
    frame = encode_datagram(
        Datagram(assignment.server_mac, mac, assignment.server, source, SERVER_PORT, CLIENT_PORT, payload)
    )
    return Answer(frame, _declined(assignment, message) if message.kind == Kind.DECLINE else ())


def _fitting(options: Iterable[bytes]) -> Iterator[bytes]:
    """The options, which come by their weight, as far as they go in."""
    room = MAX_MESSAGE_BYTES - 4
    for option in options:
        if len(option) <= room:
            room -= len(option)
            yield option


def _is_valid(assignment: Assignment, message: Message) -> bool:
    """RFC 8415, section 16."""
    if message.kind in _WITHOUT_SERVER:
        return message.client_id is not None and message.server_id is None
    if message.kind in _WITH_SERVER:
        return message.client_id is not None and message.server_id == assignment.duid
    if message.kind == Kind.INFORMATION_REQUEST:
        return message.server_id in (None, assignment.duid) and not message.associations
    return False


def _inner(assignment: Assignment, message: Message) -> tuple[Kind, list[bytes] | None]:
    """The kind of the answer and its options behind the identifiers; None: no answer."""
    match message.kind:
        case Kind.SOLICIT | Kind.REQUEST | Kind.RENEW | Kind.REBIND:
            inner = [*_associations(assignment, message), *_asked(assignment, message)]
            if message.kind != Kind.SOLICIT:
                return Kind.REPLY, inner
            if message.wants_rapid_commit:
                return Kind.REPLY, [encode_option(Option.RAPID_COMMIT, b""), *inner]
            return Kind.ADVERTISE, inner
        case Kind.CONFIRM:
            said = [address for each in message.associations for address in each.addresses]
            if not said:
                # RFC 8415, 18.3.3: without addresses there is nothing to confirm, and no answer.
                return Kind.REPLY, None
            own = {each.address for each in assignment.addresses}
            return Kind.REPLY, [encode_status(Status.SUCCESS if own.issuperset(said) else Status.NOT_ON_LINK)]
        case Kind.RELEASE | Kind.DECLINE:
            return Kind.REPLY, [encode_status(Status.SUCCESS), *_unbound(assignment, message)]
    return Kind.REPLY, list(_asked(assignment, message))


def _associations(assignment: Assignment, message: Message) -> Iterator[bytes]:
    """The first association for addresses gets all of them, because the port's addresses belong together."""
    is_first = True
    for association in message.associations[:MAX_ASSOCIATIONS]:
        if association.code == Option.IA_PD:
            yield encode_association(association, encode_status(Status.NO_PREFIX))
        elif association.code == Option.IA_TA or not is_first:
            yield encode_association(association, encode_status(Status.NO_ADDRESSES))
        else:
            is_first = False
            yield _own(assignment, association, message.kind)


def _own(assignment: Assignment, association: Association, kind: int) -> bytes:
    keeps = kind in (Kind.RENEW, Kind.REBIND)
    if not assignment.addresses:
        status = Status.NO_BINDING if keeps else Status.NO_ADDRESSES
        return encode_association(association, encode_status(status))
    said = association.addresses[:MAX_ADDRESSES]
    if kind == Kind.REQUEST and not all(_is_on_link(assignment, address) for address in said):
        return encode_association(association, encode_status(Status.NOT_ON_LINK))
    own = {each.address for each in assignment.addresses}
    addresses = [
        encode_address(each.address, preferred_s=each.lease_s, valid_s=each.lease_s)
        for each in assignment.addresses[:MAX_ADDRESSES]
    ]
    if keeps:
        addresses += [encode_address(each, preferred_s=0, valid_s=0) for each in said if each not in own]
    shortest_s = min(each.lease_s for each in assignment.addresses)
    # RFC 8415, section 21.4: half of the time, and four fifths.
    return encode_association(
        association,
        b"".join(addresses[:MAX_ADDRESSES]),
        renew_s=shortest_s // 2,
        rebind_s=shortest_s * 4 // 5,
    )


def _is_on_link(assignment: Assignment, address: bytes) -> bool:
    asked = ipaddress.IPv6Address(address)
    return any(asked in prefix for prefix in assignment.prefixes)


def _unbound(assignment: Assignment, message: Message) -> Iterator[bytes]:
    """RFC 8415, 18.3.7: of what is not known, the client is told so."""
    own = {each.address for each in assignment.addresses}
    for association in message.associations[:MAX_ASSOCIATIONS]:
        if own.isdisjoint(association.addresses):
            yield encode_association(association, encode_status(Status.NO_BINDING))


def _declined(assignment: Assignment, message: Message) -> tuple[bytes, ...]:
    said = {address for each in message.associations for address in each.addresses}
    return tuple(each.address for each in assignment.addresses if each.address in said)


def _asked(assignment: Assignment, message: Message) -> Iterator[bytes]:
    """The options that the client asks for (RFC 8415, section 21.7)."""
    for code, value in assignment.options.items():
        if code in message.requested:
            yield encode_option(code, value)
    if message.kind == Kind.INFORMATION_REQUEST and Option.REFRESH_TIME in message.requested:
        refresh_s = max(assignment.refresh_s, _LEAST_REFRESH_S)
        yield encode_option(Option.REFRESH_TIME, refresh_s.to_bytes(4, "big"))
