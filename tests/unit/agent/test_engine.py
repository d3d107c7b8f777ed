"""Changes in, flows out: at once where it is little, in portions where it is much, the same in the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from plait.agent.engine import PORTION, Engine
from plait.compile import compile_all
from plait.model.entities import Endpoint, LiveHost, Network, Port, Transport
from plait.model.facets import Attachment, Change, Key, Tunnels
from plait.model.policy import Direction, Group, Rule

MANY = 5 * PORTION
RED = Network(id="red", name="red", vni=5000)
OWN = Port(id="own", name="own", network="red", mac="02:ff:00:00:00:01", host="h1")


def endpoints(host: str = "h2", count: int = MANY) -> list[Change]:
    return [
        Change(
            Endpoint,
            f"p{number}",
            Endpoint(
                network="red",
                port=f"p{number}",
                mac=f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}",
                host=host,
                ips=(f"10.0.{number >> 8}.{number & 255}",),
            ),
        )
        for number in range(count)
    ]


def world(count: int = MANY) -> Engine:
    engine = Engine("h1")
    engine.change(
        [
            Change(Network, "red", RED),
            Change(Tunnels, "", Tunnels(((Transport.VXLAN, 100),))),
            Change(LiveHost, "h2", LiveHost(name="h2", vtep="172.16.0.2")),
            Change(Port, "own", OWN),
            Change(Attachment, "own", Attachment("own", 1)),
            *endpoints(count=count),
        ]
    )
    return engine


def is_current(engine: Engine) -> bool:
    fresh = compile_all(engine.view)
    return engine.compiler.flows == fresh.flows and engine.compiler.groups == fresh.groups


@asynccontextmanager
async def running(engine: Engine) -> AsyncIterator[None]:
    task = asyncio.create_task(engine.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until_compiled(engine: Engine) -> int:
    """How many turns others got meanwhile."""
    turns = 0
    async with asyncio.timeout(10):
        while engine.behind:
            await asyncio.sleep(0)
            turns += 1
    return turns


async def test_a_small_view_opens_the_gate_at_once_and_a_large_one_when_all_of_it_is_compiled() -> None:
    small = world(count=1)
    small.open_gate()
    assert small.gate.is_open
    large = world()
    large.open_gate()
    assert not large.gate.is_open
    async with running(large):
        await large.gate.opened()
        assert not large.behind
        assert is_current(large)


async def test_a_large_compile_leaves_turns_to_others() -> None:
    engine = world()
    engine.open_gate()
    async with running(engine):
        assert await until_compiled(engine) >= MANY // PORTION


async def test_what_changes_while_the_gate_opens_is_in_the_flows_then() -> None:
    engine = world()
    engine.open_gate()
    async with running(engine):
        await asyncio.sleep(0)
        engine.change([*endpoints("h3", 10), Change(Endpoint, "p20", None)])
        engine.change([Change(LiveHost, "h3", LiveHost(name="h3", vtep="172.16.0.3"))])
        engine.change([Change(Endpoint, f"p{MANY - 1}", None)])
        await engine.gate.opened()
        assert is_current(engine)


async def test_the_death_and_return_of_a_large_host_is_compiled_in_portions() -> None:
    engine = world()
    engine.open_gate()
    async with running(engine):
        await engine.gate.opened()
        flows = dict(engine.compiler.flows)
        engine.change([Change(LiveHost, "h2", None)])
        assert engine.behind
        assert engine.is_behind(Key("station", "p0"))
        engine.change([Change(LiveHost, "h2", LiveHost(name="h2", vtep="172.16.0.2"))])
        await until_compiled(engine)
        assert engine.compiler.flows == flows
        assert is_current(engine)


async def test_a_port_that_comes_while_thousands_are_compiled_does_not_wait_for_them() -> None:
    engine = world()
    engine.open_gate()
    async with running(engine):
        await engine.gate.opened()
        engine.change([Change(LiveHost, "h2", None)])
        assert engine.behind
        new = Port(id="new", name="new", network="red", mac="02:ff:00:00:00:02", host="h1")
        engine.change([Change(Port, "new", new), Change(Attachment, "new", Attachment("new", 2))])
        assert not engine.is_behind(Key("station", "new"))
        assert engine.compiler.made_by(Key("station", "new"))
        await until_compiled(engine)
        assert is_current(engine)


async def test_whoever_waits_for_flows_is_woken_when_the_last_portion_changed_nothing() -> None:
    engine = world()
    engine.open_gate()
    async with running(engine):
        await engine.gate.opened()
        engine.change([Change(LiveHost, "h2", None)])
        engine.change([Change(LiveHost, "h2", LiveHost(name="h2", vtep="172.16.0.2"))])
        engine.work.clear()
        await until_compiled(engine)
        assert engine.work.is_set()


async def test_ten_thousand_ports_that_come_and_go_leave_nothing_behind() -> None:
    engine = world(count=10)
    engine.open_gate()
    compiler = engine.compiler
    held = (engine.heard_at, compiler._made, compiler._reads, compiler._readers, compiler._rivals)
    before = [len(each) for each in held]
    for number in range(10_000):
        id = f"n{number}"
        port = Port(id=id, name=id, network="red", mac="02:ff:00:00:00:02", host="h1")
        engine.change([Change(Port, id, port), Change(Attachment, id, Attachment(id, 2))])
        while engine.switch.take(100):
            engine.switch.committed()
        engine.change([Change(Port, id, None), Change(Attachment, id, None)])
    while engine.switch.take(100):
        engine.switch.committed()
    assert [len(each) for each in held] == before
    assert engine.switch.pending == 0
    assert engine.view.count(Port) == 1
    assert is_current(engine)


async def test_a_port_comes_after_all_that_its_policy_consists_of() -> None:
    engine = world(0)
    engine.open_gate()
    rules = [
        Rule(
            id=f"r{number}",
            name=f"r{number}",
            group="g",
            direction=Direction.EGRESS,
            cidr=f"10.{number}.0.0/16",
        )
        for number in range(256)
    ]
    filtered = msgspec.structs.replace(OWN, id="filtered", name="filtered", groups=("g",))
    async with running(engine):
        engine.change(
            [
                Change(Port, "filtered", filtered),
                Change(Attachment, "filtered", Attachment("filtered", 2)),
                *endpoints(),
                Change(Group, "g", Group(id="g", name="g")),
                *(Change(Rule, rule.id, rule) for rule in rules),
            ]
        )
        while engine.behind:
            if engine.compiler.made_by(Key("station", "filtered")):
                assert all(engine.compiler.made_by(Key("rule", rule.id)) for rule in rules)
                assert engine.compiler.made_by(Key("policy", "g"))
            await asyncio.sleep(0)
    assert is_current(engine)
