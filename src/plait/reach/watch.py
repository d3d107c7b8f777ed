"""The plane "watch": the store carries reach. Nothing to configure, and as available as the store is.

A host writes a record for each of its endpoints and follows those of its networks; who is alive is seen by
the leased host records, so that the death of a host with 5,000 endpoints is one event, and its return
writes nothing again.

While the store is away all that was told stands, and following goes on by itself: `events` ends only when
the store object is closed. `announce` and `withdraw` raise `ReachUnavailable` at once instead; the caller
asserts again (`settle`) when the store is back.
"""

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from typing import TypeVar

from plait.model import codec
from plait.model.entities import Endpoint, LiveHost
from plait.reach.api import Interest, ReachEvent, ReachUnavailable
from plait.reach.following import Following
from plait.reach.hosts import GRACE_S, living_hosts
from plait.reach.refusals import Refusals
from plait.store import keys
from plait.store.api import (
    ABSENT,
    MAX_COMMIT_BYTES,
    MAX_COMMIT_OPS,
    Committed,
    Delete,
    Item,
    KeyAt,
    Put,
    Store,
    StoreError,
)
from plait.store.follow import Retry

Place = tuple[str, str]
"""(network, port)"""

_ENDPOINTS_PER_COMMIT = MAX_COMMIT_OPS // 2
_ATTEMPTS = 5

T = TypeVar("T")


class WatchReach:
    """The plane as `host` sees it.

    `grace_s`: how long after an outage of the store a host has to renew its lease before it counts as dead.
    `believed`: hosts that were alive when this one last heard, before a restart; they have that time, too.
    """

    def __init__(
        self,
        store: Store,
        host: str,
        *,
        grace_s: float = GRACE_S,
        believed: Iterable[LiveHost] = (),
        retry: Callable[[], Retry] = Retry,
    ) -> None:
        self.host = host
        self._store = store
        self._grace_s = grace_s
        self._believed = tuple(believed)
        self._retry = retry
        self._refusals = Refusals()
        self._problem: str | None = None

    @property
    def refused(self) -> int:
        """How many stored records could not be understood so far."""
        return self._refusals.count

    @property
    def problem(self) -> str | None:
        """Why nothing new is heard at present; None while all is well."""
        return self._problem

    async def announce(self, endpoint: Endpoint) -> None:
        """One round trip for a new endpoint; nothing is written for one that stands already."""
        await self.announce_many((endpoint,))

    async def withdraw(self, endpoint: Endpoint) -> None:
        await self.withdraw_many((endpoint,))

    async def announce_many(self, endpoints: Iterable[Endpoint]) -> None:
        """As `announce`, many in one commit. After ReachUnavailable the first of them may be told.

        Network by network: a commit costs every host a message for each network that it touches.
        """
        wanted = {(endpoint.network, endpoint.port): self._own(endpoint) for endpoint in endpoints}
        for portion in _portions((place, codec.encode(wanted[place])) for place in sorted(wanted)):
            await self._announce(portion)

    async def withdraw_many(self, endpoints: Iterable[Endpoint]) -> None:
        """As `withdraw`, many in one commit."""
        await self._withdraw([(endpoint.network, endpoint.port) for endpoint in map(self._own, endpoints)])

    async def own_records(self) -> dict[Place, Endpoint]:
        """What stands in this host's name, whichever of its agents wrote it; reads nothing of other hosts."""
        found = await self._standing()
        decoded = {place: self._decode(place, item) for place, item in found.items() if item is not None}
        return {place: endpoint for place, endpoint in decoded.items() if endpoint is not None}

    async def settle(self, endpoints: Iterable[Endpoint]) -> None:
        """Make `endpoints` all that stands in this host's name: at the start, and after an outage."""
        wanted = {(endpoint.network, endpoint.port): self._own(endpoint) for endpoint in endpoints}
        found = await self._standing()
        await self._withdraw([place for place in found if place not in wanted])
        await self.announce_many(
            endpoint
            for place, endpoint in wanted.items()
            if (item := found.get(place)) is None or item.value != codec.encode(endpoint)
        )

    async def events(self, interest: Interest) -> AsyncGenerator[ReachEvent, None]:
        """See `Reach.events`. Raises ReachUnavailable once the store is closed."""
        following = Following(self._store, self.host, retry=self._retry, refusals=self._refusals)
        hosts = living_hosts(
            self._store,
            grace_s=self._grace_s,
            believed=self._believed,
            retry=self._retry(),
            refusals=self._refusals,
        )
        async with aclosing(following.events(hosts, interest)) as events:
            async for event in events:
                self._problem = following.problem
                if event is not None:
                    yield event
        raise ReachUnavailable("the store was closed: open it again and ask again")

    def _own(self, endpoint: Endpoint) -> Endpoint:
        if endpoint.host != self.host:
            raise ValueError(
                f"port {endpoint.port!r} is said to live on {endpoint.host!r}: only {self.host!r} speaks here"
            )
        return endpoint

    async def _announce(self, records: Mapping[Place, bytes]) -> None:
        """One commit. It is tried first as if nothing stood: then a new endpoint takes one round trip."""
        named = {keys.reach(*place, self.host): place for place in records}
        standing: Mapping[str, Item] = {}
        for _ in range(_ATTEMPTS):
            compares, writes = [], []
            for key, place in named.items():
                item = standing.get(key)
                if item is None or item.value != records[place]:
                    compares.append(KeyAt(key, ABSENT if item is None else item.revision))
                    writes.append(Put(key, records[place]))
                    writes.append(Put(keys.announced(self.host, *place), b""))
            if not writes:
                return
            with _store_errors():
                if isinstance(await self._store.commit(compares, writes), Committed):
                    return
                standing = (await self._store.get(list(named))).items
        raise ReachUnavailable(
            f"somebody else writes endpoints for host {self.host!r}: give every agent a name of its own"
        )

    async def _withdraw(self, places: Sequence[Place]) -> None:
        for chunk in _chunks(places, _ENDPOINTS_PER_COMMIT):
            writes = [Delete(keys.reach(network, port, self.host)) for network, port in chunk]
            writes += [Delete(keys.announced(self.host, network, port)) for network, port in chunk]
            with _store_errors():
                await self._store.commit([], writes)

    async def _standing(self) -> dict[Place, Item | None]:
        """Every place that this host speaks of, with the record; None if there is none, against the rules."""
        prefix = keys.announced_prefix(self.host)
        with _store_errors():
            index = await self._store.snapshot(prefix)
            places = [_place(key.removeprefix(prefix)) for key in index.items]
            found: dict[Place, Item | None] = {}
            for chunk in _chunks(places, MAX_COMMIT_OPS):
                named = {place: keys.reach(*place, self.host) for place in chunk}
                items = (await self._store.get(list(named.values()))).items
                found.update((place, items.get(key)) for place, key in named.items())
        return found

    def _decode(self, place: Place, item: Item) -> Endpoint | None:
        return self._refusals.decode(Endpoint, keys.reach(*place, self.host), item.value)


@contextmanager
def _store_errors() -> Iterator[None]:
    """What the store raises, in the words of this contract."""
    try:
        yield
    except StoreError as error:
        raise ReachUnavailable(f"endpoints can't be told to the store: {error}") from error


def _place(rest: str) -> Place:
    network, _, port = rest.partition("/")
    return network, port


def _portions(records: Iterable[tuple[Place, bytes]]) -> Iterator[dict[Place, bytes]]:
    """What fits into one commit, with room for keys."""
    portion: dict[Place, bytes] = {}
    size = 0
    for place, value in records:
        if portion and (len(portion) == _ENDPOINTS_PER_COMMIT or size + len(value) > MAX_COMMIT_BYTES // 2):
            yield portion
            portion, size = {}, 0
        portion[place] = value
        size += len(value)
    if portion:
        yield portion


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
