import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence

import pytest

from plait.intent import Intent, audit
from plait.intent.surroundings import read_router
from plait.model.routers import Peering
from plait.model.topology import Topology
from plait.store import keys
from plait.store.api import Batch, Committed, Compare, Conflict, LeaseId, Revision, Snapshot, Store, Write
from plait.store.memory import MemoryStore

Refused = Callable[[Awaitable[object], type[Exception], str], Awaitable[None]]


@pytest.fixture
async def store() -> AsyncIterator[MemoryStore]:
    """A store that is audited when the test is over: nothing leaked, nothing missing."""
    store = MemoryStore()
    yield store
    assert await audit(store) == []
    await store.close()


@pytest.fixture
def intent(store: MemoryStore) -> Intent:
    return Intent(store)


@pytest.fixture
def refused(store: MemoryStore) -> Refused:
    """Assert that a wish is refused with a message that contains the text, and the store is as before."""

    async def check(wish: Awaitable[object], error: type[Exception], text: str) -> None:
        before = (await store.snapshot("")).items
        with pytest.raises(error) as caught:
            await wish
        assert text in str(caught.value)
        assert (await store.snapshot("")).items == before

    return check


class Interleaving:
    """A memory store whose answers come in an order that a seed decides, so that tasks meet in every way."""

    def __init__(self, seed: int) -> None:
        self.below = MemoryStore()
        self.reads = 0
        self.conflicts = 0
        self._random = random.Random(seed)

    async def _let_others_run(self) -> None:
        for _ in range(self._random.randrange(4)):
            await asyncio.sleep(0)

    async def snapshot(self, prefix: str) -> Snapshot:
        self.reads += 1
        await self._let_others_run()
        return await self.below.snapshot(prefix)

    async def snapshots(self, prefixes: Sequence[str]) -> list[Snapshot]:
        self.reads += 1
        await self._let_others_run()
        return await self.below.snapshots(prefixes)

    async def get(self, keys: Sequence[str]) -> Snapshot:
        self.reads += 1
        await self._let_others_run()
        return await self.below.get(keys)

    async def commit(self, compares: Sequence[Compare], writes: Sequence[Write]) -> Committed | Conflict:
        await self._let_others_run()
        outcome = await self.below.commit(compares, writes)
        self.conflicts += isinstance(outcome, Conflict)
        await self._let_others_run()
        return outcome

    def watch(self, prefix: str, after: Revision) -> AsyncGenerator[Batch, None]:
        return self.below.watch(prefix, after)

    async def grant(self, ttl_s: float) -> LeaseId:
        return await self.below.grant(ttl_s)

    async def keep_alive(self, lease: LeaseId) -> None:
        await self.below.keep_alive(lease)

    async def revoke(self, lease: LeaseId) -> None:
        await self.below.revoke(lease)

    async def close(self) -> None:
        await self.below.close()


@pytest.fixture(scope="session")
def interleaving() -> type[Interleaving]:
    """Make one with a seed: `interleaving(7)`."""
    return Interleaving


async def _nothing_is_wrong(store: Store, *, may_go_round: bool = False) -> None:
    """No router reaches overlapping subnets or a loop, has a gateway it should not, or a route to nowhere."""
    ids = {key.split("/")[3] for key in (await store.snapshot(keys.ROUTERS)).items}
    states = {id: state for id in ids if (state := await read_router(store, id)) is not None}
    topology = Topology(
        {id: state.router for id, state in states.items()},
        [interface for state in states.values() for interface in state.interfaces],
        [Peering(router=id, peer=peer) for id, state in states.items() for peer in state.asked],
    )
    for id, state in states.items():
        assert may_go_round or topology.loop(id) is None
        assert topology.overlap(id) is None
        for route in state.router.routes:
            assert all(state.interface_to(hop) is not None for hop in route.next_hops)
            assert route.router is None or route.router in state.asked
            assert route.destination not in {interface.prefix for interface in state.interfaces}
    projects = {state.router.project for state in states.values()}
    for project in projects:
        intent = Intent(store, project=project)
        subnets = {subnet.id: subnet for subnet in await intent.subnets.list()}
        for state in states.values():
            for interface in state.interfaces:
                if interface.subnet in subnets and interface.address.endswith(".1"):
                    assert subnets[interface.subnet].gateway == interface.address


@pytest.fixture(scope="session")
def routed_well() -> Callable[..., Awaitable[None]]:
    """Assert that no router of a store leads to what it must not."""
    return _nothing_is_wrong
