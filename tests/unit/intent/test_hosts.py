from plait.intent import Intent, InUse, NotFound, PortSpec, Taken
from plait.model.checks import Invalid
from plait.model.codec import encode
from plait.model.entities import Health, LiveHost
from plait.store import keys
from plait.store.api import Delete, Put
from plait.store.memory import MemoryStore


async def live(store: MemoryStore, name: str) -> None:
    health = encode(Health(host=name, components=(("switch flows", "ok"),)))
    record = encode(LiveHost(name=name, vtep="172.16.0.1"))
    await store.commit((), (Put(keys.host(name), record), Put(keys.health(name), health)))


async def test_a_host_is_known_before_and_after_it_lives(store: MemoryStore, intent: Intent) -> None:
    await intent.hosts.create("h1", labels={"rack": "a"})
    await live(store, "h2")
    found = await intent.hosts.list()
    assert [(each.host.name, each.alive) for each in found] == [("h1", False), ("h2", True)]
    assert found[1].health is not None
    assert found[1].health.ready
    assert (await intent.hosts.get("h1")).host.labels == {"rack": "a"}


async def test_a_known_host_is_not_made_twice(intent: Intent, refused) -> None:
    await intent.hosts.create("h1")
    await refused(intent.hosts.create("h1"), Taken, "host 'h1' is known already")
    await refused(intent.hosts.create("a b"), Invalid, "host 'a b' is not a name")


async def test_labels_can_be_set_and_removed(intent: Intent) -> None:
    await intent.hosts.create("h1", labels={"a": "1", "b": "2"})
    assert (await intent.hosts.set("h1", labels={"a": None, "c": "3"})).labels == {"b": "2", "c": "3"}


async def test_a_host_that_lives_or_has_ports_stays(store: MemoryStore, intent: Intent, refused) -> None:
    await intent.hosts.create("h1")
    await live(store, "h1")
    await refused(intent.hosts.delete("h1"), InUse, "host 'h1' is alive: stop its agent first")
    await store.commit((), (Delete(keys.host("h1")), Delete(keys.health("h1"))))
    await intent.networks.create("web")
    await intent.ports.create(PortSpec(network="web", host="h1", name="p"))
    await refused(intent.hosts.delete("h1"), InUse, "host 'h1' has 1 port")
    await intent.ports.delete("p")
    await intent.hosts.delete("h1")
    await refused(intent.hosts.get("h1"), NotFound, "host 'h1' is not known")


async def test_a_host_whose_agent_was_stopped_is_forgotten_at_once(
    store: MemoryStore, intent: Intent, refused
) -> None:
    await intent.hosts.create("h1")
    await live(store, "h1")
    await store.commit((), (Delete(keys.health("h1")),))
    assert (await intent.hosts.get("h1")).alive
    await intent.hosts.delete("h1")
    await refused(intent.hosts.get("h1"), NotFound, "host 'h1' is not known")


async def test_a_port_can_be_on_a_host_that_only_lives(store: MemoryStore, intent: Intent) -> None:
    await live(store, "h7")
    await intent.networks.create("web")
    assert (await intent.ports.create(PortSpec(network="web", host="h7"))).host == "h7"
