"""A restart of an agent: the view is where it was, store or no store; only what differs moves."""

from plait.agent.reach import ReachFeed
from plait.model.entities import Network
from plait.model.facets import Attachment, Change, Key, Number
from plait.model.policy import Action, AddressEntry, Group, Rule
from plait.model.routers import Router, StaticRoute
from plait.reach.watch import WatchReach
from plait.store.memory import MemoryStore

from .feeds import port, running, until
from .known import Host, Recorded, entry, interface, joined, network, router, rule

WORLD: tuple[Recorded, ...] = (
    port("p", "n1", groups=("g", "h")),
    *(network(f"n{n}", vni=5000 + n) for n in range(1, 6)),
    router("r", StaticRoute("10.0.4.0/24", router="hub"), StaticRoute("10.0.5.0/24", ("10.0.2.9",))),
    interface("r", "n1", 1),
    interface("r", "n2", 2),
    router("hub", StaticRoute("10.0.4.0/24", router="far"), vni=9001),
    interface("hub", "n3", 3),
    *joined("r", "hub"),
    router("far", vni=9002),
    interface("far", "n4", 4),
    *joined("hub", "far"),
    router("next", vni=9003),
    interface("next", "n2", 2, last=9),
    interface("next", "n5", 5),
    Group(id="g", name="g"),
    Group(id="h", name="h"),
    rule("r1", "g", address_group="a", priority=5),
    rule("r2", "g", remote_group="h"),
    rule("r3", "h", remote_group="g", action=Action.DENY),
    entry("a", "192.0.2.0/24"),
    entry("a", "2001:db8::/32"),
)


async def lived() -> Host:
    """A host that knew all of it when it was killed."""
    host = Host()
    host.engine.change([Change(Attachment, "p", Attachment("p", 1))])
    await host.write(*WORLD)
    async with running(host.feed.run()):
        await host.settled()
        await until(lambda: len(host.known()) == len(WORLD))
    return host


async def test_the_gate_is_ready_when_everything_is_known_and_not_before() -> None:
    host = Host()
    await host.write(*WORLD)
    ready: list[int] = []
    host.engine.gate.on_ready(lambda: ready.append(len(host.known())))
    reach = ReachFeed(WatchReach(host.store, "h1"), host.engine, host.interest)
    async with running(host.feed.run(), reach.run()):
        await until(lambda: bool(ready))
        await until(lambda: len(host.known()) == len(WORLD))
    assert ready == [len(WORLD)]


async def test_a_restart_hears_all_again_without_a_change_of_anything() -> None:
    before = await lived()
    host = Host(before.memory, before.disk)
    assert host.known() == before.known()
    numbers = {each.id: each.number for each in host.view.all(Number)}
    assert len(numbers) == 4
    dirty: set[Key] = set()
    host.engine.on_dirty(dirty.update)
    async with running(host.feed.run()):
        # From the first moment everything is awaited that a fresh start finds on the way only.
        await until(lambda: bool(host.store.asked))
        awaited = {name for name in host.engine.gate.awaited if not name.startswith("reach")}
        assert len(awaited) == 2 + 5 + 4 + 2 + 1
        await host.settled()
        assert host.known() == before.known()
    assert not dirty - {Key("port", "p")}
    assert {each.id: each.number for each in host.view.all(Number)} == numbers


async def test_without_a_store_everything_stands_and_what_went_meanwhile_goes_when_it_is_back() -> None:
    before = await lived()
    host = Host(before.memory, before.disk)
    host.store.lose()
    async with running(host.feed.run()):
        await until(lambda: bool(host.away))
        assert host.known() == before.known()
        assert host.interest.networks == {f"n{n}" for n in range(1, 6)}
        await host.remove(*joined("hub", "far"), rule("r1", "g"), interface("next", "n2", 2, last=9))
        await host.write(port("p", "n1", groups=("g",)))
        host.store.find()
        await until(lambda: host.ids(Group) == {"g"})
        await host.settled()
    assert host.ids(Rule) == {"r2"}
    assert not host.ids(AddressEntry)
    assert host.ids(Router) == {"r", "hub"}
    assert host.ids(Network) == host.interest.networks == {"n1", "n2", "n3"}


async def test_nothing_stays_of_a_port_that_went_while_the_agent_was_away() -> None:
    before = await lived()
    await before.remove(port("p"))
    host = Host(before.memory, before.disk)
    async with running(host.feed.run()):
        await until(lambda: not host.known())
    host.engine.open_gate()
    assert not host.disk


async def test_what_a_killed_run_had_no_time_to_forget_is_forgotten_at_the_start() -> None:
    before = await lived()
    gone = {key: value for key, value in before.disk.items() if key.partition("/")[0] != "port"}
    host = Host(MemoryStore(), gone)
    assert host.known()
    async with running(host.feed.run()):
        await until(lambda: not host.known())
    host.engine.open_gate()
    assert not host.disk
