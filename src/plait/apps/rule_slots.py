"""The second half of conjunctions: for this piece of traffic there are rules about these sets.

Rules of equal rank about the same traffic share one flow for each policy. Where one of them is about
everybody, none is needed: that one decides for all.
"""

from collections.abc import Iterator

from plait.flows.flow import Flow, flow
from plait.flows.policy_match import of_policy, priority_of, sides, traffic
from plait.model.lens import Lens
from plait.model.slots import other_side, slots_of
from plait.wire.openflow.actions import apply, conjunction
from plait.wire.openflow.oxm import match


def slot(lens: Lens, id: str) -> Iterator[Flow]:
    """What leads from one piece of traffic to the sets that rules about it name."""
    rules = lens.slot(id)
    if not any(rule.remote_set for rule in rules):
        return
    slot = next(slot for slot in slots_of(rules[0]) if slot.id == id)
    about: dict[int, set[int]] = {}
    decided: set[int] = set()
    for rule in rules:
        for policy in lens.policies_of(rule.group):
            if other_side(rule) is None:
                decided.add(policy.number)
            elif rule.remote_set is not None:
                number = lens.conjunction(rule.remote_set, rule.rank)
                if number is not None:
                    about.setdefault(policy.number, set()).add(number)
    for side in sides(slot.direction):
        what = traffic(slot, side)
        if what is None:
            continue
        for policy_number in sorted(about.keys() - decided):
            fields = {**of_policy(policy_number), **side.way, **what}
            clauses = [conjunction(number, 2, 2) for number in sorted(about[policy_number])]
            yield flow(side.table, priority_of(slot.rank), match(**fields), apply(*clauses))
