"""Reach comes in: where the other endpoints of this host's networks live."""

import asyncio
from contextlib import aclosing

import structlog

from plait.agent.engine import Engine
from plait.agent.intent import sources_of
from plait.model.entities import Endpoint
from plait.model.view import Change
from plait.reach.api import Announced, InSync, Interest, Reach, ReachEvent, ReachUnavailable, Withdrawn
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

    async def run(self) -> None:
        retry = Retry()
        while True:
            self._heard.clear()
            self._in_sync.clear()
            self._portion.clear()
            try:
                async with aclosing(self._plane.events(self._interest)) as events:
                    async for event in events:
                        retry.succeeded()
                        await self._take(event)
            except ReachUnavailable as error:
                log.warning("reach plane lost, what it said stands", reason=str(error))
            await asyncio.sleep(retry.next_delay_s())

    async def _take(self, event: ReachEvent) -> None:
        """Live events go in at once; those of a network that is not in sync yet by portions, others get turns
        between.
        """
        self._in_sync &= self._interest.networks
        match event:
            case Announced(endpoint):
                network = endpoint.network
                self._portion.append(Change(Endpoint, endpoint.port, endpoint))
                if network not in self._in_sync:
                    self._heard.setdefault(network, set()).add(endpoint.port)
            case Withdrawn(network, port):
                self._portion.append(Change(Endpoint, port, None))
            case InSync(network):
                # One that left the interest and came back was forgotten whole: nothing of it can be stale.
                if network not in self._in_sync:
                    self._portion.extend(self._unheard(network))
                self._in_sync.add(network)
        if network not in self._interest.networks:
            self._portion.clear()
        elif network in self._in_sync or len(self._portion) >= PORTION:
            self._engine.change(self._portion)
            self._portion.clear()
            self._engine.gate.told(*(sources_of(network)[1] for network in self._in_sync))
            await asyncio.sleep(0)

    def _unheard(self, network: str) -> list[Change]:
        """What stood before this plane was asked and it did not mention."""
        heard = self._heard.pop(network, set())
        return [
            Change(Endpoint, endpoint.port, None)
            for endpoint in self._engine.view.all(Endpoint)
            if endpoint.network == network and endpoint.port not in heard
        ]
