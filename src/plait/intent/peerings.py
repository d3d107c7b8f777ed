"""Routers joined to routers, of one project or of two: they are joined when each side says so."""

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from plait.intent import names, records
from plait.intent.errors import InUse, NotFound, Taken, some
from plait.intent.routes import Routes
from plait.intent.surroundings import RouterState, Surroundings, called, find_router, read_router
from plait.intent.transactions import Failed, Plan, born, carry_out, gone
from plait.model.checks import Invalid
from plait.model.codec import decode
from plait.model.routers import Peering, Router
from plait.store import keys
from plait.store.api import Store

MAX_PEERINGS = 64
"""Of one router: a change of its interfaces writes the records of all that are joined to it in one commit."""


class PeeringState(StrEnum):
    """`waiting`: this router asked, the other has not agreed. `asked`: the other way round."""

    JOINED = "joined"
    WAITING = "waiting"
    ASKED = "asked"


class Peer(msgspec.Struct, frozen=True):
    """Another router, and how it stands with it."""

    router: Router
    state: PeeringState


@dataclass(frozen=True, slots=True)
class Peerings:
    """The peerings of the routers of one project."""

    store: Store
    project: str
    routes: Routes

    async def add(self, router: str, peer: str) -> Peer:
        """Say that `router` is to be joined to `peer` (name, PROJECT/NAME or id). It is once both say so.

        Raises NotFound, Taken (said already), Clash (joined they would overlap or loop), Invalid.
        """

        async def make(failed: Failed) -> Plan[Peer]:
            of, _ = await names.resolve(self.store, Router, self.project, router)
            other = await find_router(self.store, self.project, peer)
            if of.id == other.id:
                raise Invalid(f"router {of.name!r} can't be joined to itself: name another router")
            around = Surroundings(self.store)
            state, theirs = await around.router(of.id), await around.router(other.id)
            joins = of.id in theirs.asked
            self._refuse(state, other, joins=joins)
            around.put(msgspec.structs.replace(state, asked=state.asked | {other.id}))
            # Until the other side agrees nothing changes, and its subnets are its own affair.
            roots = {of.id, other.id}
            if joins:
                compares = await around.check(roots, leading=roots, project=self.project)
            else:
                compares = around.unchanged(roots)
            peering = Peering(router=of.id, peer=other.id, project=of.project)
            more, writes = born(records.of_peering(peering))
            writes.extend(around.touched(roots if joins else [of.id]))
            result = Peer(other, PeeringState.JOINED if joins else PeeringState.WAITING)
            return Plan(result, (*compares, *more), tuple(writes))

        return await carry_out(self.store, make, f"joining router {router!r} to {peer!r}")

    async def remove(self, router: str, peer: str) -> Router:
        """Take that back. Raises NotFound, InUse while a route of `router` leads through `peer`, Clash."""

        async def make(failed: Failed) -> Plan[Router]:
            of, _ = await names.resolve(self.store, Router, self.project, router)
            other = await find_router(self.store, self.project, peer)
            around = Surroundings(self.store)
            state, theirs = await around.router(of.id), await around.router(other.id)
            name = called(other, project=self.project)
            if other.id not in state.asked:
                raise NotFound(
                    f"router {of.name!r} does not ask to be joined to router {name!r}",
                    f"'plait router peer list {of.name}' shows those that it asks",
                )
            through = [route.destination for route in state.router.routes if route.router == other.id]
            if through:
                raise InUse(
                    f"router {of.name!r} has {some('route', through)} through router {name!r}",
                    f"'plait router route remove {of.name} {through[0]}' comes first",
                )
            around.put(msgspec.structs.replace(state, asked=state.asked - {other.id}))
            roots = [of.id, other.id] if of.id in theirs.asked else [of.id]
            # What this uncovers of the other side's routes is their affair: nobody is kept joined by them.
            compares = await around.check(roots, leading=[of.id], project=self.project)
            peering = Peering(router=of.id, peer=other.id, project=of.project)
            writes = (*gone(records.of_peering(peering)), *around.touched(roots))
            return Plan(other, compares, writes)

        return await carry_out(self.store, make, f"parting router {router!r} from {peer!r}")

    async def list(self, router: str) -> list[Peer]:
        """The routers that it is joined to, those that it asked, and those that ask it. Raises NotFound."""
        of, _ = await names.resolve(self.store, Router, self.project, router)
        state = await read_router(self.store, of.id)
        asked = state.asked if state is not None else frozenset[str]()
        prefix = keys.asked_prefix(of.id)
        asking = {key.removeprefix(prefix) for key in (await self.store.snapshot(prefix)).items}
        found = await names.read_all(self.store, [keys.router(id) for id in sorted(asked | asking)])
        routers = [decode(Router, item.value) for item in found.values()]
        peers = [Peer(each, _state(each.id in asked, each.id in asking)) for each in routers]
        return sorted(peers, key=lambda each: (each.router.project, each.router.name))

    def _refuse(self, state: RouterState, other: Router, *, joins: bool) -> None:
        name = called(other, project=self.project)
        if other.id in state.asked:
            how = "is joined to" if joins else "has asked already, and waits for,"
            raise Taken(f"router {state.router.name!r} {how} router {name!r}", "nothing is left to do here")
        if len(state.asked) >= MAX_PEERINGS:
            raise Invalid(
                f"router {state.router.name!r} has {len(state.asked)} peerings, the most that one can have: "
                "remove one, or put another router between"
            )


def _state(asked: bool, asking: bool) -> PeeringState:
    if asked and asking:
        return PeeringState.JOINED
    return PeeringState.WAITING if asked else PeeringState.ASKED
