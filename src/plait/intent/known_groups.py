"""Groups by the names that ports are to be in, remembered from one port to the next like networks are."""

from collections.abc import Iterable

import msgspec

from plait.intent import names
from plait.intent.transactions import Failed
from plait.model.policy import Group
from plait.store import keys
from plait.store.api import KeyAt, Store


class KnownGroup(msgspec.Struct, frozen=True):
    """A group's id, and the compare that holds as long as the group stands as it was read."""

    id: str
    unchanged: KeyAt


KnownGroups = dict[str, KnownGroup]
"""By what they are asked for as; a commit compares that they still stand."""


async def look_up(store: Store, project: str, refs: Iterable[str], known: KnownGroups) -> KnownGroups:
    """Those of `refs`, read only if they are not in `known` yet. Raises NotFound."""
    wanted = list(dict.fromkeys(refs))
    new = [ref for ref in wanted if ref not in known]
    if new:
        found = await names.resolve_all(store, Group, project, new)
        for ref, (group, revision) in zip(new, found, strict=True):
            known[ref] = KnownGroup(group.id, KeyAt(keys.group(group.id), revision))
    return {ref: known[ref] for ref in wanted}


def forget(known: KnownGroups, failed: Failed) -> None:
    """What a commit failed at is read again."""
    for ref, group in list(known.items()):
        if group.unchanged.key in failed:
            del known[ref]
