"""Address groups: named sets of prefixes that rules can refer to.

An entry is written while its group's own record stands; a group goes only while no rule refers to it
(`keys.reference`).
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from plait.intent import names, records
from plait.intent.catalogue import Catalogue
from plait.intent.errors import InUse, NotFound
from plait.intent.groups import group_called
from plait.intent.transactions import (
    COMMITS_IN_FLIGHT,
    Failed,
    Plan,
    born,
    carry_out,
    gone,
    remove_all,
)
from plait.model import checks
from plait.model.codec import decode, encode
from plait.model.policy import AddressEntry, AddressGroup
from plait.store import keys
from plait.store.api import ABSENT, MAX_COMMIT_OPS, KeyAt, PrefixUnchanged, Put, Store, Write

_CATALOGUE = Catalogue(AddressGroup, keys.ADDRESS_GROUPS, keys.address_group, records.of_address_group)


@dataclass(frozen=True, slots=True)
class AddressGroups:
    """The address groups of one project."""

    store: Store
    project: str

    async def create(self, name: str, prefixes: Sequence[str] = ()) -> AddressGroup:
        """A new address group; with `prefixes` they are added after it is made. Raises Taken, Invalid."""
        parsed = canonical(prefixes)

        async def make(failed: Failed) -> Plan[AddressGroup]:
            await names.refuse_taken(self.store, AddressGroup, self.project, name, failed)
            group = AddressGroup(id=names.new_id(), name=name, project=self.project)
            compares, writes = born(records.of_address_group(group))
            # Rules refer to groups and address groups by id alone.
            return Plan(group, (KeyAt(keys.group(group.id), ABSENT), *compares), tuple(writes))

        group = await carry_out(self.store, make, f"address group {name!r}")
        if parsed:
            await self.add(group.id, parsed)
        return group

    async def get(self, ref: str) -> AddressGroup:
        """By name or id. Raises NotFound."""
        return (await names.resolve(self.store, AddressGroup, self.project, ref))[0]

    async def entries(self, ref: str) -> list[str]:
        """The prefixes of an address group, in order of family and address. Raises NotFound."""
        group = await self.get(ref)
        found = (await self.store.snapshot(keys.address_entry_prefix(group.id))).items
        prefixes = [checks.prefix(decode(AddressEntry, item.value).prefix) for item in found.values()]
        ordered = sorted(prefixes, key=lambda each: (each.version, int(each.network_address), each.prefixlen))
        return [str(each) for each in ordered]

    async def list(self) -> list[AddressGroup]:
        """All of the project, by name."""
        return await _CATALOGUE.list(self.store, self.project)

    async def set(self, ref: str, *, name: str) -> AddressGroup:
        """Give it another name. Raises NotFound, Taken, Invalid."""
        return await _CATALOGUE.change(self.store, self.project, ref, {"name": name})

    async def add(self, ref: str, prefixes: Sequence[str]) -> int:
        """Put prefixes or addresses in, many to a commit; how many they are. Raises NotFound, Invalid.

        All are checked before the first is written; those that are in it already stay.
        """
        parsed = canonical(prefixes)
        group = await self.get(ref)
        await self._write(
            group,
            [Put(keys.address_entry(group.id, prefix), _entry(group, prefix)) for prefix in parsed],
        )
        return len(parsed)

    async def remove(self, ref: str, prefixes: Sequence[str]) -> int:
        """Take prefixes out; how many they are. Raises NotFound for one that is not in it, Invalid."""
        parsed = canonical(prefixes)
        group = await self.get(ref)
        for first in range(0, len(parsed), MAX_COMMIT_OPS):
            some = parsed[first : first + MAX_COMMIT_OPS]
            wanted = {keys.address_entry(group.id, prefix): prefix for prefix in some}
            found = (await self.store.get(list(wanted))).items
            missing = next((prefix for key, prefix in wanted.items() if key not in found), None)
            if missing is not None:
                raise NotFound(
                    f"address group {group.name!r} has no {missing}",
                    f"'plait addresses show {group.name}' shows what it has",
                )
        await self._write(group, gone(keys.address_entry(group.id, prefix) for prefix in parsed))
        return len(parsed)

    async def delete(self, ref: str) -> AddressGroup:
        """Remove an address group with its entries, while no rule refers to it. Raises NotFound, InUse.

        It is gone by the first commit; its entries follow.
        """

        async def make(failed: Failed) -> Plan[AddressGroup]:
            group, revision = await names.resolve(self.store, AddressGroup, self.project, ref)
            prefix = keys.reference_prefix(group.id)
            references = await self.store.snapshot(prefix)
            if references.items:
                key, item = min(references.items.items())
                where = await group_called(self.store, key.removeprefix(prefix).split("/", 1)[0])
                more = f" and {len(references.items) - 1} more" if len(references.items) > 1 else ""
                rule = f"rule {item.value.decode()!r} of {where}{more}"
                raise InUse(
                    f"address group {group.name!r} is in use by {rule}",
                    "remove these rules first",
                )
            compares = (
                KeyAt(keys.address_group(group.id), revision),
                PrefixUnchanged(prefix, references.revision),
            )
            return Plan(group, compares, tuple(gone(records.of_address_group(group))))

        group = await carry_out(self.store, make, f"address group {ref!r}")
        entries = (await self.store.snapshot(keys.address_entry_prefix(group.id))).items
        await remove_all(self.store, list(entries))
        return group

    async def _write(self, group: AddressGroup, writes: Sequence[Write]) -> None:
        chunks = iter([writes[i : i + MAX_COMMIT_OPS] for i in range(0, len(writes), MAX_COMMIT_OPS)])

        async def work(chunks: Iterator[Sequence[Write]]) -> None:
            for chunk in chunks:
                await self._write_chunk(group, chunk)

        outcomes = await asyncio.gather(
            *(work(chunks) for _ in range(COMMITS_IN_FLIGHT)), return_exceptions=True
        )
        for outcome in outcomes:
            if outcome is not None:
                raise outcome

    async def _write_chunk(self, group: AddressGroup, writes: Sequence[Write]) -> None:
        key = keys.address_group(group.id)

        async def make(failed: Failed) -> Plan[None]:
            item = (await self.store.get([key])).items.get(key)
            if item is None:
                raise names.not_found(AddressGroup.kind, self.project, group.name)
            return Plan(None, (KeyAt(key, item.revision),), tuple(writes))

        await carry_out(self.store, make, f"entries of address group {group.name!r}")


def canonical(prefixes: Sequence[str]) -> list[str]:
    """Each once, as text that equals itself; an address counts as the prefix of it alone. Raises Invalid."""
    return list(dict.fromkeys(str(checks.prefix(each)) for each in prefixes))


def _entry(group: AddressGroup, prefix: str) -> bytes:
    return encode(AddressEntry(group=group.id, prefix=prefix))
