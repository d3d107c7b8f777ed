"""The first half of conjunctions: this address is in these sets. A member's change is a change of its own
flows alone, however many rules name the set and however large it is.

An address of a group's member counts within the domains of the ports that are filtered here, so that tenants
with the same addresses never meet; a prefix of an address group counts everywhere.
"""

from collections.abc import Iterable, Iterator

from plait.flows.flow import Flow, flow
from plait.flows.pipeline import Table
from plait.flows.policy_match import Fields, from_or_to, in_domain, priority_of
from plait.model.lens import Lens
from plait.wire.openflow.actions import apply, conjunction
from plait.wire.openflow.oxm import match

_Sets = list[tuple[int, bytes]]


def station(lens: Lens, id: str) -> Iterator[Flow]:
    """The groups that a station's addresses are in."""
    station = lens.station(id)
    if station is None or not station.groups:
        return
    sets = _sets(lens, station.groups)
    if not sets:
        return
    for domain in lens.scopes(station.network):
        for address in station.ips:
            yield from _clauses(sets, address, in_domain(domain))


def prefix(lens: Lens, id: str) -> Iterator[Flow]:
    """The address groups that a prefix is in."""
    yield from _clauses(_sets(lens, lens.address_groups_with(id)), id, {})


def _sets(lens: Lens, sets: Iterable[str]) -> _Sets:
    """(priority, actions): the conjunctions that rules make of these sets, by the rank of the rules."""
    by_rank: dict[int, list[int]] = {}
    for one in sets:
        for rank, number in lens.uses(one):
            by_rank.setdefault(rank, []).append(number)
    return [
        (priority_of(rank), apply(*(conjunction(number, 1, 2) for number in sorted(numbers))))
        for rank, numbers in sorted(by_rank.items())
    ]


def _clauses(sets: _Sets, prefix: str, scope: Fields) -> Iterator[Flow]:
    for table in (Table.EGRESS_RULES, Table.INGRESS_RULES):
        matched = match(**scope, **from_or_to(table, prefix))
        for priority, clauses in sets:
            yield flow(table, priority, matched, clauses)
