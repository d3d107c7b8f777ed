import pytest

from plait.intent import Full, Intent, InUse, NotFound, PortSpec, Taken
from plait.model.checks import Invalid
from plait.model.entities import Transport
from plait.model.numbers import Space
from plait.store.memory import MemoryStore


async def test_a_network_is_found_by_name_and_by_id(intent: Intent) -> None:
    made = await intent.networks.create("web", transport=Transport.GENEVE, mtu_bytes=1400)
    assert await intent.networks.get("web") == made
    assert await intent.networks.get(made.id) == made
    assert (made.vni, made.transport, made.mtu_bytes) == (4096, Transport.GENEVE, 1400)


async def test_a_network_comes_with_its_subnets_or_not_at_all(intent: Intent, refused) -> None:
    made = await intent.networks.create("web", subnets=["10.0.0.0/24", "fd00::/64"])
    assert [each.prefix for each in await intent.subnets.list(made.id)] == ["10.0.0.0/24", "fd00::/64"]
    await refused(
        intent.networks.create("b", subnets=["10.0.0.0/24", "10.0.0.0/16"]),
        Taken,
        "overlaps subnet 10.0.0.0/24",
    )
    await refused(intent.networks.create("b", subnets=["10.0.0.1/24"]), Invalid, "did you mean 10.0.0.0/24?")


async def test_names_are_one_projects(store: MemoryStore, intent: Intent, refused) -> None:
    mine = await intent.networks.create("web")
    other = Intent(store, project="other")
    theirs = await other.networks.create("web")
    assert (await intent.networks.list(), await other.networks.list()) == ([mine], [theirs])
    await refused(
        intent.networks.create("web"), Taken, "there is a network 'web' in project 'default' already"
    )
    await refused(intent.networks.get(theirs.id), NotFound, f"there is no network {theirs.id!r}")


async def test_vnis_are_given_in_order_and_given_again_once_freed(store: MemoryStore, refused) -> None:
    intent = Intent(store, vnis=Space(10, 12))
    made = [await intent.networks.create(name) for name in "abc"]
    assert [each.vni for each in made] == [10, 11, 12]
    await refused(intent.networks.create("d"), Full, "no VNI is free, all 3 from 10 to 12 are in use")
    await intent.networks.delete("b")
    assert (await intent.networks.create("d")).vni == 11


async def test_a_vni_that_was_asked_for_is_given_or_refused(intent: Intent, refused) -> None:
    made = await intent.networks.create("a", vni=4097)
    await refused(intent.networks.create("b", vni=4097), Taken, f"VNI 4097 is taken by network {made.id}")
    await refused(intent.networks.create("b", vni=0), Invalid, "VNI 0 is out of range")
    assert [(await intent.networks.create(name)).vni for name in "bc"] == [4096, 4098]


async def test_a_renamed_network_frees_its_name(intent: Intent, refused) -> None:
    made = await intent.networks.create("a")
    await intent.networks.create("b")
    await refused(intent.networks.set("a", name="b"), Taken, "there is a network 'b'")
    changed = await intent.networks.set("a", name="c", mtu_bytes=1300)
    assert (changed.id, changed.name, changed.mtu_bytes, changed.vni) == (made.id, "c", 1300, made.vni)
    assert (await intent.networks.set("c", mtu_bytes=None)).mtu_bytes is None
    await intent.networks.create("a")


@pytest.mark.parametrize("mtu_bytes", [0, 575, 65536])
async def test_an_mtu_out_of_range_is_refused(intent: Intent, refused, mtu_bytes: int) -> None:
    await refused(
        intent.networks.create("a", mtu_bytes=mtu_bytes), Invalid, f"MTU {mtu_bytes} is out of range"
    )
    await intent.networks.create("a")
    await refused(intent.networks.set("a", mtu_bytes=mtu_bytes), Invalid, f"MTU {mtu_bytes} is out of range")


async def test_a_network_in_use_stays(intent: Intent, refused) -> None:
    await intent.networks.create("web", subnets=["10.0.0.0/24"])
    await intent.ports.create(PortSpec(network="web", name="p1"))
    await refused(intent.networks.delete("web"), InUse, "network 'web' has 1 port (p1)")
    await intent.ports.delete("p1")
    await refused(intent.networks.delete("web"), InUse, "network 'web' has 1 subnet (10.0.0.0/24)")


async def test_a_network_goes_with_all_it_has_when_asked_to(store: MemoryStore, intent: Intent) -> None:
    await intent.networks.create("web", subnets=["10.0.0.0/24", "fd00::/64"])
    await intent.ports.create_many([PortSpec(network="web") for _ in range(50)])
    await intent.networks.delete("web", cascade=True)
    assert [key for key in (await store.snapshot("")).items if "cursor/vni" not in key] == []


async def test_deleting_what_is_not_there_says_so(intent: Intent, refused) -> None:
    await refused(intent.networks.delete("nope"), NotFound, "there is no network 'nope' in project 'default'")
