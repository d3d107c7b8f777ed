"""Routers' places on subnets. A router is on a subnet once; several routers may be on the same.

An interface stands below its router and below its network, and both records are written again with it: the
router's for whoever checks where packets go, the network's for whoever works from its subnets.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from plait.intent import names, records
from plait.intent.address_pairs import refuse_covered
from plait.intent.errors import InUse, NotFound, Taken
from plait.intent.network_view import NetworkView, load
from plait.intent.subnets import touched
from plait.intent.surroundings import Clash, RouterState, Surroundings
from plait.intent.transactions import Failed, Plan, born, carry_out, gone
from plait.model import addresses, checks
from plait.model.checks import Invalid
from plait.model.codec import decode
from plait.model.entities import Subnet
from plait.model.routers import Router, RouterInterface
from plait.model.topology import span
from plait.store import keys
from plait.store.api import Compare, Store, Write

MAX_BESIDE = 32
"""Other routers on a network: whoever comes there looks at all of them, in one commit."""


@dataclass(frozen=True, slots=True)
class Interfaces:
    """The interfaces of the routers of one project."""

    store: Store
    project: str

    async def add(self, router: str, subnet: str, *, address: str | None = None) -> RouterInterface:
        """Put a router on a subnet (both by name or id), at the subnet's gateway or another `address`.

        Raises NotFound, Taken (the address; the router is there already), Clash (overlap, loop), Invalid.
        """
        attempt = 0

        async def make(failed: Failed) -> Plan[RouterInterface]:
            nonlocal attempt
            of, _ = await names.resolve(self.store, Router, self.project, router)
            found, _ = await names.resolve(self.store, Subnet, self.project, subnet)
            view = await load(self.store, self.project, found.network)
            wanted = next((each for each in view.subnets if each.id == found.id), None)
            if wanted is None:
                raise names.not_found(Subnet.kind, self.project, subnet)
            around = Surroundings(self.store)
            state = await around.router(of.id)
            self._refuse_twice(state, wanted)
            chosen = await self._address(view, wanted, address)
            mac = addresses.mac_of(f"{of.id}/{wanted.id}", attempt)
            if keys.mac(wanted.network, mac) in failed:
                attempt += 1
                mac = addresses.mac_of(f"{of.id}/{wanted.id}", attempt)
            interface = RouterInterface(
                router=of.id,
                network=wanted.network,
                subnet=wanted.id,
                prefix=wanted.prefix,
                address=chosen,
                mac=mac,
                project=of.project,
            )
            after = msgspec.structs.replace(state, interfaces=(*state.interfaces, interface))
            around.put(after)
            compares, writes = await self._rewritten(around, after, interface, view)
            more, puts = born(records.of_interface(interface))
            return Plan(interface, (*compares, *more), (*writes, *puts))

        return await carry_out(self.store, make, f"router {router!r} on subnet {subnet!r}")

    async def remove(self, router: str, subnet: str) -> RouterInterface:
        """Take a router off a subnet (name, id or prefix).

        Raises NotFound, InUse while a route of the router has a next hop there, Clash.
        """

        async def make(failed: Failed) -> Plan[RouterInterface]:
            of, _ = await names.resolve(self.store, Router, self.project, router)
            around = Surroundings(self.store)
            state = await around.router(of.id)
            interface = await self._find(state, subnet)
            _refuse_next_hop(state, interface)
            view = await load(self.store, interface.project, interface.network)
            after = msgspec.structs.replace(
                state, interfaces=tuple(each for each in state.interfaces if each != interface)
            )
            around.put(after)
            compares, writes = await self._rewritten(around, after, interface, view)
            return Plan(interface, compares, (*writes, *gone(records.of_interface(interface))))

        return await carry_out(self.store, make, f"router {router!r} on subnet {subnet!r}")

    async def _rewritten(
        self, around: Surroundings, state: RouterState, interface: RouterInterface, view: NetworkView
    ) -> tuple[tuple[Compare, ...], Sequence[Write]]:
        """The records that tell of an interface besides its own, and what must hold while it comes or goes.

        Raises Clash.
        """
        for peer in sorted(state.asked):
            await around.peek(peer)
        roots = {state.router.id, *around.joined(state.router.id)}
        beside = {each.router for each in view.interfaces} - {state.router.id}
        if len(beside) > MAX_BESIDE:
            raise Invalid(
                f"network {view.network.name!r} has {len(beside)} routers besides: {MAX_BESIDE} is the most, "
                "so put another network between"
            )
        leading = {state.router.id}
        for id in sorted(beside):
            neighbour = await around.peek(id)
            if neighbour is not None and neighbour.goes_by(interface.address):
                leading.add(id)
        roots |= leading
        compares = await around.check(roots, leading=leading, project=self.project)
        stand = dict.fromkeys((*compares, *around.unchanged(beside), view.unchanged))
        return tuple(stand), (touched(view.network), *around.touched(roots))

    async def prefixes(self, routers: Sequence[str]) -> dict[str, list[str]]:
        """The prefixes of the subnets that routers (ids) are on, in one read."""
        found = (await self.store.snapshot(keys.ROUTERS)).items
        prefixes: dict[str, list[str]] = {router: [] for router in routers}
        for key, item in found.items():
            router = key.removeprefix(keys.ROUTERS).split("/", 1)[0]
            if router in prefixes and key.startswith(keys.router_interface_prefix(router)):
                prefixes[router].append(decode(RouterInterface, item.value).prefix)
        return {router: sorted(each, key=span) for router, each in prefixes.items()}

    async def _find(self, state: RouterState, ref: str) -> RouterInterface:
        for interface in state.interfaces:
            if ref in (interface.subnet, interface.prefix):
                return interface
        try:
            subnet, _ = await names.resolve(self.store, Subnet, self.project, ref)
        except Invalid:
            subnet = None  # a prefix is not a name
        for interface in state.interfaces:
            if subnet is not None and interface.subnet == subnet.id:
                return interface
        raise NotFound(
            f"router {state.router.name!r} is not on subnet {ref!r}",
            f"'plait router show {state.router.name}' shows where it is",
        )

    def _refuse_twice(self, state: RouterState, subnet: Subnet) -> None:
        there = next((each for each in state.interfaces if each.subnet == subnet.id), None)
        if there is not None:
            raise Taken(
                f"router {state.router.name!r} is on subnet {subnet.prefix} already, at {there.address}",
                "once is enough; remove that interface to have another address",
            )
        if any(route.destination == subnet.prefix for route in state.router.routes):
            raise Clash(
                f"router {state.router.name!r} has a route for {subnet.prefix}, which it would be on itself",
                f"'plait router route remove {state.router.name} {subnet.prefix}' comes first",
            )

    async def _address(self, view: NetworkView, subnet: Subnet, asked: str | None) -> str:
        """The address that was asked for, or the gateway. Raises Taken, Invalid."""
        if asked is None and subnet.gateway is None:
            raise Invalid(
                f"subnet {subnet.prefix} has no gateway, which a router's address is by default: "
                "choose --address, or give the subnet a gateway"
            )
        wish = checks.ip(subnet.gateway or "" if asked is None else asked)
        address = str(wish)
        if wish not in checks.prefix(subnet.prefix):
            raise Invalid(f"address {address} lies outside {subnet.prefix}: choose one inside")
        if address != subnet.gateway:
            addresses.check_choice(subnet, wish)
        key = keys.address(subnet.id, address)
        claim = (await self.store.get([key])).items.get(key)
        if claim is not None:
            holder = await names.describe_port(self.store, claim.value)
            way_out = "choose another with --address"
            if asked is None:
                raise Taken(f"{holder} has the gateway {address} of subnet {subnet.prefix}", way_out)
            raise Taken(f"address {address} is taken by {holder}", way_out)
        await refuse_covered(self.store, view, wish, f"the address {address} of a router")
        return address


def _refuse_next_hop(state: RouterState, interface: RouterInterface) -> None:
    there = span(interface.prefix)
    for route in state.router.routes:
        hop = next((each for each in route.next_hops if there.covers(span(each))), None)
        if hop is not None:
            name = state.router.name
            raise InUse(
                f"route {route.destination} of router {name!r} goes by {hop} in {interface.prefix}",
                f"'plait router route remove {name} {route.destination}' comes first",
            )
