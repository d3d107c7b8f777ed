"""Read, plan, commit; again, if somebody was faster.

Rule 1: a wish is carried out by one transaction, so that nothing is ever half done.
Rule 2: a plan compares every revision that it was made from; a conflict means to read again, never to go on.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from plait.intent.errors import Stale
from plait.store.api import (
    ABSENT,
    MAX_COMMIT_OPS,
    Compare,
    Conflict,
    Delete,
    KeyAt,
    PrefixUnchanged,
    Put,
    Revision,
    Store,
    Write,
)

ATTEMPTS = 64
FIRST_PAUSE_S = 0.001
LONGEST_PAUSE_S = 0.1
COMMITS_IN_FLIGHT = 4
"""Of one request that needs several: enough to hide the way to a cluster's majority and back."""

R = TypeVar("R")
Failed = frozenset[str]
"""Keys and prefixes of the last attempt's compares that did not hold; empty at the first."""


@dataclass(frozen=True, slots=True)
class Plan(Generic[R]):
    """What to commit, and what to answer once it is."""

    result: R
    compares: tuple[Compare, ...]
    writes: tuple[Write, ...]


async def carry_out(store: Store, make: Callable[[Failed], Awaitable[Plan[R]]], what: str) -> R:
    """Make plans until one is committed. Raises Stale after `ATTEMPTS` conflicts, and whatever `make` raises.

    The pause between attempts doubles and is random up to its bound, so that rivals do not meet again.
    """
    failed: Failed = frozenset()
    for attempt in range(ATTEMPTS):
        plan = await make(failed)
        outcome = await store.commit(plan.compares, plan.writes)
        if not isinstance(outcome, Conflict):
            return plan.result
        failed = frozenset(subject(compare) for compare in outcome.failed)
        await asyncio.sleep(random.uniform(0, min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**attempt)))
    raise Stale(f"{what}: others changed the same things during {ATTEMPTS} attempts", "try again")


def subject(compare: Compare) -> str:
    """The key or prefix that a compare is about."""
    return compare.prefix if isinstance(compare, PrefixUnchanged) else compare.key


def born(records: Mapping[str, bytes]) -> tuple[list[Compare], list[Write]]:
    """Write records none of which may exist yet."""
    return [KeyAt(key, ABSENT) for key in records], [Put(key, value) for key, value in records.items()]


def changed(
    before: Mapping[str, bytes], after: Mapping[str, bytes], *, key: str, revision: Revision
) -> tuple[list[Compare], list[Write]]:
    """Turn the records of a thing into others; `key` is its main record, read at `revision`.

    What is new must not exist yet; the rest belongs to the thing and stands or falls with its main record.
    """
    compares: list[Compare] = [KeyAt(key, revision)]
    compares.extend(KeyAt(new, ABSENT) for new in after if new not in before)
    writes: list[Write] = [Put(each, value) for each, value in after.items() if before.get(each) != value]
    writes.extend(gone(set(before) - set(after)))
    return compares, writes


def gone(keys: Iterable[str]) -> list[Write]:
    """Remove these, whether they stand or not."""
    return [Delete(key) for key in sorted(keys)]


async def remove_all(store: Store, doomed: Sequence[str]) -> None:
    """Remove keys that nothing depends on any more, in as many commits as it takes."""
    for first in range(0, len(doomed), MAX_COMMIT_OPS):
        await store.commit((), gone(doomed[first : first + MAX_COMMIT_OPS]))
