"""The living hosts of the cluster, followed in the store: for planes that go by leases, and for tunnels."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from itertools import chain
from typing import assert_never

import msgspec

from plait.model.entities import LiveHost
from plait.reach.liveness import Liveness
from plait.reach.refusals import Refusals
from plait.store import keys
from plait.store.api import Store
from plait.store.follow import Available, Changes, Followed, Full, Retry, Unavailable, follow

GRACE_S = 15.0
"""How long after an outage of the store a host may take to renew its lease.

More than a lease lives (10 s) and a follower pauses (3 s) together. The more it is, the longer stay the
endpoints of hosts that died during the outage.
"""


class HostUp(msgspec.Struct, frozen=True):
    """The host is alive; also told when its record becomes another one."""

    record: LiveHost


class HostDown(msgspec.Struct, frozen=True):
    """The host is dead."""

    name: str


class HostsKnown(msgspec.Struct, frozen=True):
    """All hosts that were alive at the start have been told; comes once."""


HostEvent = HostUp | HostDown | HostsKnown | Unavailable | Available


async def living_hosts(
    store: Store,
    *,
    grace_s: float = GRACE_S,
    believed: Iterable[LiveHost] = (),
    retry: Retry | None = None,
    refusals: Refusals | None = None,
) -> AsyncGenerator[HostEvent, None]:
    """Every living host, then every change; ends when the store is closed. Who is dead says `Liveness`.

    `believed` are hosts that were alive when the caller last heard, before a restart: they are told at
    once, and have the grace to show up, because the store may have been away meanwhile.
    """
    clock = asyncio.get_running_loop().time
    hosts = _Hosts(Liveness(grace_s), refusals or Refusals())
    for event in hosts.believe(believed, clock()):
        yield event
    async with aclosing(follow(store, keys.HOSTS, retry=retry)) as followed:
        coming: asyncio.Future[Followed | None] = asyncio.ensure_future(_next(followed))
        try:
            while True:
                deadline = hosts.liveness.next_deadline()
                timeout_s = None if deadline is None else max(0.0, deadline - clock())
                done, _ = await asyncio.wait((coming,), timeout=timeout_s)
                if not done:
                    events = _told(hosts.liveness.tick(clock()))
                elif (news := coming.result()) is None:
                    return
                else:
                    coming = asyncio.ensure_future(_next(followed))
                    events = hosts.take(news, clock())
                for event in events:
                    yield event
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)


async def _next(followed: AsyncGenerator[Followed, None]) -> Followed | None:
    return await anext(followed, None)


class _Hosts:
    """From what is followed to events. No tasks, no clock."""

    def __init__(self, liveness: Liveness, refusals: Refusals) -> None:
        self.liveness = liveness
        self._refusals = refusals

    def believe(self, records: Iterable[LiveHost], now: float) -> list[HostEvent]:
        return [event for record in records for event in _told(self.liveness.believe(record, now))]

    def take(self, news: Followed, now: float) -> list[HostEvent]:
        match news:
            case Full(_, items):
                absent = [name for name in sorted(self.liveness.alive) if keys.host(name) not in items]
                lost = (_told(self.liveness.gone(name, now)) for name in absent)
                found = (self._change(key, value, now) for key, value in items.items())
                return [*chain.from_iterable(lost), *chain.from_iterable(found), HostsKnown()]
            case Changes(_, changes):
                found = (self._change(change.key, change.value, now) for change in changes)
                return [*chain.from_iterable(found)]
            case Unavailable():
                self.liveness.outage_began()
            case Available():
                self.liveness.outage_ended(now)
            case _:
                assert_never(news)
        return [news]

    def _change(self, key: str, value: bytes | None, now: float) -> list[HostEvent]:
        name = key.removeprefix(keys.HOSTS)
        record = None if value is None else self._refusals.decode(LiveHost, key, value)
        if record is not None and record.name != name:
            self._refusals.refuse(key, f"it speaks of host {record.name!r}")
            record = None
        if record is None:
            return _told(self.liveness.gone(name, now))
        return _told(self.liveness.seen(record))


def _told(changes: Iterable[tuple[str, LiveHost | None]]) -> list[HostEvent]:
    return [HostDown(name) if record is None else HostUp(record) for name, record in changes]
