"""Which flow of a table does a packet meet? Tuple space search, as Open vSwitch does it.

Flows whose matches look at the same bits share one hash table; a lookup asks those tables, the one with the
highest priority first, and stops when no other can do better.

A flow that does nothing but `conjunction(id, k/n)` is one clause of a match that has n. Where, at one
priority, flows with all n clauses of an id match, the packet is looked up once more, with `conj_id` set to
the id and without regard to clauses. Otherwise they count as if they were not there.
Source: Srinivasan et al., "Packet Classification using Tuple Space Search", SIGCOMM 1999; ovs-fields(7),
"CONJUNCTIVE MATCH FIELDS".
"""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from plait.flows.clauses import clauses
from plait.flows.flow import Flow
from plait.wire.openflow.oxm import decode_match
from plait.wire.openflow.parsed import Conjunction

Shape = tuple[tuple[str, int], ...]
"""The bits that a match looks at: (field, mask), sorted; mask 0 stands for the whole field."""


class _Row(msgspec.Struct, frozen=True):
    """A flow, and the clauses that it is; most are none."""

    flow: Flow
    clauses: tuple[Conjunction, ...]


_Alike = list[_Row]
"""Flows with one match, the highest priority first."""


class FlowTable:
    """The flows of one table, indexed at the first lookup."""

    def __init__(self, flows: Iterable[Flow]) -> None:
        self._flows = flows
        self._tuples: list[tuple[int, Shape, dict[tuple[int, ...], _Alike]]] | None = None

    def lookup(self, fields: Mapping[str, int]) -> Flow | None:
        """The flow with the highest priority of those that match; None is a miss."""
        hard: Flow | None = None
        soft: list[_Row] = []
        for found in self._found(fields):
            for row in found:
                if row.clauses:
                    soft.append(row)
                    continue
                if hard is None or row.flow.priority > hard.priority:
                    hard = row.flow
                break
        lowest = -1 if hard is None else hard.priority
        for id in _complete(row for row in soft if row.flow.priority > lowest):
            if (decided := self._without_clauses({**fields, "conj_id": id})) is not None:
                return decided
        return hard

    def _without_clauses(self, fields: Mapping[str, int]) -> Flow | None:
        flows = (found[0].flow for found in self._found(fields) if not found[0].clauses)
        return max(flows, key=lambda flow: flow.priority, default=None)

    def _found(self, fields: Mapping[str, int]) -> Iterator[_Alike]:
        """All that match, until none can have a higher priority than a flow that is no clause."""
        if self._tuples is None:
            self._tuples = _index(self._flows)
        best = -1
        for priority, shape, rows in self._tuples:
            if best >= priority:
                return
            values = [fields.get(name, 0) & mask if mask else fields.get(name, 0) for name, mask in shape]
            found = rows.get(tuple(values))
            if found is not None:
                yield found
                if not found[0].clauses:
                    best = max(best, found[0].flow.priority)


def _complete(rows: Iterable[_Row]) -> list[int]:
    """The ids of which one priority has all clauses, the highest priority first."""
    seen: dict[tuple[int, int], set[int]] = {}
    complete: set[tuple[int, int]] = set()
    for row in rows:
        for clause in row.clauses:
            key = (-row.flow.priority, clause.number)
            seen.setdefault(key, set()).add(clause.clause)
            if len(seen[key]) == clause.n_clauses:
                complete.add(key)
    return [id for _, id in sorted(complete)]


def _index(flows: Iterable[Flow]) -> list[tuple[int, Shape, dict[tuple[int, ...], _Alike]]]:
    """(highest priority, shape, masked values -> flows), the highest priority first."""
    tuples: dict[Shape, dict[tuple[int, ...], _Alike]] = {}
    highest: dict[Shape, int] = {}
    for flow in sorted(flows, key=lambda flow: -flow.priority):
        shape: list[tuple[str, int]] = []
        values: list[int] = []
        for name, value in sorted(decode_match(flow.match).items()):
            exact, mask = value if isinstance(value, tuple) else (value, 0)
            shape.append((name, mask))
            values.append(exact)
        key = tuple(shape)
        row = _Row(flow, clauses(flow.instructions))
        tuples.setdefault(key, {}).setdefault(tuple(values), []).append(row)
        highest[key] = max(highest.get(key, 0), flow.priority)
    ranked = sorted(tuples.items(), key=lambda item: highest[item[0]], reverse=True)
    return [(highest[shape], shape, by_values) for shape, by_values in ranked]
