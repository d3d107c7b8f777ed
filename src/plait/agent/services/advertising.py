"""Router advertisements: to who asks, to who is new, to all when something changes, and now and again.

An advertisement is for one endpoint or for several that are told the same: those with addresses of the same
subnets. It leaves the switch by their ports alone, and never for another host.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic

import structlog

from plait.agent.engine import Engine
from plait.agent.services.punted import Punted
from plait.agent.services.remembered import Remembered
from plait.model.entities import Network, Port
from plait.model.facets import Attachment, Key
from plait.model.lens import Lens
from plait.services.advertising import Schedule, advertisements_of, farewells
from plait.wire.openflow.actions import output
from plait.wire.router_advertisement import Advertisement, decode_solicitation, encode_advertisement

log = structlog.get_logger("plait.punts")

PORTS_AT_ONCE = 100
"""Ports that one message to the switch puts a packet out of."""

PORTION = 16
"""Askers answered, and networks looked at, in one turn."""

Own = frozenset[str]
Send = Callable[[bytes, bytes], Awaitable[None]]
"""Puts a frame out by actions; does nothing while there is no switch."""


class Advertising:
    """See the module's docstring."""

    def __init__(self, engine: Engine, send: Send) -> None:
        self._engine = engine
        self._send = send
        self._said = Remembered(engine, _said)
        self._last: dict[str, dict[Own, tuple[Advertisement, ...]]] = {}
        self._schedules: dict[str, Schedule] = {}
        self._touched: set[str] = set()
        self._askers: set[int] = set()
        self._wake = asyncio.Event()
        engine.on_dirty(self._look)

    def answer(self, punted: Punted) -> None:
        """Whoever asks is answered in the next turn; asking twice in one is asking once."""
        decode_solicitation(punted.frame)
        self._ask(punted.ofport)

    def say_again(self) -> None:
        """There is a switch again, or for the first time: say everything to everybody."""
        self._last.clear()
        self._touched.update(network.id for network in self._engine.view.all(Network))
        self._wake.set()

    async def run(self) -> None:
        """For ever."""
        await self._engine.gate.opened()
        while True:
            await self._answer()
            for network in await self._due():
                await self._advertise(network, monotonic())
                await asyncio.sleep(0)
            if not self._askers and not self._touched:
                await self._sleep()
            self._wake.clear()

    async def _sleep(self) -> None:
        due = min((schedule.due for schedule in self._schedules.values()), default=None)
        try:
            async with asyncio.timeout(None if due is None else max(0.0, due - monotonic())):
                await self._wake.wait()
        except TimeoutError:
            return

    def _look(self, dirty: set[Key]) -> None:
        for key in dirty:
            match key.kind:
                case "network" | "subnets" | "interfaces of network":
                    self._touched.add(key.id)
                case "room":
                    self._touched.update(network.id for network in self._engine.view.all(Network))
                case "station":
                    attachment = self._engine.view.get(Attachment, key.id)
                    if attachment is not None:
                        self._ask(attachment.ofport)
        if self._touched:
            self._wake.set()

    def _ask(self, ofport: int) -> None:
        self._askers.add(ofport)
        self._wake.set()

    async def _answer(self) -> None:
        askers, self._askers = self._askers, set()
        for count, ofport in enumerate(askers):
            if count % PORTION == PORTION - 1:
                await asyncio.sleep(0)
            id = self._engine.view.port_at(ofport)
            port = None if id is None else self._engine.view.get(Port, id)
            if port is None or not (own := _own(port)):
                continue
            said = self._said.of((port.network, own))
            if said:
                # The network's first endpoint: from now on it hears of changes.
                self._last.setdefault(port.network, {}).setdefault(own, said)
                self._schedules.setdefault(port.network, _begun())
            await self._tell(said, [ofport])

    async def _due(self) -> list[str]:
        """Networks where something else is to be said than before, and those whose time has come."""
        touched, self._touched = self._touched, set()
        for count, network in enumerate(touched):
            if count % PORTION == PORTION - 1:
                await asyncio.sleep(0)
            if self._differs(network):
                self._schedules.setdefault(network, Schedule()).changed(monotonic())
        now = monotonic()
        return [network for network, schedule in self._schedules.items() if schedule.due <= now]

    def _differs(self, network: str) -> bool:
        last = self._last.get(network, {})
        return {own: self._said.of((network, own)) for own in self._audiences(network).keys() | last} != last

    async def _advertise(self, network: str, now: float) -> None:
        audiences = self._audiences(network)
        last = self._last.get(network, {})
        said = {own: self._said.of((network, own)) for own in audiences}
        for own, ofports in audiences.items():
            await self._tell(farewells(last.get(own, ()), said[own]), ofports)
            await self._tell(said[own], ofports)
        if any(said.values()):
            self._last[network] = said
            self._schedules[network].sent(now, random.random())
        else:
            self._last.pop(network, None)
            del self._schedules[network]

    def _audiences(self, network: str) -> Mapping[Own, list[int]]:
        """The switch's ports of own endpoints that speak IPv6, by the subnets of their addresses."""
        audiences: dict[Own, list[int]] = {}
        view = self._engine.view
        for id in view.members("ports of network", network):
            port, attachment = view.get(Port, id), view.get(Attachment, id)
            if port is not None and attachment is not None and (own := _own(port)):
                audiences.setdefault(own, []).append(attachment.ofport)
        return audiences

    async def _tell(self, said: tuple[Advertisement, ...], ofports: list[int]) -> None:
        for advertisement in said:
            frame = encode_advertisement(advertisement)
            for at in range(0, len(ofports), PORTS_AT_ONCE):
                await self._send(frame, b"".join(map(output, ofports[at : at + PORTS_AT_ONCE])))


def _begun() -> Schedule:
    """Of a network whose first endpoint was told already."""
    schedule = Schedule()
    schedule.sent(monotonic(), random.random())
    return schedule


def _own(port: Port) -> Own:
    """The subnets of a port's IPv6 addresses."""
    return frozenset(fixed.subnet for fixed in port.addresses if ":" in fixed.address)


def _said(lens: Lens, of: tuple[str, Own]) -> tuple[Advertisement, ...]:
    id, own = of
    network = lens.network(id)
    if network is None:
        return ()
    return advertisements_of(
        network, lens.subnets(id), lens.interfaces_on(id), lens.mtu_bytes(network), own=own
    )
