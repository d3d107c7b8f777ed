"""What every reach plane promises. A plane takes part by a `Cluster` of its own in `PLANES`."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Protocol

import msgspec
import pytest

from plait.lab.stores import FaultyStore
from plait.model import codec
from plait.model.entities import Endpoint, LiveHost
from plait.reach.api import (
    Announced,
    InSync,
    Interest,
    Left,
    Reach,
    ReachEvent,
    ReachUnavailable,
    Withdrawn,
)
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


@pytest.fixture(params=PLANES)
async def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = PLANES[request.param](tmp_path)
    yield cluster
    await cluster.close()


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


Listen = Callable[..., Listener]


@pytest.fixture
async def listen() -> AsyncIterator[Listen]:
    async with AsyncExitStack() as stack:

        def start(plane: Reach, *networks: str) -> Listener:
            interest = Interest()
            interest.set(frozenset(networks))
            listener = Listener(plane, interest)
            stack.push_async_callback(listener.stop)
            return listener

        yield start


def endpoint(
    port: str, host: str, *, network: str = "n", sequence: int = 0, ip: str = "10.0.0.1"
) -> Endpoint:
    return Endpoint(
        network=network, port=port, mac="02:00:00:00:00:01", host=host, ips=(ip,), sequence=sequence
    )


async def test_what_is_announced_is_heard_elsewhere_and_what_is_withdrawn_is_forgotten(
    cluster, listen
) -> None:
    await cluster.begin("a")
    listener = listen(cluster.plane("b"), "n")
    await listener.until_in_sync("n")
    owner = cluster.plane("a")
    await owner.announce(endpoint("p", "a"))
    await listener.until_known(endpoint("p", "a"))
    await owner.withdraw(endpoint("p", "a"))
    await listener.until_known()
    assert listener.heard == [InSync("n"), Announced(endpoint("p", "a")), Withdrawn("n", "p")]


async def test_announcing_what_stands_tells_nothing(cluster, listen) -> None:
    await cluster.begin("a")
    owner = cluster.plane("a")
    listener = listen(cluster.plane("b"), "n")
    for _ in range(3):
        await owner.announce(endpoint("p", "a"))
    await owner.announce(endpoint("q", "a"))
    await listener.until_known(endpoint("p", "a"), endpoint("q", "a"))
    assert listener.heard.count(Announced(endpoint("p", "a"))) == 1


async def test_a_change_of_addresses_is_heard(cluster, listen) -> None:
    await cluster.begin("a")
    owner = cluster.plane("a")
    listener = listen(cluster.plane("b"), "n")
    await owner.announce(endpoint("p", "a"))
    await owner.announce(endpoint("p", "a", ip="10.0.0.9"))
    await listener.until_known(endpoint("p", "a", ip="10.0.0.9"))


async def test_a_late_joiner_hears_everything_before_it_is_in_sync(cluster, listen) -> None:
    await cluster.begin("a")
    owner = cluster.plane("a")
    for port in ("p", "q"):
        await owner.announce(endpoint(port, "a"))
    listener = listen(cluster.plane("b"), "n")
    await listener.until_in_sync("n")
    assert set(listener.known) == {("n", "p"), ("n", "q")}
    assert listener.heard[-1] == InSync("n")


async def test_a_move_is_one_event_and_the_old_owners_withdrawal_is_none(cluster, listen) -> None:
    for host in ("a", "b"):
        await cluster.begin(host)
    old, new = cluster.plane("b"), cluster.plane("a")
    listener = listen(cluster.plane("c"), "n")
    await old.announce(endpoint("p", "b", sequence=1))
    await listener.until_known(endpoint("p", "b", sequence=1))
    await new.announce(endpoint("p", "a", sequence=2))
    await listener.until_known(endpoint("p", "a", sequence=2))
    await old.withdraw(endpoint("p", "b", sequence=1))
    await new.announce(endpoint("end", "a"))
    await listener.until_known(endpoint("p", "a", sequence=2), endpoint("end", "a"))
    assert not any(isinstance(event, Withdrawn) for event in listener.heard)


async def test_of_two_owners_everybody_believes_the_same(cluster, listen) -> None:
    for host in ("a", "b"):
        await cluster.begin(host)
    owners = {host: cluster.plane(host) for host in ("a", "b")}
    early = listen(cluster.plane("c"), "n")
    for host in ("b", "a"):
        await owners[host].announce(endpoint("p", host, sequence=3))
    late = listen(cluster.plane("d"), "n")
    for listener in (early, late):
        await listener.until_known(endpoint("p", "b", sequence=3))


async def test_a_withdrawal_never_touches_another_hosts_record(cluster, listen) -> None:
    for host in ("a", "b"):
        await cluster.begin(host)
    await cluster.plane("a").announce(endpoint("p", "a"))
    with pytest.raises(ValueError, match="only 'b' speaks here"):
        await cluster.plane("b").withdraw(endpoint("p", "a"))
    with pytest.raises(ValueError, match="only 'b' speaks here"):
        await cluster.plane("b").announce(endpoint("p", "a"))
    await cluster.plane("b").withdraw(endpoint("p", "b"))
    listener = listen(cluster.plane("c"), "n")
    await listener.until_known(endpoint("p", "a"))


async def test_a_dead_hosts_endpoints_are_withdrawn_and_return_with_it(cluster, listen) -> None:
    for host in ("a", "b"):
        await cluster.begin(host)
    await cluster.plane("a").announce(endpoint("p", "a"))
    await cluster.plane("b").announce(endpoint("q", "b"))
    listener = listen(cluster.plane("c"), "n")
    await listener.until_known(endpoint("p", "a"), endpoint("q", "b"))
    await cluster.die("a")
    await listener.until_known(endpoint("q", "b"))
    await cluster.begin("a")
    await listener.until_known(endpoint("p", "a"), endpoint("q", "b"))


async def test_endpoints_of_a_host_that_was_never_alive_are_not_told(cluster, listen) -> None:
    await cluster.plane("ghost").announce(endpoint("p", "ghost"))
    listener = listen(cluster.plane("c"), "n")
    await listener.until_in_sync("n")
    assert listener.known == {}
    await cluster.begin("ghost")
    await listener.until_known(endpoint("p", "ghost"))


async def test_a_restarted_owner_goes_on_where_it_was(cluster, listen) -> None:
    await cluster.begin("a")
    listener = listen(cluster.plane("b"), "n")
    await cluster.plane("a").announce(endpoint("p", "a", sequence=1))
    await listener.until_known(endpoint("p", "a", sequence=1))
    restarted = cluster.plane("a")
    await restarted.announce(endpoint("p", "a", sequence=1))
    await restarted.withdraw(endpoint("p", "a", sequence=1))
    await listener.until_known()
    assert [type(event) for event in listener.heard if not isinstance(event, InSync)] == [
        Announced,
        Withdrawn,
    ]


async def test_interest_that_grows_is_told_and_of_interest_that_goes_nothing_comes_but_that_it_was_left(
    cluster, listen
) -> None:
    await cluster.begin("a")
    owner = cluster.plane("a")
    await owner.announce(endpoint("p", "a", network="n"))
    await owner.announce(endpoint("p", "a", network="m"))
    listener = listen(cluster.plane("b"), "n")
    await listener.until_in_sync("n")
    listener.interest.set(frozenset({"m"}))
    await listener.until_in_sync("m")
    assert listener.heard.count(Left("n")) == 1
    heard = len(listener.heard)
    await owner.withdraw(endpoint("p", "a", network="n"))
    await owner.withdraw(endpoint("p", "a", network="m"))
    await listener.until(lambda seen: len(seen.heard) > heard)
    assert listener.heard[heard:] == [Withdrawn("m", "p")]


async def test_interest_that_returns_is_told_from_the_start(cluster, listen) -> None:
    await cluster.begin("a")
    await cluster.plane("a").announce(endpoint("p", "a"))
    listener = listen(cluster.plane("b"), "n")
    await listener.until_in_sync("n")
    listener.interest.set(frozenset({"other"}))
    await listener.until_in_sync("other")
    listener.heard.clear()
    listener.interest.set(frozenset({"n"}))
    await listener.until_in_sync("n")
    assert listener.heard == [Left("other"), Announced(endpoint("p", "a")), InSync("n")]


async def test_what_was_on_its_way_when_interest_went_is_not_told(cluster) -> None:
    await cluster.begin("a")
    owner, interest = cluster.plane("a"), Interest()
    interest.set(frozenset({"n"}))
    async with aclosing(cluster.plane("b").events(interest)) as events:
        assert await anext(events) == InSync("n")
        await several_turns()
        interest.set(frozenset({"m"}))
        await several_turns()
        await owner.announce(endpoint("p", "a"))
        await several_turns()
        assert [await anext(events), await anext(events)] == [Left("n"), InSync("m")]


async def test_a_host_hears_and_pays_nothing_for_networks_that_it_has_no_part_in(cluster, listen) -> None:
    await cluster.begin("a")
    listener = listen(cluster.plane("b"), "mine")
    await listener.until_in_sync("mine")
    paid = cluster.cost("b")
    owner = cluster.plane("a")
    for number in range(100):
        await owner.announce(endpoint(f"p{number}", "a", network="foreign"))
        await owner.withdraw(endpoint(f"p{number}", "a", network="foreign"))
    assert cluster.cost("b") == paid
    await owner.announce(endpoint("p", "a", network="mine"))
    await listener.until_known(endpoint("p", "a", network="mine"))
    assert cluster.cost("b") == paid + 1


async def test_ten_thousand_endpoints_are_heard_by_a_late_joiner_and_by_an_early_one(cluster, listen) -> None:
    await cluster.begin("a")
    early = listen(cluster.plane("b"), "n")
    await early.until_in_sync("n")
    endpoints = [endpoint(f"p{number}", "a") for number in range(10_000)]
    await cluster.plane("a").announce_many(endpoints)
    late = listen(cluster.plane("c"), "n")
    for listener in (early, late):
        await listener.until_known(*endpoints)
    await cluster.die("a")
    for listener in (early, late):
        await listener.until_known()


async def several_turns() -> None:
    """Let every task that can go on do so."""
    for _ in range(200):
        await asyncio.sleep(0)


async def turns_until(holds: Callable[[], bool]) -> None:
    while not holds():
        await several_turns()


# -- the plane "watch" alone: what follows from the store that carries it


@pytest.fixture
def watched(tmp_path: Path) -> WatchCluster:
    return in_memory(tmp_path)


async def test_a_lost_store_withdraws_nothing_and_what_was_missed_comes_after_it(watched, listen) -> None:
    await watched.begin("a")
    owner = watched.plane("a")
    await owner.announce(endpoint("p", "a"))
    plane = watched.plane("b")
    listener = listen(plane, "n")
    await listener.until_known(endpoint("p", "a"))
    heard = len(listener.heard)
    watched.fronts["b"].lose()
    await turns_until(lambda: plane.problem is not None)
    await owner.announce(endpoint("q", "a"))
    assert len(listener.heard) == heard
    watched.fronts["b"].find()
    await listener.until_known(endpoint("p", "a"), endpoint("q", "a"))
    assert listener.heard[heard:] == [Announced(endpoint("q", "a"))]
    assert plane.problem is None


async def test_compaction_during_an_outage_is_a_difference_and_no_wipe(watched, listen) -> None:
    await watched.begin("a")
    owner = watched.plane("a")
    await owner.announce_many([endpoint("p", "a"), endpoint("q", "a")])
    plane = watched.plane("b")
    listener = listen(plane, "n")
    await listener.until_in_sync("n")
    heard = len(listener.heard)
    watched.fronts["b"].lose()
    await owner.withdraw(endpoint("q", "a"))
    await watched.store.compact((await watched.store.snapshot("")).revision)
    watched.fronts["b"].find()
    await listener.until_known(endpoint("p", "a"))
    assert listener.heard[heard:] == [Withdrawn("n", "q")]


async def test_a_host_that_renews_its_lease_soon_after_an_outage_is_never_withdrawn(watched, listen) -> None:
    await watched.begin("a")
    front = FaultyStore(watched.store)
    plane = WatchReach(front, "b", grace_s=3600, retry=lambda: Retry(lambda low, high: 0.0))
    owner = watched.plane("a")
    await owner.announce(endpoint("p", "a"))
    listener = listen(plane, "n")
    await listener.until_known(endpoint("p", "a"))
    front.lose()
    await turns_until(lambda: plane.problem is not None)
    front.find()
    await turns_until(lambda: plane.problem is None)
    await watched.die("a")
    await watched.begin("a")
    await owner.announce(endpoint("q", "a"))
    await listener.until_known(endpoint("p", "a"), endpoint("q", "a"))
    assert not any(isinstance(event, Withdrawn) for event in listener.heard)


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"\xff\x00garbage",
        b"[]",
        b'{"schema":99}',
        codec.encode(endpoint("another", "a")),
        codec.encode(endpoint("bad", "b")),
        codec.encode(endpoint("bad", "a", network="m")),
    ],
)
async def test_a_record_that_cannot_be_understood_is_refused_and_nothing_else_is_lost(
    record: bytes, watched, listen
) -> None:
    await watched.begin("a")
    await watched.store.commit([], [Put(keys.reach("n", "bad", "a"), record)])
    await watched.store.commit([], [Put(keys.reach_prefix("n") + "not/a/record", b"{}")])
    await watched.store.commit([], [Put(keys.host("broken"), b"{")])
    owner = watched.plane("a")
    await owner.announce(endpoint("good", "a"))
    plane = watched.plane("c")
    listener = listen(plane, "n")
    await listener.until_known(endpoint("good", "a"))
    assert plane.refused == 3


async def test_announcing_what_stands_writes_nothing(watched) -> None:
    owner = watched.plane("a")
    await owner.announce(endpoint("p", "a"))
    before = (await watched.store.snapshot("")).revision
    await owner.announce(endpoint("p", "a"))
    assert (await watched.store.snapshot("")).revision == before


async def test_a_new_endpoint_takes_one_round_trip(watched) -> None:
    owner = watched.plane("a")
    await owner.announce(endpoint("p", "a"))
    asked = watched.fronts["a"]
    assert asked.asked == {
        ("commit", keys.reach("n", "p", "a")): 1,
        ("commit", keys.announced("a", "n", "p")): 1,
    }


async def test_large_endpoints_are_told_in_as_many_commits_as_it_takes(watched) -> None:
    owner = watched.plane("a")
    groups = tuple(f"239.1.{number // 250}.{number % 250}" for number in range(5000))
    large = [msgspec.structs.replace(endpoint(f"p{number}", "a"), multicast=groups) for number in range(30)]
    await owner.announce_many(large)
    assert await owner.own_records() == {(one.network, one.port): one for one in large}


async def test_a_restarted_agent_settles_what_stands_without_reading_other_hosts_records(watched) -> None:
    before = watched.plane("a")
    await before.announce_many(
        [endpoint(f"p{number}", "a", network=f"n{number % 7}") for number in range(300)]
    )
    await watched.plane("b").announce(endpoint("p1", "b", network="n1"))
    restarted = watched.plane("a")
    kept = [endpoint(f"p{number}", "a", network=f"n{number % 7}") for number in range(10)]
    changed = endpoint("p10", "a", network="n3", ip="10.0.0.77")
    new = endpoint("new", "a")
    await restarted.settle([*kept, changed, new])
    wanted = {(one.network, one.port): one for one in [*kept, changed, new]}
    assert await restarted.own_records() == wanted
    assert not any(key.endswith("/b") for _, key in watched.fronts["a"].asked)
    assert keys.reach("n1", "p1", "b") in (await watched.store.snapshot(keys.REACH)).items


async def test_an_unreadable_record_of_its_own_is_settled_too(watched) -> None:
    owner = watched.plane("a")
    await owner.announce(endpoint("p", "a"))
    await owner.announce(endpoint("q", "a"))
    await watched.store.commit([], [Put(keys.reach("n", port, "a"), b"{") for port in ("p", "q")])
    await owner.settle([endpoint("q", "a")])
    assert await owner.own_records() == {("n", "q"): endpoint("q", "a")}
    assert keys.reach("n", "p", "a") not in (await watched.store.snapshot(keys.REACH)).items


async def test_telling_without_a_store_says_so(watched) -> None:
    owner = watched.plane("a")
    watched.fronts["a"].lose()
    with pytest.raises(ReachUnavailable, match="can't be told to the store"):
        await owner.announce(endpoint("p", "a"))
    with pytest.raises(ReachUnavailable):
        await owner.withdraw(endpoint("p", "a"))
    with pytest.raises(ReachUnavailable):
        await owner.settle([])


async def test_listening_ends_with_an_error_when_the_store_is_closed(watched) -> None:
    await watched.begin("a")
    interest = Interest()
    interest.set(frozenset({"n"}))
    events = watched.plane("a").events(interest)
    assert await anext(events) == InSync("n")
    ending = asyncio.ensure_future(anext(events))
    await several_turns()
    await watched.store.close()
    with pytest.raises(ReachUnavailable, match="closed"):
        await ending
    await events.aclose()


async def test_leaving_the_events_leaves_no_task_behind(watched) -> None:
    await watched.begin("a")
    interest = Interest()
    interest.set(frozenset(f"n{number}" for number in range(100)))
    before = len(asyncio.all_tasks())
    async with aclosing(watched.plane("a").events(interest)) as events:
        await anext(events)
        assert len(asyncio.all_tasks()) > before
    assert len(asyncio.all_tasks()) == before
