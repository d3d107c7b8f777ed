import asyncio

import pytest

from plait.intent import Intent, InUse, NotFound, PortSpec, audit
from plait.intent.connections import Connection, Pair
from plait.model.checks import Invalid
from plait.model.policy import MAX_PRIORITY, Action, Direction
from plait.store import keys
from plait.store.memory import MemoryStore

Said = set[tuple[str, Direction, Action, int]]


@pytest.fixture
async def groups(intent: Intent) -> None:
    await intent.groups.create("web", isolated=True)
    await intent.groups.create("db", isolated=True)
    await intent.networks.create("n", subnets=["10.0.0.0/24"])
    await intent.hosts.create("h")
    for name in ("p", "q", "r"):
        await intent.ports.create(PortSpec(network="n", name=name, host="h"))


async def said(intent: Intent, group: str) -> Said:
    return {
        (rule.name, rule.direction, rule.action, rule.priority) for rule in await intent.rules.list(group)
    }


def let_in(other: str) -> Said:
    return {(f"connect:{other}", Direction.INGRESS, Action.ALLOW, 0)}


def cut_off(other: str) -> Said:
    return {
        (f"disconnect:{other}", Direction.INGRESS, Action.DENY, MAX_PRIORITY),
        (f"disconnect:{other}:out", Direction.EGRESS, Action.DENY, MAX_PRIORITY),
    }


async def test_two_groups_are_connected_cut_and_connected_again(
    intent: Intent, store: MemoryStore, groups
) -> None:
    nothing = (await store.snapshot("")).items
    await intent.connections.connect("web", "db")
    assert (await said(intent, "web"), await said(intent, "db")) == (let_in("db"), let_in("web"))
    assert await intent.connections.list() == [Connection("db", "web", Pair.CONNECT)]
    connected = await store.snapshot("")
    await intent.connections.connect("db", "web")
    assert (await store.snapshot("")).revision == connected.revision
    await intent.connections.disconnect("db", "web")
    assert (await store.snapshot("")).items == nothing
    await intent.connections.disconnect("web", "db")
    assert (await said(intent, "web"), await said(intent, "db")) == (cut_off("db"), cut_off("web"))
    assert await intent.connections.list() == [Connection("db", "web", Pair.DISCONNECT)]
    await intent.connections.disconnect("web", "db")
    assert await said(intent, "web") == cut_off("db")
    await intent.connections.connect("web", "db")
    assert (await said(intent, "web"), await said(intent, "db")) == (let_in("db"), let_in("web"))


async def test_an_end_that_lets_in_everybody_is_cut_off_by_a_denial(intent: Intent, groups) -> None:
    await intent.groups.set("web", ingress=Action.ALLOW)
    await intent.connections.connect("web", "db")
    await intent.connections.disconnect("web", "db")
    assert (await said(intent, "web"), await said(intent, "db")) == (cut_off("db"), cut_off("web"))


async def test_an_end_that_lets_nothing_out_is_let_out_to_the_other(intent: Intent, groups) -> None:
    await intent.groups.set("web", egress=Action.DENY)
    await intent.connections.connect("web", "db")
    assert await said(intent, "web") == let_in("db") | {("connect:db:out", Direction.EGRESS, Action.ALLOW, 0)}
    assert await said(intent, "db") == let_in("web")


async def test_the_members_of_one_group_can_be_cut_off_from_each_other(intent: Intent, groups) -> None:
    await intent.connections.disconnect("web", "web")
    assert await said(intent, "web") == cut_off("web")
    await intent.connections.connect("web", "web")
    assert await said(intent, "web") == let_in("web")


async def test_ports_take_part_by_groups_of_their_own_that_come_and_go(
    intent: Intent, store: MemoryStore, groups
) -> None:
    nothing = (await store.snapshot("")).items
    await intent.connections.disconnect("p", "q")
    p, q = await intent.ports.get("p"), await intent.ports.get("q")
    assert p.groups == (f"port-{p.id}",)
    assert {rule.name for rule in await intent.rules.of_port("p")} == {"disconnect:q", "disconnect:q:out"}
    assert [group.name for group in await intent.groups.list()] == ["db", "web"]
    await intent.connections.connect("p", "web")
    assert await intent.connections.list() == [
        Connection("p", "q", Pair.DISCONNECT),
        Connection("p", "web", Pair.CONNECT),
    ]
    assert await said(intent, "web") == let_in("p")
    await intent.connections.connect("q", "p")
    await intent.connections.disconnect("q", "p")
    assert (await intent.ports.get("q")).groups == (f"port-{q.id}",), "both let in everybody: a denial stays"
    await intent.ports.delete("p")
    assert await said(intent, "web") == set()
    assert (await intent.ports.get("q")).groups == ()
    gone = {key for key in nothing if p.id in key or nothing[key].value == p.id.encode()}
    assert {key: item.value for key, item in (await store.snapshot("")).items.items()} == {
        key: item.value for key, item in nothing.items() if key not in gone
    }


async def test_a_port_in_a_group_that_lets_nobody_in_is_as_before_after_it_was_connected(
    intent: Intent, store: MemoryStore, groups
) -> None:
    await intent.groups.set("web", egress=Action.DENY)
    await intent.members.add("web", ["p", "q"])
    before = {key: item.value for key, item in (await store.snapshot("")).items.items()}
    await intent.connections.connect("p", "db")
    assert {rule.name for rule in await intent.rules.of_port("p")} == {"connect:db", "connect:db:out"}
    await intent.connections.connect("p", "q")
    await intent.connections.disconnect("db", "p")
    assert (await intent.ports.get("p")).groups[-1].startswith("port-")
    await intent.connections.disconnect("q", "p")
    assert {key: item.value for key, item in (await store.snapshot("")).items.items()} == before


async def test_what_was_said_of_two_can_be_forgotten(intent: Intent, store, refused, groups) -> None:
    before = {key: item.value for key, item in (await store.snapshot("")).items.items()}
    await intent.connections.disconnect("p", "q")
    await intent.connections.disconnect("web", "db")
    await refused(intent.groups.delete("web"), InUse, "is in use by rule 'disconnect:web' of group 'db'")
    await refused(intent.rules.remove("web", "disconnect:db"), InUse, "a part of what was said of two")
    await intent.connections.forget("q", "p")
    await intent.connections.forget("db", "web")
    await intent.connections.forget("db", "r")
    assert {key: item.value for key, item in (await store.snapshot("")).items.items()} == before
    await intent.groups.delete("web")


async def test_a_port_with_many_pairs_goes_with_all_of_them(intent: Intent, store, groups) -> None:
    for number in range(40):
        await intent.ports.create(PortSpec(network="n", name=f"x{number}"))
        await intent.connections.disconnect("p", f"x{number}")
    await intent.ports.delete("p")
    assert await intent.connections.list() == []
    assert [key for key in (await store.snapshot(keys.GROUPS)).items if "/port-" in key] == []


async def test_a_name_of_both_a_group_and_a_port_is_asked_about(intent: Intent, refused, groups) -> None:
    await intent.ports.create(PortSpec(network="n", name="web"))
    await refused(
        intent.connections.connect("web", "db"),
        Invalid,
        "'web' is a group and a port: write group:web or port:web",
    )
    await intent.connections.connect("group:web", "db")
    await intent.connections.connect("port:web", "db")
    port = await intent.ports.get("web")
    assert {name for name, *_ in await said(intent, "db")} == {"connect:web", f"connect:port-{port.id}"}
    await refused(intent.connections.connect("p", "p"), Invalid, "p and p are the same port")
    await refused(intent.connections.connect("p", "nope"), NotFound, "there is no group and no port 'nope'")
    await intent.connections.disconnect("port:web", "db")
    await intent.ports.delete("web")


async def test_a_port_without_security_takes_no_part(intent: Intent, refused, groups) -> None:
    await intent.ports.set("p", security=False)
    await refused(intent.connections.connect("p", "q"), Invalid, "port 'p' has no port security")
    await intent.connections.connect("q", "r")
    await refused(intent.ports.set("q", security=False), Invalid, "port 'q' has no port security")


@pytest.mark.parametrize("seed", range(40))
async def test_whoever_meets_whom_no_pair_is_half_made(interleaving, seed: int) -> None:
    store = interleaving(seed)
    first, second = Intent(store), Intent(store)
    await first.groups.create("web", isolated=True)
    await first.networks.create("n", subnets=["10.0.0.0/24"])
    for name in ("p", "q", "r"):
        await first.ports.create(PortSpec(network="n", name=name))
    await asyncio.gather(
        first.connections.connect("p", "web"),
        second.connections.disconnect("q", "p"),
        Intent(store).connections.connect("p", "r"),
        Intent(store).ports.set("p", name="other"),
        return_exceptions=True,
    )
    assert await audit(store) == []
    await asyncio.gather(
        first.connections.disconnect("r", "web"),
        second.ports.delete("r"),
        Intent(store).groups.delete("web"),
        return_exceptions=True,
    )
    assert await audit(store) == []
    ports = await first.ports.list()
    await asyncio.gather(*(Intent(store).ports.delete(port.id) for port in ports), return_exceptions=True)
    assert await audit(store) == []
    assert [key for key in (await store.snapshot(keys.GROUPS)).items if "/port-" in key] == []
