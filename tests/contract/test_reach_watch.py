"""The plane "watch" alone: what follows from the store that carries it."""

import asyncio
from contextlib import aclosing

import msgspec
import pytest

from plait.lab.stores import FaultyStore
from plait.model import codec
from plait.reach.api import Announced, InSync, Interest, ReachUnavailable, Withdrawn
from plait.reach.watch import WatchReach
from plait.store import keys
from plait.store.api import Put
from plait.store.follow import Retry

from .reach_clusters import endpoint, several_turns, turns_until


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
