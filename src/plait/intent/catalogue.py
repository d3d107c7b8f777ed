"""What networks, routers, groups and address groups have in common: a project lists them by name, and gives
one of them another name or other properties."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic

import msgspec
from msgspec import UNSET

from plait.intent import names
from plait.intent.names import Named
from plait.intent.records import Records
from plait.intent.transactions import Failed, Plan, carry_out, changed
from plait.model.codec import decode
from plait.store.api import Store


@dataclass(frozen=True, slots=True)
class Catalogue(Generic[Named]):
    """Things of one kind: each below `prefix`, its own record at `key(id)`, with others as `records` says."""

    kind: type[Named]
    prefix: str
    key: Callable[[str], str]
    records: Callable[[Named], Records]

    async def list(self, store: Store, project: str) -> list[Named]:
        """All of a project, by name."""
        found = (await store.snapshot(self.prefix)).items
        things = [decode(self.kind, item.value) for key, item in found.items() if key.endswith("/info")]
        return sorted((each for each in things if each.project == project), key=lambda each: each.name)

    async def change(self, store: Store, project: str, ref: str, wanted: Mapping[str, Any]) -> Named:
        """Give a thing other fields; UNSET leaves one as it is. Raises NotFound, Taken, Invalid, Stale."""
        changes = {field: value for field, value in wanted.items() if value is not UNSET}

        async def make(failed: Failed) -> Plan[Named]:
            before, revision = await names.resolve(store, self.kind, project, ref)
            after = msgspec.structs.replace(before, **changes)
            if before.name != after.name:
                await names.refuse_taken(store, self.kind, project, after.name, failed)
            compares, writes = changed(
                self.records(before), self.records(after), key=self.key(before.id), revision=revision
            )
            return Plan(after, tuple(compares), tuple(writes))

        return await carry_out(store, make, f"{self.kind.kind} {ref!r}")
