"""The host in the store: known for good in `inventory/`, alive under a lease in `host/`, and how it does in
`health/`.

A lease that is lost (the store was away, this process was stopped for long) is taken anew, with everything
under it.
A clean stop leaves the host alive for `stopped_ttl_s`, because its traffic goes on; a host that shuts down
leaves at once.
"""

import asyncio
from contextlib import suppress

import structlog

from plait.model import codec
from plait.model.entities import Health, Host, LiveHost
from plait.store import keys
from plait.store.api import ABSENT, KeyAt, LeaseId, LeaseLost, Put, Store, StoreError
from plait.store.follow import Retry

log = structlog.get_logger("plait.presence")

PARTING_TIMEOUT_S = 3.0


class Presence:
    """Writes what it is told by `appear` and `component`; `run` keeps it there."""

    def __init__(self, store: Store, host: str, *, ttl_s: float, stopped_ttl_s: float) -> None:
        self._store = store
        self._host = host
        self._ttl_s = ttl_s
        self._stopped_ttl_s = stopped_ttl_s
        self._live: LiveHost | None = None
        self._components: dict[str, str] = {}
        self._lease: LeaseId | None = None
        self._wake = asyncio.Event()
        self._written: dict[str, bytes] = {}

    @property
    def components(self) -> dict[str, str]:
        """Name of each part of the agent -> "ok" or what is wrong."""
        return dict(self._components)

    def appear(self, live: LiveHost) -> None:
        """The host lives, and this is what others need to know of it."""
        self._live = live
        self._wake.set()

    def component(self, name: str, state: str) -> None:
        """A part of the agent is "ok", or this is wrong with it."""
        if self._components.get(name) != state:
            self._components[name] = state
            self._wake.set()

    async def run(self) -> None:
        """For ever."""
        retry = Retry()
        while True:
            try:
                await self._enter()
                retry.succeeded()
                await self._stay()
            except LeaseLost:
                log.warning("lease of this host was lost, taking a new one")
            except StoreError as error:
                log.warning("presence can't be kept, trying again", reason=str(error))
                await asyncio.sleep(retry.next_delay_s())

    async def part(self, *, for_good: bool) -> None:
        """Say goodbye within a few seconds; without a store, the lease says it later."""
        with suppress(StoreError, TimeoutError):
            async with asyncio.timeout(PARTING_TIMEOUT_S):
                if for_good or self._live is None:
                    if self._lease is not None:
                        await self._store.revoke(self._lease)
                    return
                lease = await self._store.grant(self._stopped_ttl_s)
                record = codec.encode(self._live)
                await self._store.commit([], [Put(keys.host(self._host), record, lease)])
                if self._lease is not None:
                    await self._store.revoke(self._lease)

    async def _enter(self) -> None:
        """Known for good, and a lease."""
        inventory = keys.inventory(self._host)
        if not (await self._store.get([inventory])).items:
            record = codec.encode(Host(name=self._host))
            await self._store.commit([KeyAt(inventory, ABSENT)], [Put(inventory, record)])
        self._lease = await self._store.grant(self._ttl_s)
        self._written.clear()
        self._wake.set()

    async def _stay(self) -> None:
        assert self._lease is not None
        loop = asyncio.get_running_loop()
        renew_at = loop.time() + self._ttl_s / 3
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(renew_at):
                    await self._wake.wait()
            if self._wake.is_set():
                self._wake.clear()
                await self._write(self._lease)
            if loop.time() >= renew_at:
                await self._store.keep_alive(self._lease)
                renew_at = loop.time() + self._ttl_s / 3

    async def _write(self, lease: LeaseId) -> None:
        health = Health(host=self._host, components=tuple(sorted(self._components.items())))
        records: list[tuple[str, LiveHost | Health | None]] = [
            (keys.host(self._host), self._live),
            (keys.health(self._host), health),
        ]
        fresh = {key: codec.encode(record) for key, record in records if record is not None}
        puts = [Put(key, value, lease) for key, value in fresh.items() if self._written.get(key) != value]
        if puts:
            await self._store.commit([], puts)
            self._written = fresh
