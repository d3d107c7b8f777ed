"""Clusters of hosts that share a reach plane, for the tests of planes, and a listener on one."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Protocol

from plait.lab.stores import FaultyStore
from plait.model import codec
from plait.model.entities import Endpoint, LiveHost
from plait.reach.api import Announced, InSync, Interest, Reach, ReachEvent, Withdrawn
from plait.reach.watch import WatchReach
from plait.store import keys
from plait.store.api import Delete, Put, Store
from plait.store.follow import Retry
from plait.store.memory import MemoryStore
from plait.store.sqlite import SqliteStore


class Cluster(Protocol):
    """Hosts that share a plane."""

    def plane(self, host: str) -> Reach:
        """The plane as a new agent of `host` opens it."""
        ...

    async def begin(self, host: str) -> None:
        """The host is alive from now on."""
        ...

    async def die(self, host: str) -> None:
        """The host is declared dead."""
        ...

    def cost(self, host: str) -> int:
        """What the carrier brought to `host` so far: records and messages."""
        ...

    async def close(self) -> None: ...


class WatchCluster:
    """Planes around one store, each with a front that counts; `open_store` is a host's way to it."""

    def __init__(self, open_store: Callable[[], Store]) -> None:
        self._open_store = open_store
        self.store = open_store()
        self.fronts: dict[str, FaultyStore] = {}

    def plane(self, host: str) -> WatchReach:
        front = self.fronts[host] = FaultyStore(self._open_store())
        return WatchReach(front, host, grace_s=0, retry=lambda: Retry(lambda low, high: 0.0))

    async def begin(self, host: str) -> None:
        record = codec.encode(LiveHost(name=host, vtep="172.16.0.1"))
        await self.store.commit([], [Put(keys.host(host), record)])

    async def die(self, host: str) -> None:
        await self.store.commit([], [Delete(keys.host(host))])

    def cost(self, host: str) -> int:
        front = self.fronts[host]
        return front.asked.total() + front.told.total()

    async def close(self) -> None:
        for store in (*self.fronts.values(), self.store):
            await store.close()


def in_memory(folder: Path) -> WatchCluster:
    store = MemoryStore()
    return WatchCluster(lambda: store)


def by_sqlite(folder: Path) -> WatchCluster:
    """Every host with a connection of its own, as in processes of their own."""
    return WatchCluster(lambda: SqliteStore(folder / "plait.db"))


PLANES: dict[str, Callable[[Path], Cluster]] = {"watch-memory": in_memory, "watch-sqlite": by_sqlite}


class Listener:
    """Applies what a plane tells; every event is kept in `heard`."""

    def __init__(self, plane: Reach, interest: Interest) -> None:
        self.interest = interest
        self.known: dict[tuple[str, str], Endpoint] = {}
        self.heard: list[ReachEvent] = []
        self._more = asyncio.Condition()
        self._task = asyncio.create_task(self._listen(plane))

    async def _listen(self, plane: Reach) -> None:
        async with aclosing(plane.events(self.interest)) as events:
            async for event in events:
                self._apply(event)
                async with self._more:
                    self._more.notify_all()

    def _apply(self, event: ReachEvent) -> None:
        self.heard.append(event)
        match event:
            case Announced(endpoint):
                self.known[endpoint.network, endpoint.port] = endpoint
            case Withdrawn(network, port):
                del self.known[network, port]

    async def until(self, holds: Callable[["Listener"], bool]) -> None:
        async with self._more:
            await self._more.wait_for(lambda: holds(self) or self._task.done())
        if self._task.done():
            self._task.result()

    async def until_known(self, *endpoints: Endpoint) -> None:
        wanted = {(endpoint.network, endpoint.port): endpoint for endpoint in endpoints}
        await self.until(lambda listener: listener.known == wanted)

    async def until_in_sync(self, network: str) -> None:
        await self.until(lambda listener: InSync(network) in listener.heard)

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


def endpoint(
    port: str, host: str, *, network: str = "n", sequence: int = 0, ip: str = "10.0.0.1"
) -> Endpoint:
    return Endpoint(
        network=network, port=port, mac="02:00:00:00:00:01", host=host, ips=(ip,), sequence=sequence
    )


async def several_turns() -> None:
    """Let every task that can go on do so."""
    for _ in range(200):
        await asyncio.sleep(0)


async def turns_until(holds: Callable[[], bool]) -> None:
    while not holds():
        await several_turns()
