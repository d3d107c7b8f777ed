"""An address that another endpoint has from now on: own endpoints of its network hear of it.

They may have its MAC in their memory, and gratuitous ARP and unsolicited advertisements of other endpoints
don't reach them, because broadcast goes nowhere. So their host says it, to its own ports alone, wherever the
address went from and to.
"""

import asyncio

from plait.agent.engine import Engine
from plait.agent.services.advertising import PORTS_AT_ONCE, Send
from plait.model.facets import Attachment, Key
from plait.wire.announcement import Announcement, encode_announcement
from plait.wire.openflow.actions import output

PAUSE_S = 0.05
"""Between two rounds: an address that goes to and fro is announced once in a round."""


class Announcing:
    """See the module's docstring."""

    def __init__(self, engine: Engine, send: Send) -> None:
        self._engine = engine
        self._send = send
        self._gained: set[tuple[str, str]] = set()
        self._wake = asyncio.Event()
        engine.on_dirty(self._look)

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            gained, self._gained = self._gained, set()
            for station, address in sorted(gained):
                await self._announce(station, address)
                await asyncio.sleep(0)
            await asyncio.sleep(PAUSE_S)

    def _look(self, dirty: set[Key]) -> None:
        for key in dirty:
            if key.kind == "gained":
                station, _, address = key.id.partition("/")
                self._gained.add((station, address))
                self._wake.set()

    async def _announce(self, id: str, address: str) -> None:
        view = self._engine.view
        station = view.station(id)
        if station is None or address not in station.ips:
            return
        frame = encode_announcement(Announcement(station.mac, address))
        neighbours = (
            view.get(Attachment, port) for port in view.members("ports of network", station.network)
        )
        ofports = [each.ofport for each in neighbours if each is not None and each.port != id]
        for at in range(0, len(ofports), PORTS_AT_ONCE):
            await self._send(frame, b"".join(map(output, ofports[at : at + PORTS_AT_ONCE])))
