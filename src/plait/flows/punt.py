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


class Meter(msgspec.Struct, frozen=True):
    """A meter of the switch: `flags` as OFPMF_*, `bands` as in a meter-mod of OpenFlow 1.4."""

    id: int
    flags: int
    bands: bytes


def _packets_per_s(id: int, rate: int) -> Meter:
    return Meter(id, MeterFlag.PACKETS_PER_S | MeterFlag.BURST, drop_band(rate, burst=rate))


METER_OF: dict[Punt, Meter] = {Punt.TOO_BIG: _packets_per_s(1, 100), Punt.MEMBERSHIP: _packets_per_s(2, 100)}
"""One for each reason, so that much of the one does not drown the other."""

METERS: tuple[Meter, ...] = tuple(METER_OF.values())
"""All meters that a switch of ours has."""


def punt(reason: Punt, max_bytes: int) -> bytes:
    """The action that hands the packet's first `max_bytes` to the agent."""
    return controller(userdata=bytes((reason,)), max_len=max_bytes, meter_id=METER_OF[reason].id)
