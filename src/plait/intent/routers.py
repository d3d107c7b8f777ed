"""Routers: one record, one name, one VNI each. What they are on and lead to stands in other modules:
`interfaces.py`, `routes.py`, `peerings.py`."""

from collections.abc import Sequence
from dataclasses import dataclass

from plait.intent import names, records
from plait.intent.catalogue import Catalogue
from plait.intent.errors import InUse, some
from plait.intent.interfaces import Interfaces
from plait.intent.peerings import Peerings
from plait.intent.surroundings import RouterState, called, read_router
from plait.intent.transactions import Failed, Plan, born, carry_out, gone, remove_all
from plait.intent.vnis import VniChoice
from plait.model.numbers import Space
from plait.model.routers import Peering, Router
from plait.store import keys
from plait.store.api import MAX_COMMIT_OPS, Compare, KeyAt, PrefixUnchanged, Store

_CATALOGUE = Catalogue(Router, keys.ROUTERS, keys.router, records.of_router)


@dataclass(frozen=True, slots=True)
class Routers:
    """The routers of one project."""

    store: Store
    project: str
    vnis: Space
    interfaces: Interfaces
    peerings: Peerings

    async def create(self, name: str | None = None, *, vni: int | None = None) -> Router:
        """A new router, on no subnet yet. Raises Taken (name, VNI), Full (no VNI is left), Invalid."""
        choice = VniChoice(self.store, self.vnis, vni)

        async def make(failed: Failed) -> Plan[Router]:
            if name is not None:
                await names.refuse_taken(self.store, Router, self.project, name, failed)
            number = await choice.number(failed)
            id = names.new_id()
            router = Router(id=id, name=id if name is None else name, vni=number, project=self.project)
            compares, writes = born(records.of_router(router))
            return Plan(router, tuple(compares), (*writes, *choice.cursor()))

        return await carry_out(self.store, make, f"router {name or ''}".strip())

    async def get(self, ref: str) -> Router:
        """By name or id. Raises NotFound."""
        return (await names.resolve(self.store, Router, self.project, ref))[0]

    async def state(self, ref: str) -> RouterState:
        """A router with its interfaces and those that it asked for. Raises NotFound."""
        router = await self.get(ref)
        state = await read_router(self.store, router.id)
        if state is None:
            raise names.not_found(Router.kind, self.project, ref)
        return state

    async def list(self) -> list[Router]:
        """All of the project, by name."""
        return await _CATALOGUE.list(self.store, self.project)

    async def set(self, ref: str, *, name: str) -> Router:
        """Give it another name. Raises NotFound, Taken, Invalid."""
        return await _CATALOGUE.change(self.store, self.project, ref, {"name": name})

    async def delete(self, ref: str, *, cascade: bool = False) -> Router:
        """Remove a router without interfaces and peerings; with `cascade` remove these before.

        Raises NotFound, InUse, also while another router has a route through it. What other routers asked of
        it is forgotten.
        """
        if cascade:
            await self._empty(ref)

        async def make(failed: Failed) -> Plan[Router]:
            state = await self.state(ref)
            router, asking, compares = state.router, *await self._asking(state.router)
            if state.interfaces:
                prefixes = [each.prefix for each in state.interfaces]
                raise InUse(f"router {router.name!r} is on {some('subnet', prefixes)}", _WAY_OUT)
            if state.asked:
                peers = [each.router.name for each in await self._states(sorted(state.asked))]
                raise InUse(f"router {router.name!r} is to be joined to {some('router', peers)}", _WAY_OUT)
            asked = [key for other in asking for key in _word_of(other, router)]
            doomed = [*records.of_router(router), *asked]
            # What others ask in vain may go before, if it is too much for one commit.
            await remove_all(self.store, doomed[MAX_COMMIT_OPS:])
            unchanged = KeyAt(keys.router(router.id), state.revision)
            return Plan(router, (unchanged, *compares), tuple(gone(doomed[:MAX_COMMIT_OPS])))

        return await carry_out(self.store, make, f"router {ref!r}")

    async def _empty(self, ref: str) -> None:
        state = await self.state(ref)
        await self._asking(state.router)
        for route in state.router.routes:
            await self.peerings.routes.remove(state.router.id, route.destination)
        for peer in sorted(state.asked):
            await self.peerings.remove(state.router.id, peer)
        for interface in state.interfaces:
            await self.interfaces.remove(state.router.id, interface.subnet)

    async def _states(self, ids: Sequence[str]) -> Sequence[RouterState]:
        found = [await read_router(self.store, id) for id in ids]
        return [each for each in found if each is not None]

    async def _asking(self, router: Router) -> tuple[Sequence[str], Sequence[Compare]]:
        """The ids of those that ask to be joined to it, and what has to hold for that to stay true.

        Raises InUse if one of them has a route through it.
        """
        prefix = keys.asked_prefix(router.id)
        asked = await self.store.snapshot(prefix)
        others = await self._states([key.removeprefix(prefix) for key in asked.items])
        for other in others:
            through = [route.destination for route in other.router.routes if route.router == router.id]
            if through:
                name = called(other.router, project=self.project)
                raise InUse(
                    f"router {name!r} has {some('route', through)} through router {router.name!r}",
                    "these have to be removed first",
                )
        # No more routes can come: for these the router would have to agree to be joined.
        return [other.router.id for other in others], [PrefixUnchanged(prefix, asked.revision)]


def _word_of(other: str, router: Router) -> records.Records:
    return records.of_peering(Peering(router=other, peer=router.id))


_WAY_OUT = "remove these first, or all at once with --force"
