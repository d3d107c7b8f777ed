"""Conntrack zones: a port's zone is its OpenFlow port number, and nobody inherits another's connections.

    a port comes to a number --held by itself before?--> it comes in as it is
                             --by another, or nobody knows--> flush, then it comes in
    a port leaves its number --> flush, then nobody holds it

Who holds which number is kept on disk with the last view (`Number`, space "zone"), so that a restart of the
agent flushes nothing of those that stayed, and all of what changed hands meanwhile.
"""

import asyncio
from collections.abc import Iterable

import structlog

from plait.agent.engine import Engine
from plait.model.facets import Attachment, Change, Number
from plait.model.view import ZONE
from plait.net.appctl import AppctlError, appctl
from plait.net.stream import Unreachable

log = structlog.get_logger("plait.zones")

AT_ONCE = 10
"""Commands that ovs-vswitchd takes in one turn of its main loop."""


class Zones:
    """`target`: the control socket of ovs-vswitchd, or its run directory."""

    def __init__(self, engine: Engine, target: str) -> None:
        self._engine = engine
        self._target = target
        self._at_once = asyncio.Semaphore(AT_ONCE)

    def are_held(self, attachments: Iterable[Attachment]) -> dict[Attachment, bool]:
        """Whether the ports held these numbers before, so that all connections there are their own."""
        return {each: self._held_by(each.port) == each.ofport for each in attachments}

    async def take_over(self, attachments: Iterable[Attachment]) -> dict[Attachment, str | None]:
        """Make these numbers theirs: None when it is done, or why their zones can't be flushed."""
        attachments = list(attachments)
        problems = await asyncio.gather(*(self._flush(each.ofport) for each in attachments))
        done = [each for each, problem in zip(attachments, problems, strict=True) if problem is None]
        numbers = {each.ofport: each.port for each in done}
        changes = [
            Change(Number, number.id, None)
            for number in self._engine.view.all(Number)
            if number.space == ZONE and numbers.get(number.number, number.owner) != number.owner
        ]
        for each in done:
            number = Number(ZONE, each.port, each.ofport)
            changes.append(Change(Number, number.id, number))
        self._engine.change(changes)
        return dict(zip(attachments, problems, strict=True))

    async def let_go(self, ports: Iterable[str]) -> None:
        """Flush what these ports held; what can't be flushed now is when another port takes the number."""
        held = {port: number for port in ports if (number := self._held_by(port)) is not None}
        problems = await asyncio.gather(*map(self._flush, held.values()))
        flushed = [port for port, problem in zip(held, problems, strict=True) if problem is None]
        self._engine.change(Change(Number, f"{ZONE}/{port}", None) for port in flushed)

    def _held_by(self, port: str) -> int | None:
        number = self._engine.view.get(Number, f"{ZONE}/{port}")
        return None if number is None else number.number

    async def _flush(self, zone: int) -> str | None:
        """Forget the connections of a zone; why that is not possible, if it isn't."""
        async with self._at_once:
            try:
                await appctl(self._target, "dpctl/flush-conntrack", f"zone={zone}")
            except (AppctlError, Unreachable) as error:
                log.warning("conntrack zone can't be flushed, trying again", zone=zone, reason=str(error))
                return f"conntrack zone {zone} can't be flushed, see option ovs_rundir: {error}"
        return None
