"""Ids, names, and the way from one to the other.

An id is random hex and never changes; the id of a subnet or port begins with its network's id, so that an id
alone is enough to find the record. A name belongs to a project and a kind, and is claimed like an address.
"""

import re
import secrets
from collections.abc import Sequence
from typing import TypeVar

from plait.intent.errors import NotFound, Stale, Taken
from plait.intent.records import ADDRESS_GROUP
from plait.intent.transactions import Failed
from plait.model import checks
from plait.model.codec import decode
from plait.model.entities import Entity, Network, Port, Subnet
from plait.model.policy import AddressGroup, Group
from plait.model.routers import Router
from plait.store import keys
from plait.store.api import MAX_COMMIT_OPS, Item, Revision, Store

Named = TypeVar("Named", Network, Subnet, Port, Router, Group, AddressGroup)

_RANDOM_BYTES = 4
_ID_LENGTH = 2 * _RANDOM_BYTES
_HEX = re.compile(r"[0-9a-f]+\Z")
_ATTEMPTS = 8
_CLAIMED_AS = {AddressGroup.kind: ADDRESS_GROUP}
_LISTED_BY = {AddressGroup.kind: "addresses"}


def new_id(within: str = "") -> str:
    """A random id; with `within`, that of a thing inside another. Unique only once its record is claimed."""
    return within + secrets.token_hex(_RANDOM_BYTES)


def name_key(kind: type[Entity], project: str, name: str) -> str:
    """Where the name of a thing is claimed."""
    return keys.name(_CLAIMED_AS.get(kind.kind, kind.kind), project, name)


def record_key(kind: type[Entity], id: str) -> str | None:
    """Where the record of `id` stands; None if `id` can't be an id of this kind."""
    if not _HEX.match(id):
        return None
    if kind is Port or kind is Subnet:
        if len(id) != 2 * _ID_LENGTH:
            return None
        network = id[:_ID_LENGTH]
        return keys.port(network, id) if kind is Port else keys.subnet(network, id)
    if len(id) != _ID_LENGTH:
        return None
    if kind is Network:
        return keys.network(id)
    if kind is Router:
        return keys.router(id)
    return keys.group(id) if kind is Group else keys.address_group(id)


async def resolve(store: Store, kind: type[Named], project: str, ref: str) -> tuple[Named, Revision]:
    """The thing of `project` that has `ref` as its id or else as its name, and its record's revision.

    Raises NotFound, Invalid. Two reads by name, one by id.
    """
    by_name = name_key(kind, project, checks.name(ref, kind.kind))
    by_id = record_key(kind, ref) or by_name
    for _ in range(_ATTEMPTS):
        found = (await store.get(sorted({by_id, by_name}))).items
        if by_id != by_name and by_id in found:
            thing = decode(kind, found[by_id].value)
            if thing.project == project:
                return thing, found[by_id].revision
        if by_name not in found:
            raise not_found(kind.kind, project, ref)
        key = _named_key(kind, ref, found[by_name])
        item = (await store.get([key])).items.get(key)
        if item is not None:
            return decode(kind, item.value), item.revision
    raise Stale(f"{kind.kind} {ref!r} comes and goes", "try again")


async def resolve_all(
    store: Store, kind: type[Named], project: str, refs: Sequence[str]
) -> list[tuple[Named, Revision]]:
    """As `resolve`, in the order of `refs`, with two reads for sixty of them."""
    found: list[tuple[Named, Revision]] = []
    step = MAX_COMMIT_OPS // 2
    for first in range(0, len(refs), step):
        found.extend(await _resolve_some(store, kind, project, refs[first : first + step]))
    return found


async def _resolve_some(
    store: Store, kind: type[Named], project: str, refs: Sequence[str]
) -> list[tuple[Named, Revision]]:
    by_name: dict[str, str] = {ref: name_key(kind, project, checks.name(ref, kind.kind)) for ref in refs}
    by_id: dict[str, str | None] = {ref: record_key(kind, ref) for ref in refs}
    asked = {*by_name.values(), *(key for key in by_id.values() if key is not None)}
    items = dict((await store.get(sorted(asked))).items)
    named = {
        ref: _named_key(kind, ref, items[key])
        for ref, key in by_name.items()
        if by_id[ref] not in items and key in items
    }
    if named:
        items |= (await store.get(sorted(set(named.values())))).items
    found: list[tuple[Named, Revision]] = []
    for ref in refs:
        item = items.get(named.get(ref) or by_id[ref] or "")
        if item is None:
            raise not_found(kind.kind, project, ref)
        thing = decode(kind, item.value)
        if thing.project != project:
            found.append(await resolve(store, kind, project, ref))  # its name may be another's id
        else:
            found.append((thing, item.revision))
    return found


def _named_key(kind: type[Entity], ref: str, claim: Item) -> str:
    """Where a claimed name leads. Raises NotFound for a name that leads to nothing that can be."""
    key = record_key(kind, claim.value.decode(errors="replace"))
    if key is None:
        raise NotFound(
            f"name {ref!r} leads to {claim.value!r}, which is no {kind.kind}'s id",
            "run 'plait audit'",
        )
    return key


async def refuse_taken(store: Store, kind: type[Named], project: str, name: str, failed: Failed) -> None:
    """Raises Taken if the last attempt failed at claiming `name`, and it is still claimed."""
    key = name_key(kind, project, name)
    if key in failed and (await store.get([key])).items:
        raise Taken(
            f"there is {an(kind.kind)} {name!r} in project {project!r} already",
            "choose another name, or delete that one",
        )


def an(thing: str) -> str:
    """A noun with its article."""
    return f"{'an' if thing[0] in 'aeiou' else 'a'} {thing}"


def not_found(kind: str, project: str, ref: str) -> NotFound:
    """The refusal of a name or id that leads to nothing."""
    command = _LISTED_BY.get(kind, kind)
    return NotFound(
        f"there is no {kind} {ref!r} in project {project!r}", f"'plait {command} list' shows those that exist"
    )


async def describe_port(store: Store, owner: bytes) -> str:
    """A port, or a router, that holds a claim, as people know it."""
    id = owner.decode()
    if len(id) == _ID_LENGTH:
        router = (await store.get([keys.router(id)])).items.get(keys.router(id))
        return f"router {id}" if router is None else described(decode(Router, router.value))
    key = record_key(Port, id)
    item = None if key is None else (await store.get([key])).items.get(key)
    return f"port {id}" if item is None else described(decode(Port, item.value))


def described(thing: Named) -> str:
    """Like "port 'web-1' (1f…)"; the id alone if it has no other name."""
    if thing.name == thing.id:
        return f"{thing.kind} {thing.id}"
    return f"{thing.kind} {thing.name!r} ({thing.id})"


async def read_all(store: Store, wanted: Sequence[str]) -> dict[str, Item]:
    """What stands at any number of keys, in reads of as many as a read takes."""
    found: dict[str, Item] = {}
    for first in range(0, len(wanted), MAX_COMMIT_OPS):
        found |= (await store.get(wanted[first : first + MAX_COMMIT_OPS])).items
    return found
