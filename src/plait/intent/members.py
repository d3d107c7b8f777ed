"""Who is in which group: a fact of the port, changed without a word to its host's claims.

A port's `groups` stand in its record, its projection on its host, and as an empty seat in each group
(`keys.member`). Its `sequence` stays: it lives where it lived.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from plait.intent import names, records
from plait.intent.errors import NotFound
from plait.intent.port_spec import check_policy
from plait.intent.transactions import COMMITS_IN_FLIGHT, Failed, Plan, carry_out, changed
from plait.model.codec import decode
from plait.model.entities import Port
from plait.model.policy import Group
from plait.store import keys
from plait.store.api import MAX_COMMIT_OPS, Compare, KeyAt, Store, Write

_WRITES_OF_A_PORT = 3
"""Its record, its projection, its seat."""
_PORTS_AT_ONCE = (MAX_COMMIT_OPS - 1) // _WRITES_OF_A_PORT

Groups = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Members:
    """The members of the groups of one project."""

    store: Store
    project: str

    async def add(self, group: str, ports: Sequence[str]) -> list[Port]:
        """Put ports (names or ids) into a group; those that are in it already stay as they are.

        Every name is looked up before the first change; forty ports go in one commit. Raises NotFound,
        Invalid.
        """
        return await self._change(group, ports, _with)

    async def remove(self, group: str, ports: Sequence[str]) -> list[Port]:
        """Take ports out of a group. Raises NotFound."""
        return await self._change(group, ports, _without)

    async def _change(
        self, ref: str, refs: Sequence[str], change: Callable[[str, Groups], Groups]
    ) -> list[Port]:
        group, _ = await names.resolve(self.store, Group, self.project, ref)
        found = await names.resolve_all(self.store, Port, self.project, refs)
        ports = list({port.id: port for port, _ in found}.values())
        for port in ports:
            check_policy(_changed(port, group.id, change))
        chunks = iter([ports[i : i + _PORTS_AT_ONCE] for i in range(0, len(ports), _PORTS_AT_ONCE)])
        done: dict[str, Port] = {}
        work = partial(self._work, group, chunks, change, done)
        outcomes = await asyncio.gather(*(work() for _ in range(COMMITS_IN_FLIGHT)), return_exceptions=True)
        for outcome in outcomes:
            if outcome is not None:
                raise outcome
        return [done[port.id] for port in ports]

    async def _work(
        self,
        group: Group,
        chunks: Iterator[Sequence[Port]],
        change: Callable[[str, Groups], Groups],
        done: dict[str, Port],
    ) -> None:
        for chunk in chunks:
            done.update({port.id: port for port in await self._change_chunk(group, chunk, change)})

    async def _change_chunk(
        self, group: Group, ports: Sequence[Port], change: Callable[[str, Groups], Groups]
    ) -> list[Port]:
        async def make(failed: Failed) -> Plan[list[Port]]:
            wanted = [keys.group(group.id), *(keys.port(port.network, port.id) for port in ports)]
            found = (await self.store.get(wanted)).items
            if keys.group(group.id) not in found:
                raise names.not_found(Group.kind, self.project, group.name)
            compares: list[Compare] = [KeyAt(keys.group(group.id), found[keys.group(group.id)].revision)]
            writes: list[Write] = []
            result: list[Port] = []
            for asked in ports:
                key = keys.port(asked.network, asked.id)
                if key not in found:
                    raise NotFound(f"port {asked.name!r} is gone already", "leave it out")
                before = decode(Port, found[key].value)
                after = _changed(before, group.id, change)
                result.append(after)
                if after == before:
                    continue
                check_policy(after)
                more, puts = changed(
                    records.of_port(before), records.of_port(after), key=key, revision=found[key].revision
                )
                compares.extend(more)
                writes.extend(puts)
            return Plan(result, tuple(compares), tuple(writes))

        return await carry_out(self.store, make, f"members of group {group.name!r}")


def _changed(port: Port, group: str, change: Callable[[str, Groups], Groups]) -> Port:
    return msgspec.structs.replace(port, groups=change(group, port.groups))


def _with(group: str, groups: Groups) -> Groups:
    return tuple(sorted({*groups, group}))


def _without(group: str, groups: Groups) -> Groups:
    return tuple(each for each in groups if each != group)
