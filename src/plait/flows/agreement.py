"""Does a real switch take the same way as the simulated one? What `ofproto/trace` prints, in one form.

A step is (table, priority, cookie): enough to tell flows apart, whatever numbers a switch gave its ports.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from plait.flows.flow import Flow
from plait.flows.packet import Packet
from plait.flows.trace import Step, Trace

SwitchStep = tuple[int, int, int]

_STEP: Final = re.compile(r"^ *(\d+)\. (?:.*, )?priority (\d+), cookie (0x[0-9a-f]+)$", re.MULTILINE)
_LARGE_BYTES, _SMALL_BYTES = 0xFFFF, 0


def steps_of(text: str) -> tuple[SwitchStep, ...]:
    """The flows that `ofproto/trace` names; those without a cookie are not ours (other bridges, misses)."""
    return tuple(
        (int(table), int(priority), int(cookie, 16)) for table, priority, cookie in _STEP.findall(text)
    )


def expected_steps(
    send: Callable[[Packet], Trace], packet: Packet, cookie_of: Callable[[Flow], int]
) -> tuple[SwitchStep, ...]:
    """What `ofproto/trace` should name: where the size decides it goes both ways, first as too large."""
    large, small = (send(Packet(packet.fields, size)).steps for size in (_LARGE_BYTES, _SMALL_BYTES))
    return tuple(_numbered(_both(large, small), cookie_of))


def _both(large: Iterable[Step], small: Iterable[Step]) -> Iterator[Step]:
    """The size is looked at in the last table but one only, so both ways have the same length."""
    for pair in zip(large, small, strict=True):
        yield from dict.fromkeys(pair)


def _numbered(steps: Iterable[Step], cookie_of: Callable[[Flow], int]) -> Iterator[SwitchStep]:
    for step in steps:
        if step.flow is not None:
            yield step.table, step.flow.priority, cookie_of(step.flow)
