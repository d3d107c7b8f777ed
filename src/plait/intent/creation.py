"""Making ports, one or ten thousand: as many to a commit as it takes, several commits in flight.

Rule 1: all or none. If one port can't be made, or the caller is cancelled, those already made go again.
Rule 2: in the usual case a commit costs one read, whatever the network already holds.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence

from plait.intent import records
from plait.intent.allocation import Search
from plait.intent.claimants import refuse_taken
from plait.intent.draft import Draft
from plait.intent.errors import NotFound, Taken
from plait.intent.network_view import NetworkView, load
from plait.intent.port_spec import PortSpec
from plait.intent.transactions import COMMITS_IN_FLIGHT, Failed, Plan, born, carry_out
from plait.model import addresses, checks
from plait.model.checks import IPAddress
from plait.model.entities import Port, Subnet
from plait.store import keys
from plait.store.api import MAX_COMMIT_OPS, Compare, Item, KeyAt, Store, Write

_RECORDS_OF_A_PORT = 5
"""Without addresses: the port, its name, MAC, host and device."""
_SHARED = 8
"""Compares and writes that a commit has besides: the network, the host, cursors."""
_MAX_CURSORS = 4
_CURSORS_READ = MAX_COMMIT_OPS - 2

Views = dict[str, NetworkView]
"""Networks as they were last seen, by name or id as asked for; each commit compares that they still stand."""
Group = tuple[str, str | None]
"""Network as asked for, host: what all ports of a commit share."""


class Creation:
    """One request for ports of one project."""

    def __init__(
        self, store: Store, project: str, views: Views, *, on_progress: Callable[[int], None] | None
    ) -> None:
        self.created: dict[int, Port] = {}
        self._store = store
        self._project = project
        self._views = views
        self._searches: dict[Subnet, Search] = {}
        self._asked_for: dict[str, list[IPAddress]] = {}
        self._on_progress = on_progress
        self._stopped = False

    async def run(self, specs: Sequence[PortSpec]) -> list[Port]:
        """The ports, in the order of `specs`. When this raises, `created` has what must be removed again."""
        for spec in specs:
            self._asked_for.setdefault(spec.network, []).extend(checks.ip(each) for each in spec.addresses)
        chunks = iter(list(_chunks(specs)))
        workers = asyncio.gather(
            *(self._work(chunks) for _ in range(COMMITS_IN_FLIGHT)), return_exceptions=True
        )
        try:
            outcomes = await asyncio.shield(workers)
        except asyncio.CancelledError:
            self._stopped = True
            await workers
            raise
        for outcome in outcomes:
            if outcome is not None:
                raise outcome
        return [self.created[position] for position in range(len(specs))]

    async def _work(self, chunks: Iterator[tuple[Group, list[Draft]]]) -> None:
        for group, drafts in chunks:
            if self._stopped:
                return
            try:
                await self._create(group, drafts)
            except BaseException:
                self._stopped = True
                raise

    async def _create(self, group: Group, drafts: list[Draft]) -> None:
        network, host = group
        last: list[Port] = []

        async def make(failed: Failed) -> Plan[list[Port]]:
            nonlocal last
            if failed:
                await self._learn(network, drafts, last, failed)
            view = self._views.get(network)
            if view is None:
                view = self._views[network] = await load(self._store, self._project, network)
            known_host = await self._prepare(network, view, host)
            last = [await draft.port(view, self._searches) for draft in drafts]
            compares, writes = born(_together(last))
            writes.extend(self._cursors(drafts))
            return Plan(last, (view.unchanged, *known_host, *compares), tuple(writes))

        what = f"port {drafts[0].spec.name or ''} of network {network!r}"
        ports = await carry_out(self._store, make, what)
        for draft, port in zip(drafts, ports, strict=True):
            self.created[draft.position] = port
        if self._on_progress is not None:
            self._on_progress(len(self.created))

    async def _learn(self, network: str, drafts: list[Draft], last: list[Port], failed: Failed) -> None:
        """Find out why the last attempt failed. Raises Taken if the caller insists on what is taken."""
        view = self._views.get(network)
        if view is not None and view.unchanged.key in failed:
            del self._views[network]
        for draft, port in zip(drafts, last, strict=True):
            if failed.isdisjoint(records.of_port(port)):
                continue
            chosen = {addresses.text(subnet, number) for subnet, number in draft.chosen.values()}
            await refuse_taken(self._store, port, failed, chosen=chosen, chosen_mac=draft.spec.mac is None)
            await draft.learn(port, failed, self._searches)

    async def _prepare(self, network: str, view: NetworkView, host: str | None) -> tuple[Compare, ...]:
        """One read: cursors of subnets that were not searched yet, and the host."""
        new = [subnet for subnet in view.subnets if subnet not in self._searches]
        wanted = [keys.cursor(subnet.id) for subnet in new[:_CURSORS_READ]]
        if host is not None:
            wanted += host_keys(host)
        found = (await self._store.get(wanted)).items if wanted else {}
        for subnet in new:
            if subnet in self._searches:
                continue  # another worker was faster
            search = self._searches[subnet] = address_search(self._store, subnet)
            search.begin(found.get(search.cursor_key))
            for address in self._asked_for[network]:
                if address.version == subnet.version:
                    search.avoid(int(address))
        return () if host is None else (await known_host(self._store, host, found),)

    def _cursors(self, drafts: list[Draft]) -> list[Write]:
        searched = {subnet for draft in drafts for subnet, _ in draft.chosen.values()}
        return [self._searches[subnet].cursor() for subnet in list(searched)[:_MAX_CURSORS]]


def host_keys(host: str) -> list[str]:
    """Where a known host stands: at least one of these. Raises Invalid."""
    checks.name(host, "host")
    return [keys.inventory(host), keys.host(host)]


async def known_host(store: Store, host: str, found: Mapping[str, Item]) -> Compare:
    """A compare that holds as long as the cluster knows `host`. Raises NotFound, naming those it knows."""
    for key in host_keys(host):
        if key in found:
            return KeyAt(key, found[key].revision)
    known = [*(await store.snapshot(keys.INVENTORY)).items, *(await store.snapshot(keys.HOSTS)).items]
    names = ", ".join(sorted({key.rpartition("/")[2] for key in known}))
    way_out = f"known hosts are {names}" if names else f"start its agent, or 'plait host create {host}'"
    raise NotFound(f"host {host!r} is not known", way_out)


def address_search(store: Store, subnet: Subnet) -> Search:
    """A search among the addresses of `subnet`."""
    return Search(
        store,
        addresses.space(subnet),
        name=subnet.id,
        claims=keys.address_prefix(subnet.id),
        key=lambda number: keys.address(subnet.id, addresses.text(subnet, number)),
        number=addresses.number,
    )


def _together(ports: Sequence[Port]) -> records.Records:
    """The records of all ports. Raises Taken if two of them want the same."""
    everything: records.Records = {}
    for port in ports:
        of_port = records.of_port(port)
        twice = everything.keys() & of_port.keys()
        if twice:
            raise Taken(
                f"two of the ports asked for want {min(twice).rpartition('/')[2]!r}", "ask for different ones"
            )
        everything |= of_port
    return everything


def _chunks(specs: Sequence[PortSpec]) -> Iterator[tuple[Group, list[Draft]]]:
    groups: dict[Group, list[Draft]] = {}
    for position, spec in enumerate(specs):
        groups.setdefault((spec.network, spec.host), []).append(Draft(spec, position))
    for group, drafts in groups.items():
        chunk: list[Draft] = []
        size = _SHARED
        for draft in drafts:
            cost = _RECORDS_OF_A_PORT + max(2, len(draft.spec.addresses) + len(draft.spec.subnets))
            if chunk and size + cost > MAX_COMMIT_OPS:
                yield group, chunk
                chunk, size = [], _SHARED
            chunk.append(draft)
            size += cost
        yield group, chunk
