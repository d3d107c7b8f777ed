"""Removing ports, with everything that stands in the store because of them."""

from collections.abc import Iterator, Sequence

from plait.intent import records
from plait.intent.errors import NotFound
from plait.intent.transactions import Failed, Plan, carry_out, gone
from plait.model.codec import decode
from plait.model.entities import Port
from plait.store import keys
from plait.store.api import MAX_COMMIT_OPS, Compare, KeyAt, Store

_SPARE_FOR_HOSTS = 4
"""Status and reach of the host, and of one that the port has just left."""


async def delete_ports(store: Store, ports: Sequence[Port], *, missing_is_fine: bool) -> None:
    """Remove `ports`, in commits of several. Raises NotFound for one that is gone, unless `missing_is_fine`.

    Status and reach records go too, so that a dead host's word does not outlive the port; a living host's
    agent withdraws its own, and finds them gone.
    """
    for chunk in _chunks(ports):
        await _delete_chunk(store, chunk, missing_is_fine=missing_is_fine)


async def _delete_chunk(store: Store, ports: Sequence[Port], *, missing_is_fine: bool) -> None:
    async def make(failed: Failed) -> Plan[None]:
        found = (await store.get([keys.port(port.network, port.id) for port in ports])).items
        compares: list[Compare] = []
        doomed: list[str] = []
        said: list[str] = []
        for asked in ports:
            key = keys.port(asked.network, asked.id)
            if key not in found:
                if missing_is_fine:
                    continue
                raise NotFound(f"port {asked.name!r} is gone already", "nothing is left to do")
            port = decode(Port, found[key].value)
            compares.append(KeyAt(key, found[key].revision))
            doomed.extend(records.of_port(port))
            said.extend(await _words_of_hosts(store, port))
        return Plan(None, tuple(compares), tuple(gone((doomed + said)[:MAX_COMMIT_OPS])))

    await carry_out(store, make, "deleting ports")


async def _words_of_hosts(store: Store, port: Port) -> list[str]:
    said = list((await store.snapshot(keys.reach_of_port(port.network, port.id))).items)
    hosts = {key.rpartition("/")[2] for key in said} | ({port.host} if port.host is not None else set())
    return said + [keys.status(host, port.id) for host in sorted(hosts)]


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
