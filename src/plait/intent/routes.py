"""Static routes of routers. They stand in their router's record, so any change of one is a change of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from plait.intent import names
from plait.intent.errors import NotFound, Taken
from plait.intent.surroundings import Clash, RouterState, Surroundings, called, find_router
from plait.intent.transactions import Failed, Plan, carry_out
from plait.model import checks
from plait.model.checks import Invalid
from plait.model.codec import encode
from plait.model.routers import Router, StaticRoute
from plait.store import keys
from plait.store.api import Put, Store

MAX_ROUTES = 1000


@dataclass(frozen=True, slots=True)
class Routes:
    """The static routes of the routers of one project."""

    store: Store
    project: str

    async def add(
        self, router: str, destination: str, *, next_hops: Sequence[str] = (), via: str | None = None
    ) -> Router:
        """A route for `destination`: to `next_hops` on the router's own subnets, or to the router `via`.

        Several next hops share the load. `via` (name, PROJECT/NAME or id) has to be joined to the router.
        Raises NotFound, Taken (there is one already), Clash (loop), Invalid.
        """
        prefix = str(checks.prefix(destination))
        hops = tuple(str(checks.ip(each, "next hop")) for each in next_hops)

        async def make(failed: Failed) -> Plan[Router]:
            of, _ = await names.resolve(self.store, Router, self.project, router)
            around = Surroundings(self.store)
            state = await around.router(of.id)
            other = None if via is None else await self._joined(around, state, via)
            route = StaticRoute(prefix, hops, None if other is None else other.id)
            self._refuse_known(state, prefix)
            await self._check_hops(around, state, route)
            routes = tuple(sorted((*state.router.routes, route), key=lambda each: each.destination))
            return await self._plan(around, state, routes)

        return await carry_out(self.store, make, f"route {prefix} of router {router!r}")

    async def remove(self, router: str, destination: str) -> Router:
        """Remove the route for `destination`. Raises NotFound, Clash."""
        prefix = str(checks.prefix(destination))

        async def make(failed: Failed) -> Plan[Router]:
            of, _ = await names.resolve(self.store, Router, self.project, router)
            around = Surroundings(self.store)
            state = await around.router(of.id)
            kept = tuple(each for each in state.router.routes if each.destination != prefix)
            if len(kept) == len(state.router.routes):
                raise NotFound(
                    f"router {of.name!r} has no route for {prefix}",
                    f"'plait router show {of.name}' shows those that it has",
                )
            return await self._plan(around, state, kept)

        return await carry_out(self.store, make, f"route {prefix} of router {router!r}")

    async def _plan(
        self, around: Surroundings, state: RouterState, routes: tuple[StaticRoute, ...]
    ) -> Plan[Router]:
        after = msgspec.structs.replace(state.router, routes=routes)
        around.put(msgspec.structs.replace(state, router=after))
        compares = await around.check((), leading=[after.id], project=self.project)
        return Plan(after, compares, (Put(keys.router(after.id), encode(after)),))

    async def _joined(self, around: Surroundings, state: RouterState, ref: str) -> Router:
        """The router to go by. Raises NotFound, Clash if it is not joined."""
        other = await find_router(self.store, self.project, ref)
        mine, theirs = state.router, called(other, project=state.router.project)
        if other.id == mine.id:
            raise Invalid(f"router {mine.name!r} can't have a route through itself: name another router")
        their_state = await around.router(other.id)
        if other.id not in state.asked:
            raise Clash(
                f"router {mine.name!r} is not joined to router {theirs!r}",
                f"'plait router peer add {mine.name} {theirs}' asks for it",
            )
        if mine.id not in their_state.asked:
            me = called(mine, project=other.project)
            raise Clash(
                f"router {theirs!r} has not agreed to be joined to router {mine.name!r}",
                f"it waits for 'plait -p {other.project} router peer add {other.name} {me}'",
            )
        return other

    def _refuse_known(self, state: RouterState, prefix: str) -> None:
        router = state.router
        if any(route.destination == prefix for route in router.routes):
            raise Taken(
                f"router {router.name!r} has a route for {prefix} already",
                f"'plait router route remove {router.name} {prefix}' comes first; "
                "several next hops belong to one route",
            )
        if any(interface.prefix == prefix for interface in state.interfaces):
            raise Clash(
                f"router {router.name!r} is on {prefix} itself", "choose another prefix, or a longer one"
            )
        if len(router.routes) >= MAX_ROUTES:
            raise Invalid(f"router {router.name!r} has {len(router.routes)} routes: {MAX_ROUTES} is the most")

    async def _check_hops(self, around: Surroundings, state: RouterState, route: StaticRoute) -> None:
        """Raises Invalid for a next hop that no packet can be sent to."""
        shared = route.next_hops if len(route.next_hops) > 1 else ()
        routers = await around.routers_at(state, shared)
        for hop in route.next_hops:
            own = state.interface_to(hop)
            if own is None:
                prefixes = ", ".join(each.prefix for each in state.interfaces) or "none"
                raise Invalid(
                    f"next hop {hop} lies in no subnet of router {state.router.name!r} ({prefixes}): "
                    "choose an address of one, or --via a router that it is joined to"
                )
            if own.address == hop:
                raise Invalid(
                    f"next hop {hop} is router {state.router.name!r} itself: choose another address"
                )
            prefix = checks.prefix(own.prefix)
            ends = (prefix.network_address, prefix.broadcast_address)
            if prefix.version == 4 and prefix.num_addresses > 2 and checks.ip(hop) in ends:
                raise Invalid(f"next hop {hop} is no station's address in {prefix}: choose another")
            if hop in routers:
                raise Invalid(
                    f"next hop {hop} is another router, which can't share the load with other next hops: "
                    "give it alone, or leave it out"
                )
