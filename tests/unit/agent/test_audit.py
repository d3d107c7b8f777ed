"""What `audit` compares with: a fresh compile of the view as it stands, however much of it there is."""

import asyncio

from plait.agent.engine import PORTION, Engine
from plait.agent.inspection import Inspection
from plait.compile import compile_all
from plait.model.entities import Endpoint, LiveHost, Network
from plait.model.facets import Change

RED = Network(id="red", name="red", vni=5000)


def world() -> Engine:
    engine = Engine("h1")
    engine.change([Change(Network, "red", RED)])
    engine.change([Change(LiveHost, "h2", LiveHost(name="h2", vtep="172.16.0.2"))])
    engine.change(endpoint(number) for number in range(3 * PORTION))
    return engine


def endpoint(number: int) -> Change:
    id, mac = f"p{number}", f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"
    return Change(Endpoint, id, Endpoint(network="red", port=id, mac=mac, host="h2"))


def inspection(engine: Engine) -> Inspection:
    """Only what an audit's compile needs."""
    inspecting = Inspection.__new__(Inspection)
    inspecting._engine = engine
    return inspecting


async def test_a_fresh_compile_leaves_turns_to_others() -> None:
    engine, turns = world(), 0
    compiling = asyncio.create_task(inspection(engine)._compiled_afresh())
    while not compiling.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns >= 3
    assert compiling.result().flows == compile_all(engine.view).flows


async def test_a_view_that_changes_meanwhile_is_compiled_as_it_stands_at_the_end() -> None:
    engine = world()
    compiling = asyncio.create_task(inspection(engine)._compiled_afresh())
    number = 10_000
    while not compiling.done():
        await asyncio.sleep(0)
        if not compiling.done():
            number += 1
            engine.change([endpoint(number), Change(Endpoint, f"p{number - 10_000}", None)])
    assert compiling.result().flows == compile_all(engine.view).flows
