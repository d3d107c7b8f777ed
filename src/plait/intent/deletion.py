"""Removing ports, with everything that stands in the store because of them."""

import asyncio
from collections.abc import Iterator, Sequence

from plait.intent import records
from plait.intent.errors import NotFound
from plait.intent.transactions import COMMITS_IN_FLIGHT, Failed, Plan, carry_out, gone
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
            await _delete_chunk(store, chunk, said, missing_is_fine=missing_is_fine)

    outcomes = await asyncio.gather(*(work() for _ in range(COMMITS_IN_FLIGHT)), return_exceptions=True)
    for outcome in outcomes:
        if outcome is not None:
            raise outcome


async def _delete_chunk(store: Store, ports: Sequence[Port], said: Words, *, missing_is_fine: bool) -> None:
    async def make(failed: Failed) -> Plan[None]:
        found = (await store.get([keys.port(port.network, port.id) for port in ports])).items
        compares: list[Compare] = []
        claims: list[str] = []
        words: list[str] = []
        for asked in ports:
            key = keys.port(asked.network, asked.id)
            if key not in found:
                if missing_is_fine:
                    continue
                raise NotFound(f"port {asked.name!r} is gone already", "nothing is left to do")
            port = decode(Port, found[key].value)
            compares.append(KeyAt(key, found[key].revision))
            claims.extend(records.of_port(port))
            hosts = said.get(port.id, frozenset())
            words.extend(keys.reach(port.network, port.id, host) for host in sorted(hosts))
            speakers = hosts if port.host is None else hosts | {port.host}
            words.extend(keys.status(host, port.id) for host in sorted(speakers))
        return Plan(None, tuple(compares), tuple(gone((claims + words)[:MAX_COMMIT_OPS])))

    await carry_out(store, make, "deleting ports")


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
