"""What is told of ports: up when the switch confirmed, never twice, and nothing of ports that went."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec

from plait.agent.engine import Engine
from plait.agent.reporting import Reporting
from plait.lab.stores import FaultyStore
from plait.model import codec
from plait.model.entities import (
    AddressPair,
    Endpoint,
    LiveHost,
    Network,
    Port,
    PortState,
    PortStatus,
    Transport,
)
from plait.model.facets import Attachment, Change, Claim, Key, Tunnels
from plait.model.policy import Group
from plait.reach.watch import WatchReach
from plait.reconcile.switch import key_of
from plait.store import keys
from plait.store.api import Delete, Put
from plait.store.memory import MemoryStore

RED = Network(id="red", name="red", vni=5000)


class Plugs:
    """Says of ports what a test says."""

    def __init__(self) -> None:
        self.problems: dict[str, str] = {}

    def problem(self, port: Port) -> str | None:
        return self.problems.get(port.id)


class World:
    """One host's engine and reporting above a store; the switch does what a test says."""

    def __init__(self) -> None:
        self.memory = MemoryStore()
        self.store = FaultyStore(self.memory)
        self.plugs = Plugs()
        self.heard: set[str] = set()
        self.begin()

    def begin(self) -> None:
        """As after a start of the agent, with the switch connected."""
        self.engine = Engine("h1")
        reach = WatchReach(self.store, "h1")
        self.reporting = Reporting(self.engine, self.store, reach, self.plugs, self.heard.__contains__)
        self.reporting.speak(True)
        self.reporting.switch_ready(True)
        self.engine.change(
            [
                Change(Network, "red", RED),
                Change(LiveHost, "h1", LiveHost(name="h1", vtep="172.16.0.1")),
                Change(Tunnels, "", Tunnels(((Transport.VXLAN, 100),))),
            ]
        )

    def confirm(self) -> None:
        """The switch takes all that waits."""
        while self.engine.switch.take(100):
            self.engine.switch.committed()
        self.reporting.confirmed()

    async def bind(self, id: str, ofport: int | None = 1, **fields: object) -> Port:
        port = Port(id=id, name=id, network="red", mac="02:00:00:00:00:01", host="h1", **fields)  # type: ignore[arg-type]
        await self.memory.commit([], [Put(keys.bound("h1", id), codec.encode(port))])
        changes = [Change(Port, id, port)]
        if ofport is not None:
            changes.append(Change(Attachment, id, Attachment(id, ofport)))
        self.engine.change(changes)
        return port

    async def unbind(self, id: str) -> None:
        await self.memory.commit([], [Delete(keys.bound("h1", id))])
        self.engine.change([Change(Port, id, None), Change(Attachment, id, None)])

    async def status(self, id: str) -> PortStatus | None:
        item = (await self.memory.get([keys.status("h1", id)])).items.get(keys.status("h1", id))
        return None if item is None else codec.decode(PortStatus, item.value)

    async def endpoint(self, id: str) -> Endpoint | None:
        key = keys.reach("red", id, "h1")
        item = (await self.memory.get([key])).items.get(key)
        return None if item is None else codec.decode(Endpoint, item.value)

    async def until(self, id: str, state: PortState | None, *, is_announced: bool) -> PortStatus | None:
        async with asyncio.timeout(10):
            while True:
                status, endpoint = await self.status(id), await self.endpoint(id)
                if (status and status.state) == state and (endpoint is not None) == is_announced:
                    return status
                await asyncio.sleep(0)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.engine.open_gate()
        task = asyncio.create_task(self.reporting.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def turns(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0)


def held(reporting: Reporting) -> int:
    """How many things reporting remembers."""
    names = ("_told", "_announced", "_dirty", "_waiting", "_may_stand", "_telling")
    return sum(len(getattr(reporting, name)) for name in names)


async def test_a_port_is_up_and_announced_when_the_switch_has_confirmed_its_flows_and_not_before() -> None:
    world = World()
    async with world.running():
        await world.bind("p")
        await turns(lambda: "p" in world.reporting._waiting)
        assert await world.status("p") is None
        assert await world.endpoint("p") is None
        world.confirm()
        status = await world.until("p", PortState.UP, is_announced=True)
        assert status is not None
        assert status.took_ms is not None


async def test_a_port_in_a_group_is_not_up_before_the_group_was_heard() -> None:
    world = World()
    async with world.running():
        await world.bind("p", groups=("g",))
        await turns(lambda: "p" in world.reporting._waiting)
        world.confirm()
        await turns(lambda: "p" in world.reporting._waiting)
        assert await world.status("p") is None
        world.engine.change([Change(Group, "g", Group(id="g", name="g"))])
        world.confirm()
        await world.until("p", PortState.UP, is_announced=True)
        endpoint = await world.endpoint("p")
        assert endpoint is not None
        assert endpoint.groups == ("g",)


async def test_a_port_in_a_group_that_does_not_exist_says_so_until_it_does() -> None:
    world = World()
    world.heard.add("g")
    async with world.running():
        await world.bind("p", groups=("g",))
        world.confirm()
        status = await world.until("p", PortState.ERROR, is_announced=False)
        assert status is not None
        assert "group g does not exist" in status.reason
        world.engine.change([Change(Group, "g", Group(id="g", name="g"))])
        world.confirm()
        await world.until("p", PortState.UP, is_announced=True)


async def test_groups_and_claimed_addresses_are_announced_in_place_of_what_was_said_before() -> None:
    world = World()
    async with world.running():
        pairs = (AddressPair("10.0.0.9/32"), AddressPair("10.0.1.0/24"))
        port = await world.bind("p", address_pairs=pairs, sequence=4)
        world.confirm()
        await world.until("p", PortState.UP, is_announced=True)
        told = [await world.endpoint("p")]
        group = Change(Group, "g", Group(id="g", name="g"))
        claim = Change(Claim, "p", Claim("p", ("10.0.0.9",)))
        moved = Change(Port, "p", msgspec.structs.replace(port, groups=("g",)))
        for changes in ([claim], [group, moved]):
            world.engine.change(changes)
            world.confirm()
            async with asyncio.timeout(10):
                while (endpoint := await world.endpoint("p")) == told[-1]:  # noqa: ASYNC110 - a store has no event
                    await asyncio.sleep(0)
            told.append(endpoint)
        assert [(each.ips, each.groups, each.sequence) for each in told if each is not None] == [
            ((), (), 4),
            (("10.0.0.9",), (), 4),
            (("10.0.0.9",), ("g",), 4),
        ]


async def test_a_port_without_a_device_waits_for_its_interface_and_says_so() -> None:
    world = World()
    async with world.running():
        await world.bind("p", None)
        status = await world.until("p", PortState.DOWN, is_announced=False)
        assert status is not None
        assert "iface-id=p" in status.reason


async def test_a_device_that_cannot_be_used_is_an_error_with_its_reason() -> None:
    world = World()
    async with world.running():
        world.plugs.problems["p"] = "device eth7: no such device"
        await world.bind("p", None, device="eth7")
        status = await world.until("p", PortState.ERROR, is_announced=False)
        assert status is not None
        assert "eth7" in status.reason


async def test_flows_that_the_switch_refuses_are_an_error_of_the_port() -> None:
    world = World()
    async with world.running():
        await world.bind("p")
        of_port = world.engine.compiler.made_by(Key("station", "p"))
        mods = world.engine.switch.take(100)
        refused = next(index for index, mod in enumerate(mods) if key_of(mod) in of_port)
        world.engine.switch.refused({refused: "OFPBMC_BAD_FIELD"})
        world.confirm()
        status = await world.until("p", PortState.ERROR, is_announced=False)
        assert status is not None
        assert "OFPBMC_BAD_FIELD" in status.reason


async def test_a_port_that_goes_is_withdrawn_with_its_status_and_nothing_of_it_is_remembered() -> None:
    world = World()
    async with world.running():
        before = held(world.reporting)
        for number in range(30):
            await world.bind(f"p{number}")
            world.confirm()
            await world.until(f"p{number}", PortState.UP, is_announced=True)
            await world.unbind(f"p{number}")
            await world.until(f"p{number}", None, is_announced=False)
        world.confirm()
        await turns(lambda: held(world.reporting) == before)
        assert not world.engine.heard_at


async def test_a_port_that_goes_while_it_is_being_announced_leaves_nothing() -> None:
    world = World()
    commit, is_under_way, may_go_on = world.store.commit, asyncio.Event(), asyncio.Event()

    async def commit_slowly(*arguments: object) -> object:
        is_under_way.set()
        await may_go_on.wait()
        return await commit(*arguments)  # type: ignore[arg-type]

    async with world.running():
        await turns(lambda: not world.reporting._is_memory_doubted)
        world.store.commit = commit_slowly  # type: ignore[method-assign, assignment]
        await world.bind("p")
        world.confirm()
        await is_under_way.wait()
        await world.unbind("p")
        may_go_on.set()
        await world.until("p", None, is_announced=True)
        await world.until("p", None, is_announced=False)
        world.confirm()
        await turns(lambda: held(world.reporting) == 0)


async def test_an_announcement_of_unknown_outcome_is_taken_back_when_the_port_goes() -> None:
    world = World()

    async def commit_and_fail(*arguments: object) -> object:
        await world.memory.commit(*arguments)  # type: ignore[arg-type]
        world.store.lose()
        return await world.store.get([])

    async with world.running():
        world.store.commit = commit_and_fail  # type: ignore[method-assign, assignment]
        await world.bind("p")
        world.confirm()
        await world.until("p", None, is_announced=True)
        await turns(lambda: "p" in world.reporting._may_stand and not world.reporting._telling)
        await world.unbind("p")
        del world.store.commit
        world.store.find()
        await world.until("p", None, is_announced=False)


async def test_after_a_restart_nothing_is_written_again_and_what_is_no_longer_true_is_taken_back() -> None:
    world = World()
    async with world.running():
        for id in ("p", "q"):
            await world.bind(id)
            world.confirm()
            await world.until(id, PortState.UP, is_announced=True)
    world.begin()
    await world.memory.commit([], [Delete(keys.bound("h1", "q"))])
    await world.bind("p")
    revision = (await world.memory.get([])).revision
    commits = world.store.count("commit")
    async with world.running():
        world.confirm()
        await world.until("q", None, is_announced=False)
        await turns(lambda: not world.reporting._dirty)
        assert world.reporting.told("p") is not None
        key = keys.status("h1", "p")
        assert (await world.memory.get([key])).items[key].revision < revision
        assert world.store.count("commit") > commits


async def test_a_status_that_cannot_be_read_is_written_anew_or_removed_with_its_port() -> None:
    world = World()
    nonsense = [Put(keys.status("h1", id), b"nonsense") for id in ("p", "gone")]
    await world.memory.commit([], nonsense)
    async with world.running():
        await world.bind("p")
        world.confirm()
        await turns(lambda: set(world.reporting._told) == {"p"} and not world.reporting._telling)
        await world.until("p", PortState.UP, is_announced=True)
        assert await world.status("gone") is None


async def test_what_a_store_lost_that_came_back_from_a_backup_is_told_again() -> None:
    world = World()
    async with world.running():
        await world.bind("p")
        world.confirm()
        await world.until("p", PortState.UP, is_announced=True)
        await world.memory.commit(
            [],
            [
                Delete(keys.status("h1", "p")),
                Delete(keys.reach("red", "p", "h1")),
                Delete(keys.announced("h1", "red", "p")),
            ],
        )
        world.reporting.assert_again()
        await world.until("p", PortState.UP, is_announced=True)


async def test_an_outage_is_waited_for_and_everything_told_then() -> None:
    world = World()
    world.store.lose()
    async with world.running():
        await world.bind("p")
        world.confirm()
        await turns(lambda: world.reporting._is_memory_doubted)
        world.store.find()
        await world.until("p", PortState.UP, is_announced=True)


async def test_an_agent_that_does_not_speak_for_its_host_tells_nothing_until_it_does() -> None:
    world = World()
    world.reporting.speak(False)
    async with world.running():
        await world.bind("p")
        world.confirm()
        for _ in range(50):
            await asyncio.sleep(0)
        assert not world.store.asked
        world.reporting.speak(True)
        await world.until("p", PortState.UP, is_announced=True)


async def test_a_status_that_is_told_again_later_keeps_the_time_that_the_port_took() -> None:
    world = World()
    async with world.running():
        await world.bind("p")
        world.confirm()
        first = await world.until("p", PortState.UP, is_announced=True)
        assert first is not None
        world.engine.change([Change(Network, "red", msgspec.structs.replace(RED, mtu_bytes=1300))])
        world.confirm()
        async with asyncio.timeout(10):
            while (status := await world.status("p")) is None or status.mtu_bytes != 1300:  # noqa: ASYNC110 - a store has no event
                await asyncio.sleep(0)
        assert status.took_ms == first.took_ms


async def test_a_status_is_not_left_behind_by_a_binding_that_went_in_the_meantime() -> None:
    world = World()
    async with world.running():
        await world.bind("p")
        await world.memory.commit([], [Delete(keys.bound("h1", "p"))])
        world.confirm()
        await world.until("p", None, is_announced=True)
        await turns(lambda: not world.reporting._telling and not world.reporting._dirty)
        assert await world.status("p") is None
        world.engine.change([Change(Port, "p", None)])
        await world.until("p", None, is_announced=False)
