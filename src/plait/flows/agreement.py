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


def steps_of(text: str) -> tuple[SwitchStep, ...]:
    """The flows that `ofproto/trace` names; those without a cookie are not ours (other bridges, misses)."""
    return tuple(
        (int(table), int(priority), int(cookie, 16)) for table, priority, cookie in _STEP.findall(text)
    )


def expected_steps(
    send: Callable[[Packet], Trace], packet: Packet, cookie_of: Callable[[Flow], int]
) -> tuple[SwitchStep, ...]:
    """What `ofproto/trace` should name: where the size decides it goes both ways, first as too large."""
    return tuple(_numbered(send(Packet(packet.fields, None)).steps, cookie_of))


def _numbered(steps: Iterable[Step], cookie_of: Callable[[Flow], int]) -> Iterator[SwitchStep]:
    for step in steps:
        if step.flow is not None:
            yield step.table, step.flow.priority, cookie_of(step.flow)
