"""Choosing free numbers: VNIs, addresses, ports of a switch, register keys.

A space is a closed range with some numbers reserved. Which numbers are taken is the caller's knowledge: a
store's claims, a file, a snapshot. Nothing here remembers anything.
"""

from collections.abc import Container, Iterable, Mapping

import msgspec

from plait.model.entities import MAX_VNI

FIRST_VNI = 4096
"""Lower VNIs are left to other systems on the same underlay: many of them number VLANs into VNIs."""


class SpaceFull(ValueError):
    """No number of the space is free; `size` numbers are there in all."""

    def __init__(self, what: str, size: int) -> None:
        super().__init__(f"no {what} is free: all {size} are in use; remove what is no longer needed")
        self.size = size


class Space(msgspec.Struct, frozen=True, gc=False):
    """The numbers from `first` to `last` (both included) without `reserved`."""

    first: int
    last: int
    reserved: frozenset[int] = frozenset()

    @property
    def size(self) -> int:
        """How many numbers may be given out."""
        return max(
            0, self.last - self.first + 1 - sum(self.first <= number <= self.last for number in self.reserved)
        )

    def __contains__(self, number: int) -> bool:
        return self.first <= number <= self.last and number not in self.reserved

    def after(self, number: int | None, taken: Container[int] = ()) -> int | None:
        """The lowest free number above `number` (None: of all), or None when there is none up to the end."""
        candidate = self.first if number is None else max(self.first, number + 1)
        while candidate <= self.last and (candidate in self.reserved or candidate in taken):
            candidate += 1
        return candidate if candidate <= self.last else None

    def run_after(self, number: int | None, count: int) -> list[int]:
        """Up to `count` numbers above `number`, in order, taken or not."""
        run: list[int] = []
        candidate = self.after(number)
        while candidate is not None and len(run) < count:
            run.append(candidate)
            candidate = self.after(candidate)
        return run


def vnis(first: int = FIRST_VNI, last: int = MAX_VNI) -> Space:
    """The VNIs that networks may be given without asking for one (24 bits, RFC 7348 section 5)."""
    return Space(max(1, first), min(last, MAX_VNI))


def assign(
    space: Space, current: Mapping[str, int], wanted: Iterable[str], *, what: str = "number"
) -> dict[str, int]:
    """A number for every wanted owner: those of `current` stay, freed ones are given again, lowest first.

    Raises SpaceFull. Owners are served in sorted order, so equal input gives equal output.
    """
    owners = sorted(set(wanted))
    assigned = {owner: current[owner] for owner in owners if owner in current and current[owner] in space}
    taken = set(assigned.values())
    if len(taken) != len(assigned):
        raise ValueError(f"two owners share one {what}: {dict(assigned)}")
    position: int | None = None
    for owner in owners:
        if owner in assigned:
            continue
        position = space.after(position, taken)
        if position is None:
            raise SpaceFull(what, space.size)
        assigned[owner] = position
    return assigned
