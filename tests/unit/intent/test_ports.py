import asyncio

import pytest

from plait.intent import Full, Intent, IntentError, NotFound, PortSpec, Taken
from plait.intent.records import of_port
from plait.model.checks import Invalid
from plait.model.codec import decode, encode
from plait.model.entities import Endpoint, Port, PortState, PortStatus
from plait.store import keys
from plait.store.api import Delete, Put
from plait.store.memory import MemoryStore


@pytest.fixture(autouse=True)
async def cluster(intent: Intent) -> None:
    await intent.hosts.create("h1")
    await intent.hosts.create("h2")
    await intent.networks.create("web", subnets=["10.0.0.0/24", "fd00::/64"])


async def test_a_port_has_one_address_of_each_version_and_a_mac_of_its_own(intent: Intent) -> None:
    first = await intent.ports.create(PortSpec(network="web", name="a"))
    second = await intent.ports.create(PortSpec(network="web"))
    assert (first.ips, second.ips) == (("10.0.0.2", "fd00::2"), ("10.0.0.3", "fd00::3"))
    assert first.mac != second.mac
    assert await intent.ports.get("a") == await intent.ports.get(first.id) == first
    assert second.name == second.id


async def test_what_was_asked_for_is_what_one_gets(intent: Intent) -> None:
    port = await intent.ports.create(
        PortSpec(
            network="web",
            name="a",
            host="h1",
            device="veth1",
            addresses=("10.0.0.77", "FD00:0::77"),
            mac="02-00-00-00-00-AB",
            security=False,
            multicast=("ff05:0::5",),
        )
    )
    assert port.ips == ("10.0.0.77", "fd00::77")
    assert (port.mac, port.host, port.device, port.security) == ("02:00:00:00:00:ab", "h1", "veth1", False)
    assert port.multicast == ("ff05::5",)


async def test_an_agent_finds_the_same_port_below_its_host(store: MemoryStore, intent: Intent) -> None:
    port = await intent.ports.create(PortSpec(network="web", host="h1"))
    found = await store.get([keys.port(port.network, port.id), keys.bound("h1", port.id)])
    assert [decode(Port, item.value) for item in found.items.values()] == [port, port]
    assert len({item.revision for item in found.items.values()}) == 1


async def test_what_is_asked_for_is_not_given_to_another_port_of_the_request(intent: Intent) -> None:
    v4 = "10.0.0.0/24"
    both = await intent.ports.create(PortSpec(network="web", addresses=("10.0.0.2",), subnets=(v4,)))
    assert both.ips == ("10.0.0.2", "10.0.0.3")
    specs = [PortSpec(network="web", subnets=(v4,)) for _ in range(40)]
    specs.append(PortSpec(network="web", addresses=("10.0.0.10", "10.0.0.4")))
    made = await intent.ports.create_many(specs)
    assert made[-1].ips == ("10.0.0.10", "10.0.0.4")
    assert len({port.ips[0] for port in made}) == 41


async def test_addresses_can_be_asked_for_by_subnet(intent: Intent) -> None:
    v6 = next(each for each in await intent.subnets.list("web") if each.version == 6)
    port = await intent.ports.create(PortSpec(network="web", subnets=(v6.id, "fd00::/64")))
    assert port.ips == ("fd00::2", "fd00::3")


async def test_a_network_without_subnets_gives_no_addresses(intent: Intent) -> None:
    await intent.networks.create("plain")
    assert (await intent.ports.create(PortSpec(network="plain"))).ips == ()


async def test_a_full_subnet_says_so_and_a_second_one_helps(intent: Intent, refused) -> None:
    await intent.networks.create("tiny", subnets=["10.0.0.0/29"])
    made = await intent.ports.create_many([PortSpec(network="tiny") for _ in range(5)])
    assert sorted(ip for port in made for ip in port.ips) == [f"10.0.0.{n}" for n in range(2, 7)]
    await refused(
        intent.ports.create(PortSpec(network="tiny")),
        Full,
        "subnet 10.0.0.0/29 is full: 5 of 5 addresses in use",
    )
    await intent.subnets.create("tiny", "10.0.1.0/29")
    assert (await intent.ports.create(PortSpec(network="tiny"))).ips == ("10.0.1.2",)


async def test_a_freed_address_is_given_again_once_the_others_are_gone(intent: Intent) -> None:
    await intent.networks.create("tiny", subnets=["10.0.0.0/29"])
    made = await intent.ports.create_many([PortSpec(network="tiny") for _ in range(5)])
    freed = next(port for port in made if port.ips == ("10.0.0.4",))
    await intent.ports.delete(freed.id)
    assert (await intent.ports.create(PortSpec(network="tiny"))).ips == ("10.0.0.4",)


async def test_the_search_steps_over_addresses_that_were_asked_for(intent: Intent) -> None:
    await intent.ports.create_many(
        [PortSpec(network="web", addresses=(f"10.0.0.{n}",)) for n in (*range(2, 100), 101)]
    )
    picked = [
        (await intent.ports.create(PortSpec(network="web", subnets=("10.0.0.0/24",)))).ips[0]
        for _ in range(154)
    ]
    assert set(picked) == {f"10.0.0.{n}" for n in (100, *range(102, 255))}


@pytest.mark.parametrize(
    ("spec", "error", "text"),
    [
        ({"network": "nope"}, NotFound, "there is no network 'nope' in project 'default'"),
        ({"name": "taken"}, Taken, "port name 'taken' is taken by port 'taken'"),
        ({"name": "a/b"}, Invalid, "port 'a/b' is not a name"),
        ({"addresses": ("10.0.0.2",)}, Taken, "address 10.0.0.2 is taken by port 'taken'"),
        (
            {"addresses": ("10.0.9.2",)},
            IntentError,
            "lies outside the subnets of network 'web' (10.0.0.0/24, fd00::/64)",
        ),
        ({"addresses": ("10.0.0.1",)}, Invalid, "address 10.0.0.1 is the gateway of 10.0.0.0/24"),
        ({"addresses": ("10.0.0.255",)}, Invalid, "network or broadcast address of 10.0.0.0/24"),
        ({"addresses": ("fd00::",)}, Invalid, "subnet-router anycast address of fd00::/64"),
        ({"addresses": ("x",)}, Invalid, "address 'x' is not an IPv4 or IPv6 address"),
        ({"addresses": ("fd00::5", "fd00:0::5")}, Invalid, "address fd00::5 is given twice"),
        ({"subnets": ("nope",)}, NotFound, "network 'web' has no subnet 'nope'"),
        ({"mac": "02:00:00:00:00:01"}, Taken, "MAC 02:00:00:00:00:01 is taken by port 'taken'"),
        ({"mac": "02:00"}, Invalid, "MAC '02:00' is not six bytes"),
        ({"mac": "01:00:5e:00:00:01"}, Invalid, "is a multicast address"),
        ({"host": "h9"}, NotFound, "host 'h9' is not known: known hosts are h1, h2"),
        ({"host": "h1", "device": "veth0"}, Taken, "device 'veth0' of host 'h1' is taken by port 'taken'"),
        ({"host": "h1", "device": "sixteen-letters-"}, Invalid, "is not a Linux interface name"),
        ({"multicast": ("10.0.0.1",)}, Invalid, "is not a multicast address"),
        (
            {"multicast": ("239.0.0.1",) * 65},
            Invalid,
            "65 multicast groups are too many for one port: 64 is the most",
        ),
        (
            {"subnets": ("10.0.0.0/24",) * 33},
            Invalid,
            "33 addresses are too many for one port: 32 is the most",
        ),
    ],
)
async def test_a_port_that_can_not_be_is_refused_and_nothing_written(
    intent: Intent, refused, spec, error, text
) -> None:
    await intent.ports.create(
        PortSpec(network="web", name="taken", mac="02:00:00:00:00:01", host="h1", device="veth0")
    )
    await refused(intent.ports.create(PortSpec(**{"network": "web", **spec})), error, text)


async def test_a_network_made_anew_under_the_same_name_is_the_one_that_counts(intent: Intent) -> None:
    await intent.ports.create(PortSpec(network="web"))
    await intent.networks.delete("web", cascade=True)
    again = await intent.networks.create("web", subnets=["10.7.0.0/24"])
    port = await intent.ports.create(PortSpec(network="web"))
    assert (port.network, port.ips) == (again.id, ("10.7.0.2",))
    await intent.subnets.create("web", "10.8.0.0/24")
    assert (await intent.ports.create(PortSpec(network="web", addresses=("10.8.0.9",)))).ips == ("10.8.0.9",)


async def test_many_ports_are_all_made_or_none(intent: Intent, refused) -> None:
    specs = [PortSpec(network="web", host="h1") for _ in range(100)]
    made = await intent.ports.create_many(specs)
    assert len({port.ips for port in made}) == 100
    await intent.ports.create(PortSpec(network="web", name="p60"))
    with pytest.raises(Taken, match="'p60'"):
        await intent.ports.create_many([PortSpec(network="web", name=f"p{n}") for n in range(100)])
    assert len(await intent.ports.list()) == 101
    twins = [PortSpec(network="web", addresses=("10.0.0.250",)) for _ in range(2)]
    await refused(intent.ports.create_many(twins), Taken, "'10.0.0.250'")


async def test_ports_of_several_networks_and_hosts_come_back_in_order(intent: Intent) -> None:
    await intent.networks.create("db", subnets=["10.0.0.0/24"])
    specs = [
        PortSpec(network=("web", "db")[n % 2], host=("h1", "h2", None)[n % 3], name=f"n{n}")
        for n in range(60)
    ]
    made = await intent.ports.create_many(specs)
    assert [(port.name, port.host) for port in made] == [(spec.name, spec.host) for spec in specs]
    assert len(await intent.ports.list(network="db")) == 30
    assert len(await intent.ports.list(host="h2")) == 20
    assert len(await intent.ports.list(network="db", host="h2")) == 10


async def test_a_move_raises_the_sequence_and_takes_everything_along(
    store: MemoryStore, intent: Intent
) -> None:
    port = await intent.ports.create(PortSpec(network="web", name="a", host="h1", device="veth0"))
    status = PortStatus(port=port.id, host="h1", state=PortState.UP)
    await store.commit((), (Put(keys.status("h1", port.id), encode(status)),))
    moved = await intent.ports.set("a", host="h2", device="veth9")
    assert (moved.sequence, moved.host, moved.id, moved.ips) == (1, "h2", port.id, port.ips)
    assert (await store.snapshot(keys.bound_prefix("h1"))).items == {}
    assert list((await store.snapshot(keys.bound_prefix("h2"))).items) == [keys.bound("h2", port.id)]
    assert (await store.snapshot(keys.STATUSES)).items == {}
    await intent.ports.create(PortSpec(network="web", host="h1", device="veth0"))
    assert (await intent.ports.set("a", host=None)).sequence == 2


async def test_a_port_can_change_its_name_addresses_and_groups(intent: Intent, refused) -> None:
    port = await intent.ports.create(PortSpec(network="web", name="a"))
    other = await intent.ports.create(PortSpec(network="web", name="b"))
    changed = await intent.ports.set(
        "a", name="c", addresses=("10.0.0.9",), multicast=("239.1.1.1",), security=False
    )
    assert (changed.name, changed.ips, changed.multicast, changed.security) == (
        "c",
        ("10.0.0.9",),
        ("239.1.1.1",),
        False,
    )
    assert (changed.sequence, changed.mac) == (port.sequence, port.mac)
    await refused(intent.ports.set("c", name="b"), Taken, "port name 'b' is taken")
    await refused(
        intent.ports.set("c", addresses=(other.ips[0],)),
        Taken,
        f"address {other.ips[0]} is taken by port 'b'",
    )
    await refused(intent.ports.set("c", host="h9"), NotFound, "host 'h9' is not known")
    assert (await intent.ports.create(PortSpec(network="web", addresses=(port.ips[0],)))).ips == port.ips[:1]


async def test_a_port_with_as_many_addresses_as_can_be_is_made_changed_and_deleted(intent: Intent) -> None:
    specs = [
        PortSpec(network="web", name=f"p{n}", host="h1", device=f"d{n}", subnets=("fd00::/64",) * 32)
        for n in range(3)
    ]
    made = await intent.ports.create_many(specs)
    assert len({ip for port in made for ip in port.ips}) == 96
    others = tuple(f"10.0.0.{n}" for n in range(100, 132))
    assert (await intent.ports.set("p0", addresses=others, host="h2", device="d9", name="q")).ips == others
    await intent.ports.delete_all(made)
    assert await intent.ports.list() == []


async def test_a_field_of_a_newer_version_survives_a_change(store: MemoryStore, intent: Intent) -> None:
    port = await intent.ports.create(PortSpec(network="web", name="a", host="h1"))
    newer = port.__class__(
        **{**{f: getattr(port, f) for f in port.__struct_fields__}, "extra": (("qos", "7"),)}
    )
    await store.commit((), tuple(Put(key, value) for key, value in of_port(newer).items()))
    assert b'"qos":7' in encode(await intent.ports.set("a", host="h2"))


async def test_deleting_a_port_frees_all_that_it_had(store: MemoryStore, intent: Intent) -> None:
    before = {key for key in (await store.snapshot("")).items if "/cursor/" not in key}
    port = await intent.ports.create(PortSpec(network="web", name="a", host="h1", device="veth0"))
    said = Endpoint(network=port.network, port=port.id, mac=port.mac, host="h1")
    left = Endpoint(network=port.network, port=port.id, mac=port.mac, host="h2")
    await store.commit(
        (),
        (
            Put(keys.status("h1", port.id), encode(PortStatus(port=port.id, host="h1", state=PortState.UP))),
            Put(keys.reach(port.network, port.id, "h1"), encode(said)),
            Put(keys.reach(port.network, port.id, "h2"), encode(left)),
        ),
    )
    await intent.ports.delete("a")
    assert {key for key in (await store.snapshot("")).items if "/cursor/" not in key} == before
    with pytest.raises(NotFound, match="there is no port 'a'"):
        await intent.ports.delete("a")


async def test_a_port_of_another_project_is_not_there(store: MemoryStore, intent: Intent) -> None:
    port = await intent.ports.create(PortSpec(network="web", name="a"))
    other = Intent(store, project="other")
    with pytest.raises(NotFound):
        await other.ports.get(port.id)
    with pytest.raises(NotFound):
        await other.ports.create(PortSpec(network=port.network))
    assert await other.ports.list() == []


async def test_many_ports_of_many_networks_and_hosts_share_commits(
    store: MemoryStore, intent: Intent
) -> None:
    await intent.networks.create("db", subnets=["10.0.0.0/24"])
    specs = [PortSpec(network=("web", "db")[n % 2], host=f"h{1 + n // 2 % 2}") for n in range(40)]
    before = (await store.snapshot("")).revision
    made = await intent.ports.create_many(specs)
    assert (await store.snapshot("")).revision - before <= 5
    assert [port.host for port in made] == [spec.host for spec in specs]
    assert len({(port.network, port.ips) for port in made}) == 40


async def test_a_host_that_goes_while_many_ports_are_made_on_it_is_not_taken_for_known(interleaving) -> None:
    store = interleaving(7)
    intent = Intent(store)
    await intent.hosts.create("h1")
    await intent.networks.create("web", subnets=["10.0.0.0/24"])
    forgetting: list[asyncio.Future[object]] = []

    def forget(count: int) -> None:
        if not forgetting:
            forgetting.append(asyncio.ensure_future(store.below.commit([], [Delete(keys.inventory("h1"))])))

    specs = [PortSpec(network="web", host="h1") for _ in range(200)]
    with pytest.raises(NotFound, match="host 'h1' is not known"):
        await intent.ports.create_many(specs, on_progress=forget)
    assert forgetting
    assert await intent.ports.list() == []
