"""Flows that are clauses of conjunctions: they do nothing but say of which. See `lookup.py`."""

from collections.abc import Iterable
from functools import lru_cache

from plait.wire.openflow.actions import apply, conjunction
from plait.wire.openflow.decode import decode_instructions
from plait.wire.openflow.parsed import ApplyActions, Conjunction


@lru_cache(maxsize=100_000)
def clauses(instructions: bytes) -> tuple[Conjunction, ...]:
    """The clauses that a flow is; most are none."""
    actions = [
        action
        for part in decode_instructions(instructions)
        if isinstance(part, ApplyActions)
        for action in part.actions
    ]
    return tuple(action for action in actions if isinstance(action, Conjunction))


def together(several: Iterable[bytes]) -> bytes | None:
    """What a flow does that is every clause that these are; None if one of these is no clause."""
    all_of_them: set[tuple[int, int, int]] = set()
    for instructions in several:
        found = clauses(instructions)
        if not found:
            return None
        all_of_them.update((each.number, each.clause, each.n_clauses) for each in found)
    return apply(*(conjunction(*each) for each in sorted(all_of_them)))
