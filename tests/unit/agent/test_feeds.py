"""What enters the engine: from the store, from a plane, from disk; and when the view counts as complete."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from plait.agent.engine import Engine
from plait.agent.gate import Gate
from plait.agent.intent import HOSTS, IntentFeed
from plait.agent.lastview import from_disk, to_disk
from plait.agent.reach import ReachFeed
from plait.lab.stores import FaultyStore
from plait.model import codec
from plait.model.entities import Endpoint, LiveHost, Network, Port
from plait.model.facets import Attachment, Change, Key, Number, Tunnels
from plait.reach.api import Announced, InSync, Interest, Left, ReachEvent, ReachUnavailable, Withdrawn
from plait.store import keys
from plait.store.api import Delete, Put
from plait.store.memory import MemoryStore

from .feeds import port, running, until

RED = Network(id="red", name="red", vni=5000)


def endpoint(id: str, network: str = "red", host: str = "h2") -> Endpoint:
    return Endpoint(network=network, port=id, mac="02:00:00:00:00:02", host=host)


class Plane:
    """A reach plane whose events a test hands in."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[ReachEvent | ReachUnavailable] = asyncio.Queue()

    async def announce(self, endpoint: Endpoint) -> None: ...

    async def withdraw(self, endpoint: Endpoint) -> None: ...

    async def events(self, interest: Interest) -> AsyncGenerator[ReachEvent, None]:
        while True:
            event = await self.said.get()
            if isinstance(event, ReachUnavailable):
                raise event
            yield event

    def say(self, *events: ReachEvent | ReachUnavailable) -> None:
        for event in events:
            self.said.put_nowait(event)


def interested_in(*networks: str) -> Interest:
    interest = Interest()
    interest.set(frozenset(networks))
    return interest


async def test_intent_follows_the_own_ports_and_their_networks_and_nothing_else() -> None:
    store, engine, interest = MemoryStore(), Engine("h1"), Interest()
    await store.commit(
        [],
        [
            Put(keys.network("red"), codec.encode(RED)),
            Put(keys.network("blue"), codec.encode(Network(id="blue", name="blue", vni=5001))),
            Put(keys.bound("h1", "p"), codec.encode(port("p"))),
            Put(keys.bound("h2", "q"), codec.encode(port("q", "blue"))),
        ],
    )
    async with running(IntentFeed(store, engine, interest, lambda reason: None).run()):
        await until(lambda: engine.view.get(Network, "red") is not None)
        assert engine.view.get(Network, "blue") is None
        assert interest.networks == {"red"}
        await store.commit([], [Delete(keys.bound("h1", "p"))])
        await until(lambda: engine.view.get(Network, "red") is None)
        assert interest.networks == frozenset()


async def test_hosts_whose_leases_ran_out_during_an_outage_are_kept_for_those_who_come_back() -> None:
    memory, engine = MemoryStore(), Engine("h1")
    store = FaultyStore(memory)
    host = LiveHost(name="h2", vtep="172.16.0.2")
    reasons: list[str] = []
    engine.change([Change(LiveHost, "h2", host)])
    store.lose()
    async with running(IntentFeed(store, engine, Interest(), reasons.append, grace_s=3600).run()):
        await until(lambda: bool(reasons))
        store.find()
        await until(lambda: HOSTS not in engine.gate.awaited)
        assert engine.view.get(LiveHost, "h2") == host
        await memory.commit([], [Put(keys.host("h2"), codec.encode(host))])
        await memory.commit([], [Put(keys.host("h3"), codec.encode(LiveHost(name="h3", vtep="172.16.0.3")))])
        await until(lambda: engine.view.get(LiveHost, "h3") is not None)
        assert engine.view.get(LiveHost, "h2") == host


async def test_a_record_that_cannot_be_read_leaves_what_stood_before() -> None:
    store, engine = MemoryStore(), Engine("h1")
    key = keys.bound("h1", "p")
    await store.commit([], [Put(key, codec.encode(port("p")))])
    feed = IntentFeed(store, engine, Interest(), lambda reason: None)
    async with running(feed.run()):
        await until(lambda: engine.view.get(Port, "p") is not None)
        await store.commit([], [Put(key, b'{"schema":99}')])
        await until(lambda: bool(feed.refused))
        assert engine.view.get(Port, "p") == port("p")
        assert "schema 99" in feed.refused["port p"]
        await store.commit([], [Put(key, codec.encode(port("p", security=False)))])
        await until(lambda: not feed.refused)


async def test_what_a_plane_does_not_mention_until_it_is_in_sync_is_gone_and_not_before() -> None:
    engine, plane = Engine("h1"), Plane()
    engine.change([Change(Endpoint, "old", endpoint("old"))])
    async with running(ReachFeed(plane, engine, interested_in("red")).run()):
        plane.say(Announced(endpoint("new")))
        await until(plane.said.empty)
        assert engine.view.get(Endpoint, "old") is not None
        plane.say(InSync("red"))
        await until(lambda: engine.view.get(Endpoint, "old") is None)
        assert engine.view.get(Endpoint, "new") is not None
        plane.say(Withdrawn("red", "new"))
        await until(lambda: engine.view.get(Endpoint, "new") is None)


async def test_a_lost_plane_takes_nothing_back() -> None:
    engine, plane = Engine("h1"), Plane()
    async with running(ReachFeed(plane, engine, interested_in("red")).run()):
        plane.say(Announced(endpoint("a")), InSync("red"), ReachUnavailable("gone"), InSync("blue"))
        await until(plane.said.empty)
        assert engine.view.get(Endpoint, "a") is not None


async def test_a_network_that_the_plane_left_is_forgotten_and_told_again_when_it_comes_back() -> None:
    engine, plane, interest = Engine("h1"), Plane(), interested_in("red", "blue")
    async with running(ReachFeed(plane, engine, interest).run()):
        plane.say(Announced(endpoint("a")), Announced(endpoint("x", "blue")), InSync("red"), InSync("blue"))
        await until(lambda: engine.view.get(Endpoint, "x") is not None)
        plane.say(Left("red"))
        await until(lambda: engine.view.get(Endpoint, "a") is None)
        assert engine.view.get(Endpoint, "x") is not None
        plane.say(Announced(endpoint("b")), InSync("red"), Announced(endpoint("c")))
        await until(lambda: engine.view.get(Endpoint, "c") is not None)
        assert engine.view.get(Endpoint, "b") is not None


async def test_interest_that_left_and_came_back_before_the_plane_looked_loses_nothing() -> None:
    engine, plane, interest = Engine("h1"), Plane(), interested_in("red")
    async with running(ReachFeed(plane, engine, interest).run()):
        plane.say(InSync("red"))
        await until(plane.said.empty)
        interest.set(frozenset())
        plane.say(Announced(endpoint("a")))
        await until(lambda: engine.view.get(Endpoint, "a") is not None)
        interest.set(frozenset({"red"}))
        plane.say(Announced(endpoint("b")))
        await until(lambda: engine.view.get(Endpoint, "b") is not None)


async def test_what_one_network_says_while_another_is_left_is_not_lost() -> None:
    engine, plane, interest = Engine("h1"), Plane(), interested_in("red", "blue")
    async with running(ReachFeed(plane, engine, interest).run()):
        interest.set(frozenset({"red"}))
        plane.say(Announced(endpoint("a")), Announced(endpoint("x", "blue")), Left("blue"), InSync("red"))
        await until(plane.said.empty)
        await until(lambda: engine.view.get(Endpoint, "a") is not None)
        assert engine.view.get(Endpoint, "x") is None


async def test_what_a_killed_run_had_no_time_to_forget_is_forgotten_at_the_start() -> None:
    engine, interest = Engine("h1"), Interest()
    engine.change([Change(Network, "red", RED), Change(Endpoint, "a", endpoint("a"))])
    intent = IntentFeed(MemoryStore(), engine, interest, lambda reason: None)
    async with running(intent.run(), ReachFeed(Plane(), engine, interest).run()):
        await until(lambda: not engine.view.count(Network) and not engine.view.count(Endpoint))


async def test_this_host_lives_as_far_as_it_knows() -> None:
    store, engine = MemoryStore(), Engine("h1")
    hosts = {name: LiveHost(name=name, vtep=f"172.16.0.{n}") for n, name in enumerate(("h1", "h2"), 1)}
    await store.commit([], [Put(keys.host(name), codec.encode(host)) for name, host in hosts.items()])
    async with running(IntentFeed(store, engine, Interest(), lambda reason: None).run()):
        await until(lambda: engine.view.count(LiveHost) == 2)
        await store.commit([], [Delete(keys.host(name)) for name in hosts])
        await until(lambda: engine.view.get(LiveHost, "h2") is None)
        assert engine.view.get(LiveHost, "h1") == hosts["h1"]


def test_the_gate_does_not_wait_for_a_source_that_told_all_unless_it_was_left_since() -> None:
    gate, ready = Gate(), []
    gate.on_ready(lambda: ready.append(True))
    gate.wait_for("ports", "red")
    gate.told("red")
    gate.wait_for("red")
    assert gate.awaited == {"ports"}
    gate.left("red")
    gate.wait_for("red", "blue")
    assert gate.awaited == {"ports", "red", "blue"}
    gate.told("ports", "red")
    assert not ready
    gate.left("blue")
    assert ready == [True]


def test_the_gate_opens_once_when_nothing_is_awaited_any_more() -> None:
    gate, ready = Gate(), []
    gate.on_ready(lambda: ready.append(True))
    gate.wait_for("ports", "hosts")
    gate.told("ports")
    gate.wait_for("network red")
    gate.told("hosts")
    assert not ready
    gate.told("network red")
    assert ready == [True]
    gate.open()
    gate.wait_for("network blue")
    gate.told("network blue")
    assert ready == [True]


def test_nothing_is_compiled_before_the_gate_opens_and_everything_at_once_then() -> None:
    engine = Engine("h1")
    engine.change(
        [
            Change(Network, "red", RED),
            Change(Port, "p", port("p")),
            Change(Attachment, "p", Attachment("p", 1)),
        ]
    )
    assert not engine.compiler.flows
    engine.open_gate()
    assert engine.compiler.made_by(Key("station", "p"))
    assert engine.switch.pending == len(engine.compiler.flows)


def test_a_multicast_group_gets_a_number_with_its_first_subscriber_and_gives_it_back_with_the_last() -> None:
    engine = Engine("h1")
    engine.open_gate()
    a, b = (port(id, multicast=("239.1.1.1", "239.1.1.2")[:n]) for id, n in (("a", 1), ("b", 2)))
    engine.change([Change(Network, "red", RED)])
    for each, number in ((a, 1), (b, 2)):
        engine.change([Change(Port, each.id, each), Change(Attachment, each.id, Attachment(each.id, number))])
    assert {n.owner: n.number for n in engine.view.all(Number)} == {
        "red/239.1.1.1": 1,
        "red/239.1.1.2": 2,
    }
    engine.change([Change(Port, "b", None)])
    assert {n.owner: n.number for n in engine.view.all(Number)} == {"red/239.1.1.1": 1}
    engine.change([Change(Port, "a", None)])
    assert not list(engine.view.all(Number))


def test_what_others_said_comes_back_from_disk_and_what_the_switch_said_does_not() -> None:
    changes = [
        Change(Port, "p", port("p", multicast=("239.1.1.1",))),
        Change(Endpoint, "q", endpoint("q")),
        Change(Network, "red", RED),
        Change(LiveHost, "h2", LiveHost(name="h2", vtep="172.16.0.2")),
        Change(Number, "multicast/red/239.1.1.1", Number("multicast", "red/239.1.1.1", 7)),
    ]
    of_the_switch = [Change(Attachment, "p", Attachment("p", 1)), Change(Tunnels, "", Tunnels())]
    records = {key: value for key, value in to_disk([*changes, *of_the_switch]) if value is not None}
    assert sorted(from_disk(records), key=str) == sorted(changes, key=str)


@pytest.mark.parametrize("record", [("port/p", b"{}"), ("group/x", b"7"), ("nonsense/x", b"{}"), ("", b"")])
def test_a_record_on_disk_that_cannot_be_read_is_left_out(record: tuple[str, bytes]) -> None:
    assert not list(from_disk(dict([record])))
