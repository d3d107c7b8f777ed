"""What packets are handed to the agent, by which reason, and how many of them at most.

Few are: whatever can be answered in flows is. Those that can't be pass a meter, so that no endpoint keeps the
agent busy; what the meter drops is lost, and asked for again by whoever needs an answer.
"""

from enum import IntEnum

import msgspec

from plait.wire.openflow.actions import controller
from plait.wire.openflow.mods import MeterFlag, drop_band


class Punt(IntEnum):
    """Why a packet was handed over: the first byte of its userdata."""

    TOO_BIG = 1
    MEMBERSHIP = 2
    TTL_EXPIRED = 3
    NO_ROUTE = 4
    NO_HOST = 5
    NO_PORT = 6
    DHCP = 7
    DHCPV6 = 8
    ROUTER_SOLICITATION = 9
    LOG = 10
    CLAIM = 11


class Meter(msgspec.Struct, frozen=True):
    """A meter of the switch: `flags` as OFPMF_*, `bands` as in a meter-mod of OpenFlow 1.4."""

    id: int
    flags: int
    bands: bytes


def _packets_per_s(id: int, rate: int) -> Meter:
    return Meter(id, MeterFlag.PACKETS_PER_S | MeterFlag.BURST, drop_band(rate, burst=rate))


_USUAL_PACKETS_PER_S = 100
_PACKETS_PER_S = {Punt.DHCP: 10_000, Punt.DHCPV6: 10_000, Punt.ROUTER_SOLICITATION: 1000}
"""What a host whose endpoints all start at once needs; the others are for people and for errors."""

METER_OF: dict[Punt, Meter] = {
    reason: _packets_per_s(reason, _PACKETS_PER_S.get(reason, _USUAL_PACKETS_PER_S)) for reason in Punt
}
"""One for each reason, so that much of the one does not drown the other."""

METERS: tuple[Meter, ...] = tuple(METER_OF.values())
"""All meters that a switch of ours has."""


def punt(reason: Punt, max_bytes: int, *, note: bytes = b"") -> bytes:
    """The action that hands the packet's first `max_bytes` to the agent; `note` follows the reason."""
    return controller(userdata=bytes((reason,)) + note, max_len=max_bytes, meter_id=METER_OF[reason].id)
