"""Does the store hold exactly what follows from the things in it, nothing more, nothing less, once each?

The records of every thing are computed again (`records.py`) and compared with what stands. Meant for a quiet
store: while others write, a word of an agent may stand for a moment longer than its port.
"""

from collections.abc import Iterator, Mapping

from plait.intent import records
from plait.model.checks import Invalid
from plait.model.codec import decode
from plait.model.entities import Entity, Host, Network, Port, Subnet
from plait.store import keys
from plait.store.api import Item, Store

_FOLLOWING = (keys.NAMES, keys.ALLOCATIONS, keys.BOUND)
"""What stands only because of a network, subnet or port."""


async def audit(store: Store) -> list[str]:
    """Everything that is wrong, one line each; reads the whole store, at one revision."""
    stored = (await store.snapshot(keys.ROOT)).items
    return list(find_faults(stored))


def find_faults(stored: Mapping[str, Item]) -> Iterator[str]:
    """Things that can't be read; records that are missing, wrong, claimed twice or there for nothing."""
    things: list[Entity] = []
    for key, item in stored.items():
        kind = _kind(key)
        if kind is None:
            continue
        try:
            things.append(decode(kind, item.value))
        except Invalid as error:
            yield f"{key} is unreadable: {error}"
    expected: dict[str, bytes] = {}
    for thing in things:
        for key, value in _records(thing).items():
            if key in expected:
                yield f"{key} is claimed twice: by {expected[key].decode()} and by {value.decode()}"
            expected[key] = value
    for key, value in expected.items():
        if key not in stored:
            yield f"{key} is missing"
        elif stored[key].value != value:
            yield f"{key} is {stored[key].value.decode(errors='replace')} but should be {value.decode()}"
    for key in stored:
        if key.startswith(_FOLLOWING) and key not in expected:
            yield f"{key} belongs to nothing that exists"
    yield from _orphans(stored, things)


def _orphans(stored: Mapping[str, Item], things: list[Entity]) -> Iterator[str]:
    """Words of agents about ports that are not there, and things in networks that do not exist."""
    networks = {thing.id for thing in things if isinstance(thing, Network)}
    ports = {thing.id: thing for thing in things if isinstance(thing, Port)}
    for thing in things:
        if isinstance(thing, Subnet | Port) and thing.network not in networks:
            yield f"{thing.kind} {thing.id} is in network {thing.network}, which does not exist"
    for key in stored:
        if key.startswith(keys.STATUSES):
            host, id = key.removeprefix(keys.STATUSES).split("/", 1)
        elif key.startswith(keys.REACH):
            _, id, host = key.removeprefix(keys.REACH).split("/", 2)
        else:
            continue
        if id not in ports:
            yield f"{key} speaks of a port that does not exist"
        elif ports[id].host != host:
            yield f"{key} speaks of a port that is on host {ports[id].host}"


def _kind(key: str) -> type[Entity] | None:
    if key.startswith(keys.NETWORKS):
        return Network if key.endswith("/info") else Subnet
    if key.startswith(keys.PORTS):
        return Port
    return Host if key.startswith(keys.INVENTORY) else None


def _records(thing: Entity) -> records.Records:
    match thing:
        case Network():
            return records.of_network(thing)
        case Subnet():
            return records.of_subnet(thing)
        case Port():
            return records.of_port(thing)
        case Host():
            return records.of_host(thing)
        case _:
            return {}
