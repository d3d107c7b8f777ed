"""One host's intent above a store that counts, and records to put into it."""

from collections.abc import Iterable

from plait.agent.engine import Engine
from plait.agent.intent import IntentFeed
from plait.agent.lastview import from_disk, to_disk
from plait.lab.stores import FaultyStore
from plait.model import codec
from plait.model.entities import Network, Port, Subnet
from plait.model.facets import Change, Facet
from plait.model.policy import AddressEntry, Direction, Group, Rule
from plait.model.routers import Peering, Router, RouterInterface, StaticRoute
from plait.reach.api import Interest
from plait.store import keys
from plait.store.api import Delete, Put, Write
from plait.store.memory import MemoryStore

from .feeds import until

FOLLOWED: tuple[type[Facet], ...] = (
    Port,
    Network,
    Subnet,
    Router,
    RouterInterface,
    Peering,
    Group,
    Rule,
    AddressEntry,
)
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


def entry(group: str, prefix: str) -> AddressEntry:
    return AddressEntry(group=group, prefix=prefix)


class Host:
    """One host's intent above a store that counts; `disk` is what a run before left."""

    def __init__(self, memory: MemoryStore | None = None, disk: dict[str, bytes] | None = None) -> None:
        self.memory = memory or MemoryStore()
        self.store = FaultyStore(self.memory)
        self.disk = dict(disk or {})
        self.engine, self.interest = Engine("h1", self._remember), Interest()
        self.view = self.engine.view
        self.engine.change(list(from_disk(self.disk)))
        self.away: list[str] = []
        self.feed = IntentFeed(self.store, self.engine, self.interest, self._on_store, grace_s=3600)

    def _remember(self, changes: Iterable[Change]) -> None:
        for key, value in to_disk(changes):
            if value is None:
                self.disk.pop(key, None)
            else:
                self.disk[key] = value

    def _on_store(self, reason: str) -> None:
        if reason:
            self.away.append(reason)

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

    def known(self) -> set[tuple[str, str]]:
        """Everything in the view that is followed, by kind and id."""
        return {(kind.__name__, each.id) for kind in FOLLOWED for each in self.view.all(kind)}  # type: ignore[attr-defined]
