"""Making ports, one or ten thousand: as many to a commit as it takes, several commits in flight.

A commit is filled with ports of any networks and hosts: those that are spread thinly need hardly more commits
than those of one network.

Rule 1: all or none. If one port can't be made, or the caller is cancelled, those already made go again.
Rule 2: in the usual case a commit costs one read at most, whatever the network already holds.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence

from plait.intent import records
from plait.intent.address_pairs import check_among, check_port, refuse_gateways
from plait.intent.allocation import Search
from plait.intent.claimants import refuse_taken
from plait.intent.draft import Draft
from plait.intent.errors import NotFound, Taken
from plait.intent.known_groups import KnownGroups, forget, look_up
from plait.intent.network_view import NetworkView, load
from plait.intent.port_spec import PortSpec
from plait.intent.subnets import touched
from plait.intent.transactions import COMMITS_IN_FLIGHT, Failed, Plan, born, carry_out, subject
from plait.model import addresses, checks
from plait.model.checks import IPAddress
from plait.model.entities import Port, Subnet
from plait.store import keys
from plait.store.api import MAX_COMMIT_OPS, Compare, Item, KeyAt, Store, Write

_RECORDS_OF_A_PORT = 5
"""Without addresses: the port, its name, MAC, host and device."""
_COMPARES_OF_PAIRS = 41
_MAX_CURSORS = 4
"""Of one network: where the next searches of its subnets begin."""

Views = dict[str, NetworkView]
"""Networks as they were last seen, by name or id as asked for; each commit compares that they still stand."""


class Creation:
    """One request for ports of one project."""

    def __init__(
        self,
        store: Store,
        project: str,
        views: Views,
        groups: KnownGroups,
        *,
        on_progress: Callable[[int], None] | None,
    ) -> None:
        self.created: dict[int, Port] = {}
        self._store = store
        self._project = project
        self._views = views
        self._groups = groups
        self._searches: dict[Subnet, Search] = {}
        self._known_hosts: dict[str, Compare] = {}
        self._asked_for: dict[str, list[IPAddress]] = {}
        self._pairs: dict[str, list[str]] = {}
        self._on_progress = on_progress
        self._stopped = False

    async def run(self, specs: Sequence[PortSpec]) -> list[Port]:
        """The ports, in the order of `specs`. When this raises, `created` has what must be removed again."""
        for spec in specs:
            self._asked_for.setdefault(spec.network, []).extend(checks.ip(each) for each in spec.addresses)
            self._pairs.setdefault(spec.network, []).extend(pair.prefix for pair in spec.address_pairs)
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

    async def _work(self, chunks: Iterator[list[Draft]]) -> None:
        for drafts in chunks:
            if self._stopped:
                return
            try:
                await self._create(drafts)
            except BaseException:
                self._stopped = True
                raise

    async def _create(self, drafts: list[Draft]) -> None:
        networks = dict.fromkeys(draft.spec.network for draft in drafts)
        hosts = dict.fromkeys(draft.spec.host for draft in drafts if draft.spec.host is not None)
        last: list[Port] = []

        async def make(failed: Failed) -> Plan[list[Port]]:
            nonlocal last
            if failed:
                await self._learn(drafts, last, failed)
            views = {network: await self._view(network) for network in networks}
            known_hosts = await self._prepare(views, list(hosts))
            wanted = [group for draft in drafts for group in draft.spec.groups]
            groups = await look_up(self._store, self._project, wanted, self._groups)
            ids = {ref: known.id for ref, known in groups.items()}
            last = [await self._port(draft, views[draft.spec.network], ids) for draft in drafts]
            compares, writes = born(_together(last))
            writes.extend(self._cursors(drafts))
            compares.extend(await self._check(last, views))
            writes.extend(_with_pairs(last, views))
            # By name and by id it may be the same network, or group.
            unchanged = dict.fromkeys(view.unchanged for view in views.values())
            in_groups = dict.fromkeys(known.unchanged for known in groups.values())
            return Plan(last, (*unchanged, *known_hosts, *in_groups, *compares), tuple(writes))

        what = f"port {drafts[0].spec.name or ''} of network {drafts[0].spec.network!r}"
        ports = await carry_out(self._store, make, what)
        for draft, port in zip(drafts, ports, strict=True):
            self.created[draft.position] = port
        if self._on_progress is not None:
            self._on_progress(len(self.created))

    async def _port(self, draft: Draft, view: NetworkView, groups: Mapping[str, str]) -> Port:
        for pair in draft.spec.address_pairs:
            refuse_gateways(view, checks.prefix(pair.prefix))
        kept_free = [pair.prefix for _, pair in view.pairs] + self._pairs[draft.spec.network]
        return await draft.port(view, self._searches, groups, dict.fromkeys(kept_free))

    async def _check(self, ports: Sequence[Port], views: Mapping[str, NetworkView]) -> list[Compare]:
        """Raises Taken, Invalid if a port could send as another; else what keeps it so."""
        by_id = {view.network.id: view for view in views.values()}
        found = [await check_port(self._store, by_id[port.network], port) for port in ports]
        check_among(ports)
        return list(dict.fromkeys(compare for compares in found for compare in compares))

    async def _view(self, network: str) -> NetworkView:
        view = self._views.get(network)
        if view is None:
            view = self._views[network] = await load(self._store, self._project, network)
        return view

    async def _learn(self, drafts: list[Draft], last: list[Port], failed: Failed) -> None:
        """Find out why the last attempt failed. Raises Taken if the caller insists on what is taken."""
        for host, known in list(self._known_hosts.items()):
            if subject(known) in failed:
                self._known_hosts.pop(host, None)
        for network in {draft.spec.network for draft in drafts}:
            view = self._views.get(network)
            if view is not None and view.unchanged.key in failed:
                del self._views[network]
        forget(self._groups, failed)
        for draft, port in zip(drafts, last, strict=True):
            if failed.isdisjoint(records.of_port(port)):
                continue
            chosen = {addresses.text(subnet, number) for subnet, number in draft.chosen.values()}
            if draft.spec.mac is None:
                chosen |= {key.rpartition("/")[2] for key in draft.of_mac(port)}
            await refuse_taken(self._store, port, failed, chosen=chosen, chosen_mac=draft.spec.mac is None)
            await draft.learn(port, failed, self._searches)

    async def _prepare(self, views: Mapping[str, NetworkView], hosts: Sequence[str]) -> list[Compare]:
        """One read at most: cursors of subnets not searched yet, and hosts not met yet in this request."""
        new = [
            (network, subnet)
            for network, view in views.items()
            for subnet in view.subnets
            if subnet not in self._searches
        ]
        met = {host: self._known_hosts[host] for host in hosts if host in self._known_hosts}
        wanted = [key for host in hosts if host not in met for key in host_keys(host)]
        wanted += [keys.cursor(subnet.id) for _, subnet in new][: MAX_COMMIT_OPS - len(wanted)]
        found = (await self._store.get(wanted)).items if wanted else {}
        for network, subnet in new:
            if subnet in self._searches:
                continue  # another worker was faster
            search = self._searches[subnet] = address_search(self._store, subnet)
            search.begin(found.get(search.cursor_key))
            for address in self._asked_for[network]:
                if address.version == subnet.version:
                    search.avoid(int(address))
        for host in hosts:
            if host not in met:
                met[host] = self._known_hosts[host] = await known_host(self._store, host, found)
        return list(met.values())

    def _cursors(self, drafts: list[Draft]) -> list[Write]:
        searched: dict[str, set[Subnet]] = {}
        for draft in drafts:
            of_network = searched.setdefault(draft.spec.network, set())
            of_network.update(subnet for subnet, _ in draft.chosen.values())
        some = {subnet for subnets in searched.values() for subnet in list(subnets)[:_MAX_CURSORS]}
        return [self._searches[subnet].cursor() for subnet in some]


def _with_pairs(ports: Sequence[Port], views: Mapping[str, NetworkView]) -> list[Write]:
    """The records of the networks whose ports have new address pairs: they tell of them too."""
    wanted = {port.network for port in ports if port.address_pairs}
    networks = {view.network.id: view.network for view in views.values()}
    return [touched(networks[id]) for id in sorted(wanted)]


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


def _chunks(specs: Sequence[PortSpec]) -> Iterator[list[Draft]]:
    """As many drafts as a commit has room for; those that share network and host stand together."""
    groups: dict[tuple[str, str | None], list[Draft]] = {}
    for position, spec in enumerate(specs):
        groups.setdefault((spec.network, spec.host), []).append(Draft(spec, position))
    chunk: list[Draft] = []
    shared: set[tuple[str, str | None]] = set()
    size = 0
    for draft in (draft for drafts in groups.values() for draft in drafts):
        spec = draft.spec
        # What all ports of a network, and all of a host, have in common is there once.
        common = {("network", spec.network): 1, ("host", spec.host): 1}
        if not spec.addresses or spec.subnets:
            common["cursors", spec.network] = _MAX_CURSORS
        own = _RECORDS_OF_A_PORT + max(2, len(spec.addresses) + len(spec.subnets))
        own += len(spec.groups) + (_COMPARES_OF_PAIRS if spec.address_pairs else 0)
        common |= {("group", group): 1 for group in spec.groups}
        more = own + sum(cost for what, cost in common.items() if what not in shared)
        if chunk and size + more > MAX_COMMIT_OPS:
            yield chunk
            chunk, shared, size = [], set(), 0
            own += len(spec.groups) + (_COMPARES_OF_PAIRS if spec.address_pairs else 0)
        common |= {("group", group): 1 for group in spec.groups}
        more = own + sum(common.values())
        chunk.append(draft)
        shared |= common.keys()
        size += more
    if chunk:
        yield chunk
