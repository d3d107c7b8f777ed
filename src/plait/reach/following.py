"""The listening side of the plane "watch": hosts and networks of interest, joined into one stream.

Rule 1: followers only carry; all joining happens in one place, in the order of one queue.
Rule 2: the queue is short; a slow consumer stops the followers, and what they miss comes as a difference.
Rule 3: a network costs one task and one watch of the store; one without interest costs nothing.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing

from plait.model.entities import Endpoint
from plait.reach.api import InSync, Interest, Left, ReachEvent
from plait.reach.hosts import HostDown, HostEvent, HostsKnown, HostUp
from plait.reach.records import Records
from plait.reach.refusals import Refusals
from plait.store import keys
from plait.store.api import Store
from plait.store.follow import Available, Changes, Followed, Full, Retry, Unavailable, follow, read_together

_QUEUE_LENGTH = 64

_HOSTS = ""
"""The source of host events; no network is called so."""


class _Ended:
    """A source has no more to say; `error` if it should have had."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error


_News = Followed | HostEvent | frozenset[str] | _Ended
_Queued = tuple[asyncio.Task[None] | None, str, _News]
_Source = (
    AsyncGenerator[Followed, None] | AsyncGenerator[HostEvent, None] | AsyncGenerator[frozenset[str], None]
)


class Following:
    """One listener of the plane, for one call of `events`."""

    def __init__(self, store: Store, host: str, *, retry: Callable[[], Retry], refusals: Refusals) -> None:
        self._store = store
        self._retry = retry
        self._queue: asyncio.Queue[_Queued] = asyncio.Queue(_QUEUE_LENGTH)
        self._sources: dict[str, asyncio.Task[None]] = {}
        self._stopping: set[asyncio.Task[None]] = set()
        self._joined = Joined(host, refusals)
        self.problem: str | None = None

    async def events(
        self, hosts: AsyncGenerator[HostEvent, None], interest: Interest
    ) -> AsyncGenerator[ReachEvent | None, None]:
        """What happens in the networks of `interest`; None when `problem` changed. Ends with the store."""
        try:
            self._start(_HOSTS, hosts)
            wishes = asyncio.create_task(self._carry("interest", _wishes(interest)))
            self._stopping.add(wishes)
            while True:
                task, source, news = await self._queue.get()
                if isinstance(news, _Ended):
                    if news.error is not None:
                        raise news.error
                    return
                if isinstance(news, frozenset):
                    for network in self._follow_only(news):
                        yield Left(network)
                elif self._sources.get(source) is task:
                    for event in self._take(source, news):
                        yield event
        finally:
            await self._stop_all()

    def _take(self, source: str, news: Followed | HostEvent) -> Iterable[ReachEvent | None]:
        match news:
            case Unavailable(reason):
                if source == _HOSTS:
                    self.problem = reason
                    return [None]
            case Available():
                if source == _HOSTS:
                    self.problem = None
                    return [None]
            case HostUp() | HostDown() | HostsKnown():
                return self._joined.take_host(news)
            case Full() | Changes():
                return self._joined.take_network(source, news)
        return []

    def _follow_only(self, networks: frozenset[str]) -> list[str]:
        """Follow these; returns those that are no longer followed."""
        left = [name for name in self._sources if name != _HOSTS and name not in networks]
        for network in left:
            task = self._sources.pop(network)
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)
            task.cancel()
            self._joined.forget(network)
        begin = {network: keys.reach_prefix(network) for network in sorted(networks - self._sources.keys())}
        first = read_together(self._store, begin.values())
        for network, prefix in begin.items():
            self._start(network, follow(self._store, prefix, retry=self._retry(), first=first[prefix]))
        return left

    def _start(self, source: str, news: _Source) -> None:
        self._sources[source] = asyncio.create_task(self._carry(source, news))

    async def _carry(self, source: str, news: _Source) -> None:
        task = asyncio.current_task()
        try:
            async with aclosing(news) as told:
                async for one in told:
                    await self._queue.put((task, source, one))
        except Exception as error:
            await self._queue.put((task, source, _Ended(error)))
        else:
            await self._queue.put((task, source, _Ended(None)))

    async def _stop_all(self) -> None:
        tasks = [*self._sources.values(), *self._stopping]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Joined:
    """What is known of the networks of interest, and what has to be told. No tasks, no clock."""

    def __init__(self, host: str, refusals: Refusals) -> None:
        self.refusals = refusals
        self._host = host
        self._records = Records()
        # This host lives as far as it knows, whether the store has its record or not.
        self._records.host_up(host)
        self._hosts_known = False
        self._complete: set[str] = set()

    def take_host(self, news: HostUp | HostDown | HostsKnown) -> list[ReachEvent]:
        match news:
            case HostUp(record):
                return [*self._records.host_up(record.name)]
            case HostDown(name):
                return [*self._records.host_down(name)] if name != self._host else []
            case HostsKnown():
                self._hosts_known = True
                return [InSync(network) for network in sorted(self._complete)]

    def take_network(self, network: str, news: Full | Changes) -> Iterator[ReachEvent]:
        """What has to be told. Nothing is taken in before it is asked for, so that 10,000 records at once
        cost the loop no longer turn than the consumer gives them.
        """
        match news:
            case Full(_, items):
                for key, value in items.items():
                    yield from self._change(network, key, value)
                self._complete.add(network)
                if self._hosts_known:
                    yield InSync(network)
            case Changes(_, changes):
                for change in changes:
                    yield from self._change(network, change.key, change.value)

    def forget(self, network: str) -> None:
        self._records.forget(network)
        self._complete.discard(network)

    def _change(self, network: str, key: str, value: bytes | None) -> list[ReachEvent]:
        port, _, host = key.removeprefix(keys.reach_prefix(network)).partition("/")
        endpoint = None if value is None else self.refusals.decode(Endpoint, key, value)
        if endpoint is not None and (endpoint.network, endpoint.port, endpoint.host) != (network, port, host):
            self.refusals.refuse(key, "it speaks of another endpoint or host than its key")
            endpoint = None
        # What a host said before it wrote something unreadable is not what it says now.
        if endpoint is None:
            return [*self._records.remove(network, port, host)]
        return [*self._records.put(endpoint)]


async def _wishes(interest: Interest) -> AsyncGenerator[frozenset[str], None]:
    networks = interest.networks
    while True:
        yield networks
        networks = await interest.changed_from(networks)
