"""Addresses that a port gets besides those it has, and gives back, while it stays what and where it is."""

from dataclasses import dataclass

import msgspec

from plait.intent import names, records
from plait.intent.address_pairs import check_port
from plait.intent.allocation import Search
from plait.intent.claimants import refuse_taken
from plait.intent.creation import address_search
from plait.intent.draft import Draft
from plait.intent.errors import NotFound
from plait.intent.network_view import load
from plait.intent.port_spec import PortSpec, check_counts
from plait.intent.transactions import Failed, Plan, carry_out, changed
from plait.model import addresses, checks
from plait.model.checks import Invalid
from plait.model.entities import Port, Subnet
from plait.store import keys
from plait.store.api import Store


@dataclass(frozen=True, slots=True)
class SecondaryAddresses:
    """The addresses of the ports of one project."""

    store: Store
    project: str

    async def add(self, port: str, *, address: str | None = None, subnet: str | None = None) -> Port:
        """One more address of a port: this one, or one that is free in `subnet` (name, id or prefix).

        Raises NotFound, Taken, Full, Invalid.
        """
        if (address is None) == (subnet is None):
            raise Invalid("one more address is needed: name it, or a subnet that it is to come from")
        wanted = () if address is None else (address,)
        draft = Draft(PortSpec(network="", addresses=wanted, subnets=() if subnet is None else (subnet,)), 0)
        searches: dict[Subnet, Search] = {}
        last: Port | None = None

        async def make(failed: Failed) -> Plan[Port]:
            nonlocal last
            if last is not None and failed:
                chosen = {addresses.text(each, number) for each, number in draft.chosen.values()}
                await refuse_taken(self.store, last, failed, chosen=chosen)
                await draft.learn(last, failed, searches)
            before, revision = await names.resolve(self.store, Port, self.project, port)
            view = await load(self.store, self.project, before.network)
            draft.id = before.id
            for each in view.subnets if subnet is not None else ():
                if subnet in (each.id, each.name, each.prefix) and each not in searches:
                    searches[each] = await self._search(each)
            # The port may have got what was chosen meanwhile, by somebody else's wish.
            await draft.choose_again(records.of_port(before), searches)
            for each, search in searches.items():
                for fixed in before.addresses:
                    if fixed.subnet == each.id:
                        search.avoid(addresses.number(fixed.address))
            kept_free = [pair.prefix for _, pair in view.pairs]
            more = await draft.addresses(view, searches, before.mac, kept_free)
            twice = {each.address for each in more} & set(before.ips)
            if twice:
                raise Invalid(f"port {before.name!r} has the address {min(twice)} already: choose another")
            after = msgspec.structs.replace(before, addresses=(*before.addresses, *more))
            check_counts(len(after.addresses), len(after.multicast))
            last = after
            free = await check_port(self.store, view, after)
            compares, writes = changed(
                records.of_port(before),
                records.of_port(after),
                key=keys.port(before.network, before.id),
                revision=revision,
            )
            cursors = [searches[each].cursor() for each, _ in draft.chosen.values()]
            return Plan(after, (view.unchanged, *free, *compares), (*writes, *cursors))

        return await carry_out(self.store, make, f"an address of port {port!r}")

    async def _search(self, subnet: Subnet) -> Search:
        search = address_search(self.store, subnet)
        search.begin((await self.store.get([search.cursor_key])).items.get(search.cursor_key))
        return search

    async def remove(self, port: str, address: str) -> Port:
        """Take an address from a port. Raises NotFound, Invalid."""
        wanted = str(checks.ip(address))

        async def make(failed: Failed) -> Plan[Port]:
            before, revision = await names.resolve(self.store, Port, self.project, port)
            kept = tuple(each for each in before.addresses if each.address != wanted)
            if kept == before.addresses:
                has = ", ".join(before.ips) or "none"
                raise NotFound(f"port {before.name!r} has no address {wanted}", f"it has {has}")
            after = msgspec.structs.replace(before, addresses=kept)
            compares, writes = changed(
                records.of_port(before),
                records.of_port(after),
                key=keys.port(before.network, before.id),
                revision=revision,
            )
            return Plan(after, tuple(compares), tuple(writes))

        return await carry_out(self.store, make, f"an address of port {port!r}")
