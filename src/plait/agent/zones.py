"""Conntrack zones: a port's zone is its OpenFlow port number, and nobody inherits another's connections.

    a port comes to a number --held by itself before?--> it comes in as it is
                             --by another, or nobody knows--> flush, then it comes in
    a port leaves its number --> flush, then nobody holds it

Who holds which number is kept on disk with the last view (`Number`, space "zone"), so that a restart of the
agent flushes nothing of those that stayed, and all of what changed hands meanwhile.
"""

from collections.abc import Iterable, Mapping

import structlog

from plait.agent.engine import Engine
from plait.model.facets import Attachment, Change, Number
from plait.model.view import ZONE
from plait.net.openflow import OpenFlowConnection, SwitchUnavailable
from plait.net.stream import TlsFiles
from plait.wire.openflow.mods import FlushZone

log = structlog.get_logger("plait.zones")


class Zones:
    """`target`: the switch's OpenFlow connection.

    What flows are sent by is not open yet when the first ports come in, so there is one more, for a moment.
    """

    def __init__(self, engine: Engine, target: str, tls: TlsFiles | None) -> None:
        self._engine = engine
        self._target = target
        self._tls = tls

    def are_held(self, attachments: Iterable[Attachment]) -> dict[Attachment, bool]:
        """Whether the ports held these numbers before, so that all connections there are their own."""
        return {each: self._held_by(each.port) == each.ofport for each in attachments}

    async def take_over(self, attachments: Iterable[Attachment]) -> dict[Attachment, str | None]:
        """Make these numbers theirs: None when it is done, or why their zones can't be flushed."""
        attachments = list(attachments)
        problems = await self._flush({each.ofport for each in attachments})
        numbers = {each.ofport: each.port for each in attachments if each.ofport not in problems}
        changes = [
            Change(Number, number.id, None)
            for number in self._engine.view.all(Number)
            if number.space == ZONE and numbers.get(number.number, number.owner) != number.owner
        ]
        for ofport, port in numbers.items():
            number = Number(ZONE, port, ofport)
            changes.append(Change(Number, number.id, number))
        self._engine.change(changes)
        return {each: problems.get(each.ofport) for each in attachments}

    async def let_go(self, ports: Iterable[str]) -> None:
        """Flush what these ports held; what can't be flushed now is when another port takes the number."""
        held = {port: number for port in ports if (number := self._held_by(port)) is not None}
        problems = await self._flush(set(held.values()))
        flushed = [port for port, number in held.items() if number not in problems]
        self._engine.change(Change(Number, f"{ZONE}/{port}", None) for port in flushed)

    def _held_by(self, port: str) -> int | None:
        number = self._engine.view.get(Number, f"{ZONE}/{port}")
        return None if number is None else number.number

    async def _flush(self, zones: set[int]) -> Mapping[int, str]:
        """Forget the connections of zones; by zone, why that is not possible where it isn't."""
        if not zones:
            return {}
        ordered = sorted(zones)
        try:
            connection = await OpenFlowConnection.connect(self._target, ssl=self._tls)
            try:
                errors = await connection.send([FlushZone(zone) for zone in ordered])
            finally:
                await connection.close()
        except SwitchUnavailable as error:
            problems = dict.fromkeys(ordered, str(error))
        else:
            problems = {ordered[error.index]: error.text for error in errors if error.index is not None}
        if problems:
            reason = next(iter(problems.values()))
            log.warning("conntrack zones can't be flushed, trying again", zones=len(problems), reason=reason)
        return {
            zone: f"conntrack zone {zone} can't be flushed, the port stays out until it can: {reason}"
            for zone, reason in problems.items()
        }
