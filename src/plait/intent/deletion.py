"""Removing ports, with everything that stands in the store because of them."""

import asyncio
from collections.abc import Iterator, Sequence

from plait.intent import personal, records
from plait.intent.errors import NotFound
from plait.intent.transactions import COMMITS_IN_FLIGHT, Failed, Plan, carry_out, gone, remove_all
from plait.model.codec import decode
from plait.model.entities import Port
from plait.store import keys
from plait.store.api import MAX_COMMIT_OPS, Compare, KeyAt, Store

_SPARE_FOR_HOSTS = 4
"""Status and reach of the host, and of one that the port has just left."""
_FEW = 16
Words = dict[str, frozenset[str]]
"""Port id -> hosts that have a reach record of it."""


async def delete_ports(store: Store, ports: Sequence[Port], *, missing_is_fine: bool) -> None:
    """Remove `ports`, in commits of several. Raises NotFound for one that is gone, unless `missing_is_fine`.

    Status and reach records go too, so that a dead host's word does not outlive the port; a living host's
    agent withdraws its own, and finds them gone.
    """
    unique = list({port.id: port for port in ports}.values())
    said = await _words_of_hosts(store, unique)
    chunks = _chunks(unique)

    async def work() -> None:
        for chunk in chunks:
            for port in await _delete_chunk(store, chunk, said, missing_is_fine=missing_is_fine):
                await _delete_with_policy(store, port, said)

    outcomes = await asyncio.gather(*(work() for _ in range(COMMITS_IN_FLIGHT)), return_exceptions=True)
    for outcome in outcomes:
        if outcome is not None:
            raise outcome


async def _delete_chunk(
    store: Store, ports: Sequence[Port], said: Words, *, missing_is_fine: bool
) -> list[Port]:
    """Those are left, and returned, that have a group of their own."""

    async def make(failed: Failed) -> Plan[list[Port]]:
        found = (await store.get([keys.port(port.network, port.id) for port in ports])).items
        compares: list[Compare] = []
        doomed: list[str] = []
        left: list[Port] = []
        for asked in ports:
            key = keys.port(asked.network, asked.id)
            if key not in found:
                if missing_is_fine:
                    continue
                raise NotFound(f"port {asked.name!r} is gone already", "nothing is left to do")
            port = decode(Port, found[key].value)
            if personal.has_own_group(port):
                left.append(port)
                continue
            compares.append(KeyAt(key, found[key].revision))
            doomed.extend(_doomed(port, said))
        return Plan(left, tuple(compares), tuple(gone(doomed[:MAX_COMMIT_OPS])))

    return await carry_out(store, make, "deleting ports")


async def _delete_with_policy(store: Store, port: Port, said: Words) -> None:
    """Remove a port together with its own group, and the rules of others that name it."""
    key = keys.port(port.network, port.id)

    async def make(failed: Failed) -> Plan[tuple[personal.Remains, list[str]] | None]:
        item = (await store.get([key])).items.get(key)
        if item is None:
            return Plan(None, (), ())
        now = decode(Port, item.value)
        remains = await personal.remains(store, now)
        doomed = [*_doomed(now, said), *remains.doomed]
        compares = (KeyAt(key, item.revision), *remains.compares)
        return Plan((remains, doomed[MAX_COMMIT_OPS:]), compares, tuple(gone(doomed[:MAX_COMMIT_OPS])))

    outcome = await carry_out(store, make, f"deleting port {port.name!r}")
    if outcome is not None:
        remains, rest = outcome
        await remove_all(store, rest)
        await personal.tidy(store, remains.partners)


def _doomed(port: Port, said: Words) -> list[str]:
    """The port's records and claims, and what hosts say of it."""
    hosts = said.get(port.id, frozenset())
    speakers = hosts if port.host is None else hosts | {port.host}
    words = [keys.reach(port.network, port.id, host) for host in sorted(hosts)]
    words += [keys.status(host, port.id) for host in sorted(speakers)]
    return [*records.of_port(port), *words]


async def _words_of_hosts(store: Store, ports: Sequence[Port]) -> Words:
    """Which hosts speak of which port: asked port by port if they are few, else network by network."""
    prefixes = {keys.reach_of_port(port.network, port.id) for port in ports}
    if len(prefixes) > _FEW:
        prefixes = {keys.reach_prefix(port.network) for port in ports}
    said: Words = {}
    for prefix in prefixes:
        for key in (await store.snapshot(prefix)).items:
            _, port, host = key.removeprefix(keys.REACH).split("/", 2)
            said[port] = said.get(port, frozenset()) | {host}
    return said


def _chunks(ports: Sequence[Port]) -> Iterator[Sequence[Port]]:
    """Ports with many addresses alone, the others some at a time, within `MAX_COMMIT_OPS`."""
    chunk: list[Port] = []
    size = 0
    for port in ports:
        cost = len(records.of_port(port)) + _SPARE_FOR_HOSTS
        if chunk and size + cost > MAX_COMMIT_OPS:
            yield chunk
            chunk, size = [], 0
        chunk.append(port)
        size += cost
    if chunk:
        yield chunk
