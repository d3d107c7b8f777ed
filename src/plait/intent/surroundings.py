"""A router, and all that decides where its packets go: read, changed on paper, and checked as a whole.

Rule 1: whatever changes where a router leads to writes its record again, as it is: its own interfaces and
peerings, the interfaces of routers that it is joined to, and a router that comes or goes at a next hop.
Rule 2: a check compares the record of every router whose ways it followed.

So of two writers, each of whom makes something legal that together would overlap or go round, one has read
what the other writes, and loses.
"""

from collections.abc import Iterable, Iterator

import msgspec

from plait.intent import names
from plait.intent.errors import IntentError, NotFound
from plait.model import checks
from plait.model.codec import decode, encode
from plait.model.routers import Peering, Router, RouterInterface
from plait.model.topology import Topology, span
from plait.store import keys
from plait.store.api import ABSENT, Compare, KeyAt, Put, Revision, Store, Write

MAX_FOLLOWED = 80
"""Routers that one check may depend on, so that it fits into a commit."""


class Clash(IntentError):
    """Routers would reach overlapping subnets, or send packets round in a circle."""


class RouterState(msgspec.Struct, frozen=True):
    """A router with its interfaces and the ids of those that it wants to be joined to."""

    router: Router
    revision: Revision
    interfaces: tuple[RouterInterface, ...] = ()
    asked: frozenset[str] = frozenset()

    def interface_to(self, address: str) -> RouterInterface | None:
        """The one whose subnet has this address."""
        wanted = span(address)
        return next((each for each in self.interfaces if span(each.prefix).covers(wanted)), None)

    def goes_by(self, address: str) -> bool:
        """Whether a route has this next hop."""
        return any(address in route.next_hops for route in self.router.routes)


class Surroundings:
    """What has been read of routers, and what of them is to be otherwise."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._states: dict[str, RouterState | None] = {}
        self._followed: dict[str, Compare] = {}
        self._leads_on = False

    async def router(self, id: str) -> RouterState:
        """As it stands, or as it was `put`. Raises NotFound."""
        state = await self.peek(id)
        if state is None:
            raise NotFound(f"router {id} is gone", "leave it out")
        return state

    async def peek(self, id: str) -> RouterState | None:
        """As it stands, or as it was `put`; None if it is gone."""
        if id not in self._states:
            self._states[id] = await read_router(self._store, id)
        return self._states[id]

    def put(self, state: RouterState) -> None:
        """From now on the router counts as this."""
        self._states[state.router.id] = state

    def joined(self, id: str) -> list[str]:
        """The routers that it is joined to, among those that were read."""
        state = self._states.get(id)
        asked = state.asked if state is not None else frozenset[str]()
        return sorted(each for each in asked if self._wants(each, id))

    def name(self, id: str, *, project: str) -> str:
        """What to call a router that was read, for somebody of `project`."""
        state = self._states.get(id)
        return id if state is None else called(state.router, project=project)

    async def check(
        self, routers: Iterable[str], *, project: str, leading: Iterable[str]
    ) -> tuple[Compare, ...]:
        """Raises Clash if one of these would reach overlapping subnets, or one that is `leading` a circle.

        Else what has to hold for that to stay true.
        """
        roots, starts = set(routers), set(leading)
        await self._explore(roots | starts)
        topology = Topology(
            {id: self._as_followed(state.router) for id, state in self._known()},
            [interface for _, state in self._known() for interface in state.interfaces],
            [Peering(router=id, peer=peer) for id, state in self._known() for peer in state.asked],
        )
        for id in sorted(roots):
            overlap = topology.overlap(id)
            if overlap is not None:
                raise self._overlap(id, *overlap, project=project)
        for id in sorted(starts):
            loop = topology.loop(id)
            if loop is not None:
                way = " -> ".join(self.name(each, project=project) for each in loop)
                raise Clash(f"packets would go round in a circle: {way}", "change one of these routes")
        if len(self._followed) > MAX_FOLLOWED:
            raise Clash(
                f"{len(self._followed)} routers lead to each other: {MAX_FOLLOWED} is the most",
                "use fewer routes from router to router",
            )
        return tuple(self._followed.values())

    def unchanged(self, routers: Iterable[str]) -> tuple[Compare, ...]:
        """That these stand as they were read."""
        states = [self._states[id] for id in sorted(set(routers))]
        return tuple(KeyAt(keys.router(each.router.id), each.revision) for each in states if each is not None)

    def touched(self, routers: Iterable[str]) -> list[Write]:
        """The records of these again, as they are or were `put`: their reach changes (rule 1)."""
        states = [self._states[id] for id in sorted(set(routers))]
        return [Put(keys.router(each.router.id), encode(each.router)) for each in states if each is not None]

    # -- reading

    async def _explore(self, roots: Iterable[str]) -> None:
        """Read whatever the packets of `roots` may come by, and the peers of all of these."""
        pending = list(roots)
        while pending:
            id = pending.pop()
            if keys.router(id) in self._followed:
                continue
            state = await self.peek(id)
            revision = ABSENT if state is None else state.revision
            self._followed[keys.router(id)] = KeyAt(keys.router(id), revision)
            if state is None:
                continue
            for peer in sorted(state.asked):
                await self.peek(peer)
            pending.extend(sorted(await self._next(state)))

    async def _next(self, state: RouterState) -> set[str]:
        """The routers that static routes lead on to."""
        routes = state.router.routes
        alone = [route.next_hops[0] for route in routes if len(route.next_hops) == 1]
        at_hops = await self.routers_at(state, alone)
        found = {route.router for route in routes if route.router is not None} | set(at_hops.values())
        self._leads_on = self._leads_on or bool(found)
        return found

    async def routers_at(self, state: RouterState, hops: Iterable[str]) -> dict[str, str]:
        """Which of these next hops of a router are routers: their ids. Reads the addresses' claims."""
        subnets = {hop: own for hop in hops if (own := state.interface_to(hop)) is not None}
        found = {
            hop: interface.router
            for _, other in self._known()
            for interface in other.interfaces
            for hop, own in subnets.items()
            if (interface.network, interface.address) == (own.network, hop)
        }
        wanted = {keys.address(own.subnet, hop): hop for hop, own in subnets.items()}
        for key, claim in (await names.read_all(self._store, sorted(wanted))).items():
            holder = claim.value.decode()
            if names.record_key(Router, holder) is not None:
                found.setdefault(wanted[key], holder)
        return found

    # -- what was read

    def _as_followed(self, router: Router) -> Router:
        """Without its routes if none of any router leads to another: then no circle is to be looked for."""
        return router if self._leads_on else msgspec.structs.replace(router, routes=())

    def _known(self) -> Iterator[tuple[str, RouterState]]:
        return ((id, state) for id, state in self._states.items() if state is not None)

    def _wants(self, router: str, peer: str) -> bool:
        state = self._states.get(router)
        return state is not None and peer in state.asked

    def _overlap(self, id: str, one: RouterInterface, other: RouterInterface, *, project: str) -> Clash:
        mine = repr(self.name(id, project=project))
        if one.router == other.router == id:
            return Clash(
                f"subnets {one.prefix} and {other.prefix} overlap, and both would be on router {mine}",
                "put one of them on another router",
            )
        sides = [
            f"{each.prefix} of router {self.name(each.router, project=project)!r}" for each in (one, other)
        ]
        return Clash(
            f"router {mine} would reach two subnets that overlap: {sides[0]} and {sides[1]}",
            "leave one of them out, or don't join these routers",
        )


async def read_router(store: Store, id: str) -> RouterState | None:
    """A router with its interfaces and peerings as they stand together; None if there is none."""
    checks.name(id, "router id")
    found = (await store.snapshot(keys.router_prefix(id))).items
    info = found.get(keys.router(id))
    if info is None:
        return None
    interfaces = [
        decode(RouterInterface, item.value)
        for key, item in found.items()
        if key.startswith(keys.router_interface_prefix(id))
    ]
    prefix = keys.peering_prefix(id)
    return RouterState(
        router=decode(Router, info.value),
        revision=info.revision,
        interfaces=tuple(sorted(interfaces, key=lambda each: span(each.prefix))),
        asked=frozenset(key.removeprefix(prefix) for key in found if key.startswith(prefix)),
    )


def called(router: Router, *, project: str) -> str:
    """A router as somebody of `project` writes it."""
    return router.name if router.project == project else f"{router.project}/{router.name}"


async def find_router(store: Store, project: str, ref: str) -> Router:
    """A router of any project: by name, `PROJECT/NAME` or id. Raises NotFound, Invalid."""
    theirs, slash, name = ref.rpartition("/")
    if slash:
        return (await names.resolve(store, Router, checks.name(theirs, "project"), name))[0]
    key = names.record_key(Router, ref)
    try:
        return (await names.resolve(store, Router, project, ref))[0]
    except NotFound:
        item = None if key is None else (await store.get([key])).items.get(key)
        if item is None:
            raise
        return decode(Router, item.value)
