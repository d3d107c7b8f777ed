"""The traffic that a rule is about, in pieces that a switch can match: one family, one prefix of its ports.

Rules of equal rank may be about the same piece: then they share flows, so pieces have names of their own.
"""

from collections.abc import Iterator
from functools import lru_cache

import msgspec

from plait.model.policy import Direction, Protocol, Rule

PORT_BITS = 16

Masked = tuple[int, int]
"""A value and the mask of the bits that count."""


class Slot(msgspec.Struct, frozen=True, gc=False):
    """One piece. `ports`: of the receiver, None: any; `icmp_type` and `icmp_code` likewise."""

    direction: Direction
    rank: int
    family: int
    protocol: Protocol
    ports: Masked | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None

    @property
    def id(self) -> str:
        """The same for equal pieces, and for no others."""
        ports = "" if self.ports is None else f"{self.ports[0]:#x}/{self.ports[1]:#x}"
        icmp = "" if self.icmp_type is None else f"{self.icmp_type}.{self.icmp_code}"
        return f"{self.direction}@{self.rank}/v{self.family}/{self.protocol}/{ports}{icmp}"


@lru_cache(maxsize=4096)
def slots_of(rule: Rule) -> tuple[Slot, ...]:
    """What a rule is about, piece by piece."""
    ports = [None] if rule.ports is None else port_prefixes(*rule.ports)
    return tuple(
        Slot(
            direction=rule.direction,
            rank=rule.rank,
            family=family,
            protocol=rule.protocol,
            ports=piece,
            icmp_type=rule.icmp_type,
            icmp_code=rule.icmp_code,
        )
        for family in rule.families
        for piece in ports
    )


def other_side(rule: Rule) -> str | None:
    """Who a rule is about, in one word: a prefix or the id of a set; None: everybody of its families."""
    if rule.cidr is not None:
        return None if rule.cidr.endswith("/0") else rule.cidr
    return rule.remote_set


def port_prefixes(first: int, last: int) -> tuple[Masked | None, ...]:
    """A closed range of ports as the fewest prefixes; None stands for all ports.

    Raises ValueError for a range that is none.
    """
    if not 0 <= first <= last < 1 << PORT_BITS:
        raise ValueError(f"ports {first}-{last} are no range within 0-{(1 << PORT_BITS) - 1}")
    if (first, last) == (0, (1 << PORT_BITS) - 1):
        return (None,)
    return tuple(_prefixes(first, last))


def _prefixes(first: int, last: int) -> Iterator[Masked]:
    ones = (1 << PORT_BITS) - 1
    while first <= last:
        # The largest block that begins here, by alignment and by what is left.
        size = min(first & -first or 1 << PORT_BITS, 1 << (last - first + 1).bit_length() - 1)
        yield first, ones & ~(size - 1)
        first += size
