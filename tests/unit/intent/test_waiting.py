import asyncio

import pytest

from plait.intent import Intent, NotUp, PortSpec
from plait.model.codec import encode
from plait.model.entities import LiveHost, Port, PortState, PortStatus
from plait.store import keys
from plait.store.api import Put
from plait.store.memory import MemoryStore


@pytest.fixture
async def port(intent: Intent) -> Port:
    await intent.hosts.create("h1")
    await intent.networks.create("web")
    return await intent.ports.create(PortSpec(network="web", name="a", host="h1", device="veth0"))


async def say(
    store: MemoryStore, port: Port, state: PortState, *, sequence: int = 0, reason: str = ""
) -> None:
    assert port.host is not None
    status = PortStatus(port=port.id, host=port.host, state=state, sequence=sequence, reason=reason)
    await store.commit((), (Put(keys.status(port.host, port.id), encode(status)),))


async def test_a_port_that_is_up_already_is_not_waited_for(
    store: MemoryStore, intent: Intent, port: Port
) -> None:
    await say(store, port, PortState.UP)
    assert (await intent.ports.wait_up(port, timeout_s=5)).state is PortState.UP


async def test_an_old_word_down_and_silence_are_waited_through(
    store: MemoryStore, intent: Intent, port: Port
) -> None:
    moved = await intent.ports.set("a", host=None)
    moved = await intent.ports.set("a", host="h1")
    assert moved.sequence == 2
    await say(store, moved, PortState.UP, sequence=0)
    waiting = asyncio.create_task(intent.ports.wait_up(moved, timeout_s=5))
    await asyncio.sleep(0)
    await say(store, moved, PortState.DOWN, sequence=2)
    await say(store, moved, PortState.UP, sequence=2)
    assert (await waiting).sequence == 2


async def test_an_error_is_raised_with_the_agents_reason(
    store: MemoryStore, intent: Intent, port: Port
) -> None:
    await say(store, port, PortState.ERROR, reason="there is no device veth0")
    with pytest.raises(NotUp, match="port 'a' on host 'h1' is in error: there is no device veth0"):
        await intent.ports.wait_up(port, timeout_s=5)


async def test_a_timeout_says_what_is_missing(store: MemoryStore, intent: Intent, port: Port) -> None:
    with pytest.raises(NotUp, match="port 'a' is not up after 0 s: host 'h1' is not alive"):
        await intent.ports.wait_up(port, timeout_s=0)
    await store.commit((), (Put(keys.host("h1"), encode(LiveHost(name="h1", vtep="172.16.0.1"))),))
    with pytest.raises(NotUp, match="is there a device 'veth0'"):
        await intent.ports.wait_up(port, timeout_s=0)
    await say(store, port, PortState.DOWN, reason="the switch is away")
    with pytest.raises(NotUp, match="the switch is away"):
        await intent.ports.wait_up(port, timeout_s=0)
    await intent.ports.set("a", device=None)
    await say(store, port, PortState.DOWN)
    with pytest.raises(NotUp, match=f"iface-id={port.id}"):
        await intent.ports.wait_up(await intent.ports.get("a"), timeout_s=0)
    await intent.ports.set("a", host=None)
    with pytest.raises(NotUp, match="moved to host None"):
        await intent.ports.wait_up(port, timeout_s=0)
    await intent.ports.delete("a")
    with pytest.raises(NotUp, match="deleted meanwhile"):
        await intent.ports.wait_up(port, timeout_s=0)


async def test_a_port_on_no_host_is_not_waited_for(intent: Intent) -> None:
    await intent.networks.create("web")
    port = await intent.ports.create(PortSpec(network="web", name="a"))
    with pytest.raises(NotUp, match="port 'a' is on no host"):
        await intent.ports.wait_up(port, timeout_s=5)


async def test_many_ports_on_several_hosts_are_waited_for_together(
    store: MemoryStore, intent: Intent
) -> None:
    await intent.hosts.create("h1")
    await intent.hosts.create("h2")
    await intent.networks.create("web")
    ports = await intent.ports.create_many([PortSpec(network="web", host=f"h{1 + n % 2}") for n in range(40)])
    seen: list[int] = []
    waiting = asyncio.create_task(intent.ports.wait_all_up(ports, timeout_s=5, on_progress=seen.append))
    for port in reversed(ports):
        await say(store, port, PortState.UP)
    assert [status.port for status in await waiting] == [port.id for port in ports]
    assert seen == list(range(1, 41))
