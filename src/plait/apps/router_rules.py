"""What every router does, whichever it is: what it does not route, used-up TTLs, and its own pings.

ROUTE      link-local and multicast addresses --> drop        RFC 4291, 2.5.6; RFC 3927, 7
           TTL of 0 or 1 --> the sender is told               RFC 792; RFC 8200, 3
NEIGHBOUR  too large for the next network --> the sender is told
LOCAL      echo request --> turned around into its reply      RFC 1812, 4.3.3.6; RFC 4443, 4.2

Of an error's sender and receiver, and of whether there may be one, the agent takes care.
"""

from collections.abc import Iterator

from plait.flows.address_numbers import prefix_match
from plait.flows.flow import Flow, flow
from plait.flows.pipeline import Table
from plait.flows.punt import Punt, punt
from plait.flows.registers import NEXT_HOP_V6, OVERSIZE, SCRATCH, SCRATCH_MAC
from plait.wire.icmp import QUOTED_V4_BYTES, QUOTED_V6_BYTES
from plait.wire.internet import (
    ECHO_REPLY,
    ECHO_REPLY_V6,
    ECHO_REQUEST,
    ECHO_REQUEST_V6,
    ETH_IPV4,
    ETH_IPV6,
    ETHERNET_HEADER_BYTES,
    PROTO_FRAGMENT,
    PROTO_ICMP,
    PROTO_ICMPV6,
)
from plait.wire.openflow.actions import IN_PORT, apply, move, output, set_field
from plait.wire.openflow.oxm import match

OWN_ADDRESS_PRIORITY = 1000
"""In ROUTE: a packet that has arrived needs no TTL any more, and may come from a link-local address."""
_NOT_ROUTED_PRIORITY = 900
_TTL_PRIORITY = 800
LOWEST_ROUTE_PRIORITY = 100
"""In ROUTE and NEXT_HOP: of a prefix of no bits; each bit counts one."""

QUOTED_BYTES = {
    ETH_IPV4: ETHERNET_HEADER_BYTES + QUOTED_V4_BYTES,
    ETH_IPV6: ETHERNET_HEADER_BYTES + QUOTED_V6_BYTES,
}
"""How much of a frame an error about it can quote, by Ethernet type."""

_NOT_ROUTED = (
    "0.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "224.0.0.0/4",
    "255.255.255.255/32",
    "::/128",
    "::1/128",
    "fe80::/10",
    "ff00::/8",
)
"""As source and as destination. Source: RFC 6890."""

_ECHO_TTL = 64
LATER_FRAGMENT = (2, 2)


def _told(reason: Punt) -> bytes:
    return apply(punt(reason, max(QUOTED_BYTES.values())))


MISSES: dict[int, bytes] = {
    Table.ROUTE: _told(Punt.NO_ROUTE),
    Table.NEIGHBOUR: _told(Punt.NO_HOST),
    Table.LOCAL: _told(Punt.NO_PORT),
}
"""By table, what becomes of a packet that no flow of a router takes."""

NO_HOST = _told(Punt.NO_HOST)
"""For a route none of whose next hops is there."""
NO_ROUTE = _told(Punt.NO_ROUTE)
"""For a route to a joined router that knows no way on."""


def flows() -> Iterator[Flow]:
    """All of it, for the switch to have once."""
    yield from _not_routed()
    yield from _told_of_the_packet()
    yield from _echo_v4()
    yield from _echo_v6()


def _not_routed() -> Iterator[Flow]:
    for prefix in _NOT_ROUTED:
        for end in ("src", "dst"):
            yield flow(Table.ROUTE, _NOT_ROUTED_PRIORITY, match(**prefix_match(prefix, end)), b"")


def _told_of_the_packet() -> Iterator[Flow]:
    for eth_type, quoted_bytes in QUOTED_BYTES.items():
        expired = apply(punt(Punt.TTL_EXPIRED, quoted_bytes))
        for ttl in (0, 1):
            yield flow(Table.ROUTE, _TTL_PRIORITY, match(eth_type=eth_type, nw_ttl=ttl), expired)
        oversize = match(**OVERSIZE.is_(1), eth_type=eth_type)
        yield flow(Table.NEIGHBOUR, 200, oversize, apply(punt(Punt.TOO_BIG, quoted_bytes)))


def _echo_v4() -> Iterator[Flow]:
    """A later fragment has no type to be seen, and to be changed: it follows its first one."""
    icmp = {"eth_type": ETH_IPV4, "ip_proto": PROTO_ICMP}
    around = (
        *_ETHERNET_AROUND,
        move("ipv4_src", SCRATCH.field, 32),
        move("ipv4_dst", "ipv4_src", 32),
        move(SCRATCH.field, "ipv4_dst", 32),
        set_field("nw_ttl", _ECHO_TTL),
    )
    answer = apply(*around, set_field("icmpv4_type", ECHO_REPLY), output(IN_PORT))
    yield flow(Table.LOCAL, 100, match(**icmp, icmpv4_type=ECHO_REQUEST), answer)
    yield flow(Table.LOCAL, 110, match(**icmp, ip_frag=LATER_FRAGMENT), apply(*around, output(IN_PORT)))
    yield flow(Table.LOCAL, 50, match(**icmp), b"")


def _echo_v6() -> Iterator[Flow]:
    icmp = {"eth_type": ETH_IPV6, "ip_proto": PROTO_ICMPV6}
    around = (
        *_ETHERNET_AROUND,
        # It goes to no next hop, so the register is free.
        move("ipv6_src", NEXT_HOP_V6.field, 128),
        move("ipv6_dst", "ipv6_src", 128),
        move(NEXT_HOP_V6.field, "ipv6_dst", 128),
        set_field("nw_ttl", _ECHO_TTL),
    )
    answer = apply(*around, set_field("icmpv6_type", ECHO_REPLY_V6), output(IN_PORT))
    yield flow(Table.LOCAL, 100, match(**icmp, icmpv6_type=ECHO_REQUEST_V6), answer)
    # Of what protocol a later fragment is, Open vSwitch does not see: its next header is that of fragments.
    later = match(eth_type=ETH_IPV6, ip_proto=PROTO_FRAGMENT, ip_frag=LATER_FRAGMENT)
    yield flow(Table.LOCAL, 110, later, apply(*around, output(IN_PORT)))
    yield flow(Table.LOCAL, 50, match(**icmp), b"")


_ETHERNET_AROUND = (
    move("eth_src", SCRATCH_MAC.field, 48),
    move("eth_dst", "eth_src", 48),
    move(SCRATCH_MAC.field, "eth_dst", 48),
)
