"""Does the store hold exactly what follows from the things in it, nothing more, nothing less, once each?

The records of every thing are computed again (`records.py`) and compared with what stands. Meant for a quiet
store: while others write, a word of an agent may stand for a moment longer than its port.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from plait.intent import records
from plait.model.checks import Invalid
from plait.model.codec import decode
from plait.model.entities import Entity, Host, Network, Port, Subnet
from plait.model.policy import PERSONAL, AddressEntry, AddressGroup, Group, Rule
from plait.model.routers import Peering, Router, RouterInterface
from plait.store import keys
from plait.store.api import Item, Store

_FOLLOWING = (
    keys.NAMES,
    keys.ALLOCATIONS,
    keys.BOUND,
    keys.MEMBERS,
    keys.REFERENCES,
    keys.ASKED,
    keys.PAIRS,
)
"""What stands only because of a thing."""


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
        if (key.startswith(_FOLLOWING) or _is_projection(key)) and key not in expected:
            yield f"{key} belongs to nothing that exists"
    yield from _orphans(stored, things)


def _orphans(stored: Mapping[str, Item], things: list[Entity]) -> Iterator[str]:
    """Words of agents about ports that are not there, and things that belong to what does not exist."""
    for thing in things:
        for needed in _needs(thing):
            if needed not in stored:
                yield f"{thing.kind} {_id(thing)} needs {needed}, which does not exist"
    ports = {thing.id: thing for thing in things if isinstance(thing, Port)}
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


def _needs(thing: Entity) -> Iterator[str]:
    """The keys of other things that this one can't be without."""
    match thing:
        case Subnet():
            yield keys.network(thing.network)
        case Port():
            yield keys.network(thing.network)
            yield from (keys.subnet(thing.network, fixed.subnet) for fixed in thing.addresses)
            yield from (keys.group(group) for group in thing.groups)
        case RouterInterface():
            yield keys.router(thing.router)
            yield keys.subnet(thing.network, thing.subnet)
        case Peering():
            yield from (keys.router(thing.router), keys.router(thing.peer))
        case Group() if thing.is_personal:
            yield keys.member(thing.id, thing.id.removeprefix(PERSONAL))
        case Rule():
            yield keys.group(thing.group)
            if thing.remote_group is not None:
                yield keys.group(thing.remote_group)
            if thing.address_group is not None:
                yield keys.address_group(thing.address_group)
        case AddressEntry():
            yield keys.address_group(thing.group)


def _id(thing: Entity) -> str:
    return str(getattr(thing, "id", ""))


_KINDS: tuple[tuple[str, dict[str, type[Entity]]], ...] = (
    (keys.NETWORKS, {"info": Network, "subnet": Subnet}),
    (keys.ROUTERS, {"info": Router, "if": RouterInterface, "peer": Peering}),
    (keys.GROUPS, {"info": Group, "rule": Rule}),
    (keys.ADDRESS_GROUPS, {"info": AddressGroup, "entry": AddressEntry}),
)
"""Where things stand that have others below them: the word behind the id says what it is."""


def _kind(key: str) -> type[Entity] | None:
    for prefix, kinds in _KINDS:
        if key.startswith(prefix):
            return kinds.get(_word(key, prefix))
    if key.startswith(keys.PORTS):
        return Port
    return Host if key.startswith(keys.INVENTORY) else None


def _is_projection(key: str) -> bool:
    """Whether it is a router's interface below its network."""
    return key.startswith(keys.NETWORKS) and _word(key, keys.NETWORKS) == "router"


def _word(key: str, prefix: str) -> str:
    return key.removeprefix(prefix).split("/", 2)[1]


_RECORDS: dict[type[Entity], Callable[[Any], records.Records]] = {
    Network: records.of_network,
    Subnet: records.of_subnet,
    Port: records.of_port,
    Host: records.of_host,
    Router: records.of_router,
    RouterInterface: records.of_interface,
    Peering: records.of_peering,
    Group: records.of_group,
    Rule: records.of_rule,
    AddressGroup: records.of_address_group,
    AddressEntry: records.of_address_entry,
}


def _records(thing: Entity) -> records.Records:
    return _RECORDS[type(thing)](thing)
