"""What a host comes to know by its ports: routers, networks, groups, address groups; and what it forgets."""

from collections.abc import Callable

import msgspec

from plait.agent.intent import reach_of
from plait.model.entities import Network, Port, Subnet
from plait.model.facets import Attachment, Change, Key
from plait.model.policy import Action, AddressEntry, Group, Rule
from plait.model.routers import Router, RouterInterface, StaticRoute
from plait.store import keys
from plait.store.api import Put

from .feeds import port, running, until
from .known import Host, entry, interface, joined, network, router, rule


async def test_a_port_brings_the_routers_of_its_network_and_all_that_they_join() -> None:
    host = Host()
    await host.write(
        port("p", "n1"), network("n1"), network("n2"), network("n3"), network("n9"),
        Subnet(id="s2", name="s2", network="n2", prefix="10.0.2.0/24"),
        router("r"), interface("r", "n1", 1), interface("r", "n2", 2),
        router("peer"), interface("peer", "n3", 3), *joined("r", "peer"),
        router("far"), interface("far", "n9", 9), *joined("far", "peer"),
    )  # fmt: skip
    async with running(host.feed.run()):
        await host.settled()
        assert host.ids(Router) == {"r", "peer"}
        assert host.ids(Network) == host.interest.networks == {"n1", "n2", "n3"}
        assert host.ids(Subnet) == {"s2"}
        assert host.engine.gate.awaited == {reach_of(n) for n in ("n1", "n2", "n3")}
        assert not {prefix for prefix in host.watched() if "far" in prefix or "n9" in prefix}
        await host.remove(port("p", "n1"))
        await until(lambda: not host.known())
        assert host.interest.networks == frozenset()


async def test_a_router_that_only_asks_to_be_joined_is_heard_but_joins_nothing() -> None:
    host = Host()
    asks, agrees = joined("r", "other")
    await host.write(
        port("p", "n1"), network("n1"), network("n2"), router("r"), interface("r", "n1", 1),
        router("other"), interface("other", "n2", 2), asks,
    )  # fmt: skip
    async with running(host.feed.run()):
        await host.settled()
        assert host.interest.networks == {"n1"}
        await host.write(agrees)
        await until(lambda: host.interest.networks == {"n1", "n2"})
        await until(lambda: host.ids(Network) == {"n1", "n2"})
        await host.remove(asks)
        await until(lambda: host.interest.networks == {"n1"})
        await until(lambda: host.ids(Router) == {"r"})


async def test_routers_are_followed_as_far_as_routes_lead_through_them() -> None:
    """r joins hub; only a route by way of hub brings what hub is joined to."""
    host = Host()
    await host.write(
        port("p", "n1"), *(network(f"n{n}") for n in (1, 2, 3)),
        router("r"), interface("r", "n1", 1), router("hub"), *joined("r", "hub"),
        router("a"), interface("a", "n2", 2), *joined("hub", "a"),
        router("b"), interface("b", "n3", 3), *joined("a", "b"),
    )  # fmt: skip
    async with running(host.feed.run()):
        await host.settled()
        assert host.ids(Router) == {"r", "hub"}
        await host.write(router("r", StaticRoute("10.0.2.0/24", router="hub")))
        await until(lambda: host.ids(Network) == {"n1", "n2"})
        assert host.ids(Router) == {"r", "hub", "a"}
        # What hub knows of other prefixes leads nobody on.
        hub = router("hub", StaticRoute("10.0.3.0/24", router="a"))
        await host.write(hub)
        await until(lambda: host.view.get(Router, "hub") == hub)
        await host.write(network("n1", vni=6000))
        await until(lambda: host.view.get(Network, "n1") == network("n1", vni=6000))
        assert host.ids(Router) == {"r", "hub", "a"}
        routes = StaticRoute("10.0.2.0/24", router="hub"), StaticRoute("10.0.0.0/16", router="hub")
        await host.write(router("r", *routes))
        await until(lambda: host.ids(Router) == {"r", "hub", "a", "b"})
        await until(lambda: host.interest.networks == {"n1", "n2", "n3"})


async def test_a_next_hop_that_is_a_router_brings_that_router() -> None:
    host = Host()
    await host.write(
        port("p", "n1"), *(network(f"n{n}") for n in (1, 2, 3)),
        router("r", StaticRoute("10.0.3.0/24", ("10.0.2.9",))),
        interface("r", "n1", 1), interface("r", "n2", 2),
        router("next"), interface("next", "n2", 2, last=9), interface("next", "n3", 3),
        router("beside"), interface("beside", "n2", 2, last=8), interface("beside", "n4", 4),
    )  # fmt: skip
    async with running(host.feed.run()):
        await host.settled()
        await until(lambda: host.ids(Network) == {"n1", "n2", "n3"})
        assert host.ids(Router) == {"r", "next"}
        assert not {prefix for prefix in host.watched() if "beside" in prefix or "n4" in prefix}
        await host.remove(interface("next", "n2", 2, last=9))
        await until(lambda: host.ids(Router) == {"r"} and host.ids(Network) == {"n1", "n2"})


async def test_a_router_that_is_removed_takes_its_networks_along() -> None:
    host = Host()
    of_router = [router("r"), interface("r", "n1", 1), interface("r", "n2", 2)]
    await host.write(port("p", "n1"), network("n1"), network("n2"), *of_router)
    async with running(host.feed.run()):
        await host.settled()
        assert host.ids(Network) == {"n1", "n2"}
        await host.remove(*of_router)
        await until(lambda: host.known() == {("Port", "p"), ("Network", "n1")})
        await host.write(*of_router)
        await until(lambda: host.ids(Network) == {"n1", "n2"} and host.ids(Router) == {"r"})


async def test_two_hundred_networks_take_few_readings_and_few_changes() -> None:
    host = Host()
    for n in range(200):
        await host.write(network(f"n{n}", vni=5000 + n), interface("r", f"n{n}", n))
    await host.write(router("r"))
    async with running(host.feed.run()):
        await host.settled()
        readings, changes = host.store.count("snapshots"), host.engine.changes
        await host.write(port("p", "n0"))
        await until(lambda: len(host.ids(Network)) == 200)
        # The network of the port; the router; the others.
        assert host.store.count("snapshots") == readings + 3
        assert host.engine.changes <= changes + 4
        assert len(host.ids(RouterInterface)) == 200


async def test_what_others_have_costs_a_host_nothing() -> None:
    host = Host()
    await host.write(
        port("p", "n1", groups=("g",)), network("n1"), router("r"), interface("r", "n1", 1),
        Group(id="g", name="g"), rule("r", "g", address_group="a"), entry("a", "192.0.2.0/24"),
    )  # fmt: skip
    async with running(host.feed.run()):
        await host.settled()
        assert host.watched() == {
            keys.bound_prefix("h1"), keys.HOSTS, keys.network_prefix("n1"), keys.router_prefix("r"),
            keys.group_prefix("g"), keys.address_entry_prefix("a"),
        }  # fmt: skip
        asked, changes = host.store.asked.copy(), host.engine.changes
        theirs = msgspec.structs.replace(port("q", "n2", groups=("h",)), host="h2")
        await host.write(
            theirs, network("n2"), router("s"), interface("s", "n2", 2), *joined("s", "t"),
            Group(id="h", name="h"), rule("r2", "h", address_group="b"), entry("b", "198.51.100.0/24"),
        )  # fmt: skip
        await host.write(entry("a", "203.0.113.0/24"))
        await until(lambda: len(host.ids(AddressEntry)) == 2)
        assert host.store.asked == asked
        assert host.engine.changes == changes + 1
        assert sum(host.store.told.values()) == 1


async def test_a_group_comes_with_rules_and_the_address_groups_that_they_name() -> None:
    host = Host()
    await host.write(
        port("p", groups=("g",)), network("red"), Group(id="g", name="g"), Group(id="other", name="other"),
        rule("r1", "g", address_group="a"), rule("r2", "g", remote_group="other"), rule("r3", "other"),
        entry("a", "192.0.2.0/24"), entry("a", "2001:db8::/32"), entry("b", "198.51.100.0/24"),
    )  # fmt: skip
    async with running(host.feed.run()):
        await host.settled()
        assert host.ids(Group) == {"g"}
        assert host.ids(Rule) == {"r1", "r2"}
        assert host.ids(AddressEntry) == {"a/192.0.2.0/24", "a/2001:db8::/32"}
        assert not {prefix for prefix in host.watched() if "other" in prefix or "addresses/b" in prefix}
        await host.remove(rule("r1", "g"))
        await until(lambda: not host.ids(AddressEntry))
        await host.write(port("p"))
        await until(lambda: not host.ids(Group) and not host.ids(Rule))
        assert host.ids(Network) == {"red"}


async def test_the_gate_does_not_wait_for_a_group_or_router_that_does_not_exist() -> None:
    host = Host()
    await host.write(
        port("p", groups=("gone",)),
        network("red"),
        interface("gone", "red", 1),
        rule("r", "gone", address_group="no"),
    )
    async with running(host.feed.run()):
        await host.settled()
        assert host.feed.is_group_heard("gone")
        assert host.engine.gate.awaited == {reach_of("red")}
        assert host.ids(Port) == {"p"}
        assert not host.feed.is_group_heard("never named")


def watched(host: Host, holds: Callable[[], bool]) -> list[set[Key]]:
    """The changes after which `holds` did not hold."""
    violations: list[set[Key]] = []
    host.engine.on_dirty(lambda dirty: None if holds() else violations.append(set(dirty)))
    return violations


async def test_a_rule_is_never_there_without_the_addresses_that_it_names() -> None:
    host = Host()
    ids = ("a/192.0.2.0/24", "b/198.51.100.0/24", "c/203.0.113.0/24")
    addresses = {each.partition("/")[0]: each for each in ids}

    def complete() -> bool:
        named = {each.address_group for each in host.view.all(Rule) if each.address_group}
        return {addresses[group] for group in named} <= host.ids(AddressEntry)

    violations = watched(host, complete)
    await host.write(
        port("p", groups=("g",)), network("red"), Group(id="g", name="g"),
        *(entry(*each.split("/", 1)) for each in ids), rule("r1", "g", action=Action.DENY, address_group="a"),
    )  # fmt: skip
    async with running(host.feed.run()):
        await host.settled()
        await host.write(rule("r1", "g", action=Action.DENY, address_group="b"))
        await until(lambda: host.ids(AddressEntry) == {addresses["b"]})
        await host.write(rule("r2", "g", address_group="c"))
        await until(lambda: host.ids(Rule) == {"r1", "r2"})
        await host.write(port("p"))
        await until(lambda: not host.ids(AddressEntry))
    assert not violations


async def test_a_port_that_is_plugged_in_is_never_in_a_group_that_was_not_heard() -> None:
    host = Host()
    host.engine.change([Change(Attachment, "p", Attachment("p", 1))])

    def complete() -> bool:
        named = {group for each in host.view.all(Port) for group in each.groups}
        return named <= host.ids(Group) and len(host.ids(Rule)) == 2 * len(host.ids(Group))

    await host.write(port("p"), network("red"))
    for group in ("g", "h"):
        rules = rule(f"{group}1", group), rule(f"{group}2", group, address_group="a")
        await host.write(Group(id=group, name=group), *rules)
    await host.write(entry("a", "192.0.2.0/24"))
    async with running(host.feed.run()):
        await host.settled()
        violations = watched(host, complete)
        for groups in (("g",), ("g", "h"), ("h",), ("g",), ()):
            await host.write(port("p", groups=groups))
            await until(lambda groups=groups: host.ids(Group) == set(groups))  # type: ignore[misc]
            assert host.view.get(Port, "p") == port("p", groups=groups)
        await host.write(port("p", groups=("g",)))
        await host.remove(port("p", groups=("g",)))
        await until(lambda: not host.known())
    assert not violations


async def test_a_new_port_does_not_wait_for_its_groups() -> None:
    host = Host()
    async with running(host.feed.run()):
        await host.settled()
        await host.write(port("p", groups=("g",)))
        await until(lambda: host.ids(Port) == {"p"})
        await until(lambda: host.feed.is_group_heard("g"))


async def test_ports_hear_of_the_end_of_waiting_for_a_group_that_does_not_exist() -> None:
    host = Host()
    looked: set[Key] = set()
    await host.write(port("p", groups=("gone",)), network("red"))
    async with running(host.feed.run()):
        await until(lambda: host.ids(Port) == {"p"})
        looked.clear()
        host.engine.on_dirty(looked.update)
        await until(lambda: host.feed.is_group_heard("gone") and Key("port", "p") in looked)


async def test_a_record_under_the_key_of_another_is_refused() -> None:
    host = Host()
    await host.write(port("p", groups=("g",)), network("red"), Group(id="g", name="g"))
    stray = Put(keys.rule("g", "r1"), b'{"id":"r2","name":"r2","group":"g","direction":"ingress"}')
    await host.memory.commit([], [stray])
    async with running(host.feed.run()):
        await host.settled()
        assert not host.ids(Rule)
        assert "rule 'r2'" in host.feed.refused["rule r1"]
        await host.write(port("p"))
        await until(lambda: not host.ids(Group))
        assert not host.feed.refused
