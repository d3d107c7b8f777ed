"""Ids, names, and the way from one to the other.

An id is random hex and never changes; the id of a subnet or port begins with its network's id, so that an id
alone is enough to find the record. A name belongs to a project and a kind, and is claimed like an address.
"""

import re
import secrets
from typing import TypeVar

from plait.intent.errors import NotFound, Stale, Taken
from plait.intent.transactions import Failed
from plait.model import checks
from plait.model.codec import decode
from plait.model.entities import Network, Port, Subnet
from plait.store import keys
from plait.store.api import Revision, Store

Named = TypeVar("Named", Network, Subnet, Port)

_RANDOM_BYTES = 4
_NETWORK_ID_LENGTH = 2 * _RANDOM_BYTES
_HEX = re.compile(r"[0-9a-f]+\Z")
_ATTEMPTS = 8


def new_id(network: str = "") -> str:
    """A random id; with `network`, that of a thing inside it. Unique only once its record is claimed."""
    return network + secrets.token_hex(_RANDOM_BYTES)


def record_key(kind: type[Named], id: str) -> str | None:
    """Where the record of `id` stands; None if `id` can't be an id of this kind."""
    if not _HEX.match(id):
        return None
    if kind is Network:
        return keys.network(id) if len(id) == _NETWORK_ID_LENGTH else None
    if len(id) != 2 * _NETWORK_ID_LENGTH:
        return None
    network = id[:_NETWORK_ID_LENGTH]
    return keys.port(network, id) if kind is Port else keys.subnet(network, id)


async def resolve(store: Store, kind: type[Named], project: str, ref: str) -> tuple[Named, Revision]:
    """The thing of `project` that has `ref` as its id or else as its name, and its record's revision.

    Raises NotFound, Invalid. Two reads by name, one by id.
    """
    by_name = keys.name(kind.kind, project, checks.name(ref, kind.kind))
    by_id = record_key(kind, ref) or by_name
    for _ in range(_ATTEMPTS):
        found = (await store.get(sorted({by_id, by_name}))).items
        if by_id != by_name and by_id in found:
            thing = decode(kind, found[by_id].value)
            if thing.project == project:
                return thing, found[by_id].revision
        if by_name not in found:
            raise not_found(kind.kind, project, ref)
        key = record_key(kind, found[by_name].value.decode())
        if key is None:
            raise NotFound(
                f"name {ref!r} leads to {found[by_name].value!r}, which is no {kind.kind}'s id",
                "run 'plait audit'",
            )
        item = (await store.get([key])).items.get(key)
        if item is not None:
            return decode(kind, item.value), item.revision
    raise Stale(f"{kind.kind} {ref!r} comes and goes", "try again")


async def refuse_taken(store: Store, kind: type[Named], project: str, name: str, failed: Failed) -> None:
    """Raises Taken if the last attempt failed at claiming `name`, and it is still claimed."""
    key = keys.name(kind.kind, project, name)
    if key in failed and (await store.get([key])).items:
        raise Taken(
            f"there is a {kind.kind} {name!r} in project {project!r} already",
            "choose another name, or delete that one",
        )


def not_found(kind: str, project: str, ref: str) -> NotFound:
    """The refusal of a name or id that leads to nothing."""
    return NotFound(
        f"there is no {kind} {ref!r} in project {project!r}", f"'plait {kind} list' shows those that exist"
    )


async def describe_port(store: Store, owner: bytes) -> str:
    """A port that holds a claim, as people know it."""
    id = owner.decode()
    key = record_key(Port, id)
    item = None if key is None else (await store.get([key])).items.get(key)
    if item is None:
        return f"port {id}"
    port = decode(Port, item.value)
    return f"port {id}" if port.name == id else f"port {port.name!r} ({id})"
