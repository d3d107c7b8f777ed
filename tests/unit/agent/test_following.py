"""What a host comes to know by its ports: routers, networks, groups, address groups; and what it forgets."""

from collections.abc import Iterable

from plait.agent.engine import Engine
from plait.agent.intent import IntentFeed, reach_of
from plait.lab.stores import FaultyStore
from plait.model import codec
from plait.model.entities import Network, Port, Subnet
from plait.model.facets import Facet
from plait.model.policy import AddressEntry, Direction, Group, Rule
from plait.model.routers import Peering, Router, RouterInterface, StaticRoute
from plait.reach.api import Interest
from plait.store import keys
from plait.store.api import Delete, Put, Write
from plait.store.memory import MemoryStore

from .feeds import port, running, until

Recorded = Router | RouterInterface | Peering | Group | Rule | AddressEntry | Network | Subnet | Port


def record(entity: Recorded) -> list[Write]:
    """The writes that make it so."""
    match entity:
        case Router():
            names = [keys.router(entity.id)]
        case RouterInterface():
            names = [
                keys.router_interface(entity.router, entity.subnet),
                keys.router_on_network(entity.network, entity.router, entity.subnet),
            ]
        case Peering():
            names = [keys.peering(entity.router, entity.peer)]
        case Group():
            names = [keys.group(entity.id)]
        case Rule():
            names = [keys.rule(entity.group, entity.id)]
        case AddressEntry():
            names = [keys.address_entry(entity.group, entity.prefix)]
        case Network():
            names = [keys.network(entity.id)]
        case Subnet():
            names = [keys.subnet(entity.network, entity.id)]
        case Port():
            names = [keys.bound(entity.host or "", entity.id)]
    return [Put(name, codec.encode(entity)) for name in names]


def no_record(entity: Recorded) -> list[Write]:
    return [Delete(write.key) for write in record(entity)]


def router(id: str, *routes: StaticRoute, vni: int = 9000) -> Router:
    return Router(id=id, name=id, vni=vni, routes=routes)


def network(id: str, vni: int = 5000) -> Network:
    return Network(id=id, name=id, vni=vni)


def interface(router: str, network: str, third: int, last: int = 1) -> RouterInterface:
    return RouterInterface(
        router=router,
        network=network,
        subnet=f"s{third}",
        prefix=f"10.0.{third}.0/24",
        address=f"10.0.{third}.{last}",
        mac=f"02:00:00:00:{third:02x}:{last:02x}",
    )


def joined(router: str, other: str) -> tuple[Peering, Peering]:
    return Peering(router=router, peer=other), Peering(router=other, peer=router)


def rule(id: str, group: str, **fields: object) -> Rule:
    return Rule(id=id, name=id, group=group, direction=Direction.INGRESS, **fields)  # type: ignore[arg-type]


class Host:
    """One host's intent above a store that counts."""

    def __init__(self, memory: MemoryStore | None = None) -> None:
        self.memory = memory or MemoryStore()
        self.store = FaultyStore(self.memory)
        self.engine, self.interest = Engine("h1"), Interest()
        self.view = self.engine.view
        self.feed = IntentFeed(self.store, self.engine, self.interest, lambda reason: None, grace_s=3600)

    async def write(self, *entities: Recorded) -> None:
        await self.memory.commit([], [write for entity in entities for write in record(entity)])

    async def remove(self, *entities: Recorded) -> None:
        await self.memory.commit([], [write for entity in entities for write in no_record(entity)])

    async def settled(self) -> None:
        """Until everything that was asked has been told, but for endpoints."""
        await until(lambda: not {name for name in self.engine.gate.awaited if not name.startswith("reach")})

    def ids(self, facet: type[Facet]) -> set[str]:
        return {each.id for each in self.view.all(facet)}  # type: ignore[type-var]

    def watched(self) -> set[str]:
        return {prefix for call, prefix in self.store.asked if call == "watch"}

    def is_empty(self) -> bool:
        kinds: Iterable[type[Facet]] = (
            Network, Subnet, Router, RouterInterface, Peering, Group, Rule, AddressEntry
        )  # fmt: skip
        return not any(self.view.count(kind) for kind in kinds)


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
        await until(host.is_empty)
        assert host.interest.networks == frozenset()


async def test_a_group_comes_with_rules_and_the_address_groups_that_they_name() -> None:
    host = Host()
    await host.write(
        port("p", groups=("g",)), network("red"), Group(id="g", name="g"), Group(id="other", name="other"),
        rule("r1", "g", address_group="a"), rule("r2", "g", remote_group="other"), rule("r3", "other"),
        AddressEntry(group="a", prefix="192.0.2.0/24"), AddressEntry(group="a", prefix="2001:db8::/32"),
        AddressEntry(group="b", prefix="198.51.100.0/24"),
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
