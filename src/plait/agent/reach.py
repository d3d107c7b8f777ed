"""Reach comes in: where the other endpoints of this host's networks live."""

import asyncio
from contextlib import aclosing

import structlog

from plait.agent.engine import Engine
from plait.agent.intent import reach_of
from plait.model.entities import Endpoint
from plait.model.facets import Change
from plait.reach.api import Announced, InSync, Interest, Left, Reach, ReachEvent, ReachUnavailable, Withdrawn
from plait.store.follow import Retry

log = structlog.get_logger("plait.reach")

PORTION = 200
"""Events taken in before other tasks get a turn: about 20 ms of compiling."""


class ReachFeed:
    """Tells the engine what a plane says. What a lost plane said stands until the plane says otherwise."""

    def __init__(self, plane: Reach, engine: Engine, interest: Interest) -> None:
        self._plane = plane
        self._engine = engine
        self._interest = interest
        self._heard: dict[str, set[str]] = {}
        self._in_sync: set[str] = set()
        self._portion: list[Change] = []
        self._told: list[str] = []
        self._live = asyncio.Event()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen(), name="reach events")
            tasks.create_task(self._take_in_live(), name="reach taken in")

    async def _listen(self) -> None:
        retry = Retry()
        while True:
            self._heard.clear()
            self._in_sync.clear()
            self._portion.clear()
            self._told.clear()
            self._forget_uninteresting()
            try:
                async with aclosing(self._plane.events(self._interest)) as events:
                    async for event in events:
                        retry.succeeded()
                        await self._take(event)
            except ReachUnavailable as error:
                log.warning("reach plane lost, what it said stands", reason=str(error))
            await asyncio.sleep(retry.next_delay_s())

    async def _take(self, event: ReachEvent) -> None:
        """Live events go in as soon as no more are at hand: the records of one commit are one change, and so
        are networks that are read together. Those of a network that is not in sync yet go in by portions,
        others get turns between.

        Which networks count is what the plane says, in the order in which it says it: `Interest` may already
        be elsewhere, and back.
        """
        match event:
            case Announced(endpoint):
                self._portion.append(Change(Endpoint, endpoint.port, endpoint))
                if endpoint.network in self._in_sync:
                    self._live.set()
                else:
                    self._heard.setdefault(endpoint.network, set()).add(endpoint.port)
            case Withdrawn(network, port):
                self._portion.append(Change(Endpoint, port, None))
                if network in self._in_sync:
                    self._live.set()
                else:
                    self._heard.get(network, set()).discard(port)
            case InSync(network):
                self._portion += self._unheard(network)
                self._in_sync.add(network)
                self._told.append(reach_of(network))
                self._live.set()
            case Left(network):
                self._take_in()
                self._engine.change([Change(Endpoint, port, None) for port in self._ports_of(network)])
                self._in_sync.discard(network)
                self._heard.pop(network, None)
                self._engine.gate.left(reach_of(network))
        if len(self._portion) >= PORTION:
            self._take_in()
            await asyncio.sleep(0)

    async def _take_in_live(self) -> None:
        """Runs when the plane's listener has nothing more to say at once."""
        while True:
            await self._live.wait()
            self._take_in()

    def _forget_uninteresting(self) -> None:
        """What no plane will speak of: networks that were left while none was asked, or that the last run of
        this agent had no time to forget."""
        networks = self._interest.networks
        endpoints = self._engine.view.all(Endpoint)
        gone = [endpoint.port for endpoint in endpoints if endpoint.network not in networks]
        self._engine.change(Change(Endpoint, port, None) for port in gone)

    def _take_in(self) -> None:
        """What was kept so far; then the gate hears which networks are complete."""
        self._live.clear()
        portion, self._portion = self._portion, []
        told, self._told = self._told, []
        self._engine.change(portion)
        self._engine.gate.told(*told)

    def _unheard(self, network: str) -> list[Change]:
        """What stood before this plane was asked and it did not mention."""
        heard = self._heard.pop(network, set())
        if network in self._in_sync:
            return []
        return [Change(Endpoint, port, None) for port in self._ports_of(network) if port not in heard]

    def _ports_of(self, network: str) -> list[str]:
        return list(self._engine.view.members("endpoints", network))
