"""The host in the store: known in `inventory/`, alive in `host/` under a lease, its state in `health/`.

A lease that is lost (the store was away, this process was stopped for long) is taken anew, with everything
under it; so is a record that somebody else removed or replaced.
A clean stop leaves the host alive for `stopped_ttl_s`, because its traffic goes on; a host that shuts down
leaves at once.

A name belongs to one agent. Who has it shows in the store: a live record with another underlay address beside
a health record, which only a running agent has. The second agent of a name waits, says so, and is silent.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog

from plait.model import codec
from plait.model.checks import Invalid
from plait.model.entities import Health, Host, LiveHost
from plait.store import keys
from plait.store.api import (
    ABSENT,
    Conflict,
    Item,
    KeyAt,
    LeaseId,
    LeaseLost,
    Put,
    Revision,
    Store,
    StoreError,
)
from plait.store.follow import Retry

log = structlog.get_logger("plait.presence")

PARTING_TIMEOUT_S = 3.0
NAME = "host name"


class _NameTaken(Exception):
    """Another agent has the name of this host."""


class _Displaced(Exception):
    """The records in the store are not those that were written here."""


class Presence:
    """Writes what it is told by `appear` and `component`; `run` keeps it there.

    `address` is the underlay address, by which two hosts of one name are told from each other; `on_name`
    hears whether the name is ours.
    """

    def __init__(
        self,
        store: Store,
        host: str,
        *,
        address: str,
        ttl_s: float,
        stopped_ttl_s: float,
        on_name: Callable[[bool], None] = lambda is_ours: None,
    ) -> None:
        self._store = store
        self._host = host
        self._address = address
        self._ttl_s = ttl_s
        self._stopped_ttl_s = stopped_ttl_s
        self._on_name = on_name
        self._live: LiveHost | None = None
        self._components: dict[str, str] = {}
        self._lease: LeaseId | None = None
        self._wake = asyncio.Event()
        self._written: dict[str, bytes] = {}
        self._revisions: dict[str, Revision] = {}
        self._is_doubted = False

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

    def doubt(self) -> None:
        """Something was heard of this host's record: is it still what was written here?"""
        self._is_doubted = True
        self._wake.set()

    async def run(self) -> None:
        """For ever."""
        retry = Retry()
        clock = asyncio.get_running_loop().time
        while True:
            entered_at = clock()
            try:
                await self._enter()
                await self._stay()
            except LeaseLost:
                log.warning("lease of this host was lost, taking a new one")
            except _Displaced:
                log.warning(
                    "somebody else wrote or removed the records of this host, writing them anew",
                    host=self._host,
                    way_out="if this comes again and again: end the other agent of this name",
                )
            except _NameTaken as error:
                self._say_taken(str(error))
            except StoreError as error:
                log.warning("presence can't be kept, trying again", reason=str(error))
            if clock() - entered_at > self._ttl_s:
                retry.succeeded()
            await asyncio.sleep(retry.next_delay_s())

    async def part(self, *, for_good: bool) -> None:
        """Say goodbye within a few seconds, once `run` has ended; without a store the lease says it."""
        with suppress(StoreError, TimeoutError):
            async with asyncio.timeout(PARTING_TIMEOUT_S):
                if self._live is not None and keys.host(self._host) in self._written and not for_good:
                    lease = await self._store.grant(self._stopped_ttl_s)
                    record = codec.encode(self._live)
                    unchanged = KeyAt(keys.host(self._host), self._revisions[keys.host(self._host)])
                    await self._store.commit([unchanged], [Put(keys.host(self._host), record, lease)])
                if self._lease is not None:
                    await self._store.revoke(self._lease)

    async def _enter(self) -> None:
        """Known for good, the only one of this name, and a lease."""
        found = (await self._store.get(self._keys)).items
        live, health = found.get(keys.host(self._host)), found.get(keys.health(self._host))
        if live is not None and health is not None:
            self._refuse_rival(live)
        if keys.inventory(self._host) not in found:
            record = Put(keys.inventory(self._host), codec.encode(Host(name=self._host)))
            await self._store.commit([KeyAt(keys.inventory(self._host), ABSENT)], [record])
        self.component(NAME, "ok")
        self._on_name(True)
        self._lease = await self._store.grant(self._ttl_s)
        self._written.clear()
        self._revisions = {key: item.revision for key, item in found.items()}
        self._is_doubted = False
        self._wake.set()

    @property
    def _keys(self) -> tuple[str, ...]:
        return keys.inventory(self._host), keys.host(self._host), keys.health(self._host)

    def _refuse_rival(self, item: Item) -> None:
        try:
            rival = codec.decode(LiveHost, item.value)
        except Invalid:
            return
        if rival.vtep != self._address:
            raise _NameTaken(
                f"another agent runs as {self._host!r}, at {rival.vtep}: give every agent a name of its own "
                "(option host)"
            )

    def _say_taken(self, reason: str) -> None:
        if self._components.get(NAME) != reason:
            log.error("the name of this host is taken, waiting", reason=reason)
        self.component(NAME, reason)
        self._on_name(False)

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
                if self._is_doubted:
                    await self._verify()
                await self._write(self._lease)
            if loop.time() >= renew_at:
                await self._store.keep_alive(self._lease)
                renew_at = loop.time() + self._ttl_s / 3

    async def _verify(self) -> None:
        self._is_doubted = False
        found = (await self._store.get(self._keys)).items
        if keys.inventory(self._host) not in found:
            raise _Displaced
        for key in self._written:
            if key not in found or found[key].revision != self._revisions[key]:
                raise _Displaced

    async def _write(self, lease: LeaseId) -> None:
        health = Health(host=self._host, components=tuple(sorted(self._components.items())))
        records: list[tuple[str, LiveHost | Health | None]] = [
            (keys.host(self._host), self._live),
            (keys.health(self._host), health),
        ]
        fresh = {key: codec.encode(record) for key, record in records if record is not None}
        puts = [Put(key, value, lease) for key, value in fresh.items() if self._written.get(key) != value]
        if not puts:
            return
        unchanged = [KeyAt(put.key, self._revisions.get(put.key, ABSENT)) for put in puts]
        outcome = await self._store.commit(unchanged, puts)
        if isinstance(outcome, Conflict):
            raise _Displaced
        self._written = fresh
        self._revisions.update((put.key, outcome.revision) for put in puts)
