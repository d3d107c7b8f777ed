"""Rules: what decides on packets of filtered ports, and counts them under the rule's name.

A rule about a group, or an address group, is a conjunction of who and what: `members.py` says of addresses
which sets they are in, `rule_slots.py` of traffic for which sets there is a rule; the flow here decides where
both come together. It matches the traffic once more, so that each rule has flows, and counters, of its own.
Rules that say exactly the same share one flow: the first of them has it, one that logs before all others.
"""

from collections.abc import Iterator

from plait.flows.flow import Flow, flow
from plait.flows.policy_match import (
    ADMIT,
    FIRST,
    NOT_FIRST,
    Fields,
    Side,
    from_or_to,
    of_policy,
    priority_of,
    sides,
    traffic,
)
from plait.flows.punt import Punt, punt
from plait.model.lens import Lens
from plait.model.policy import Action, Rule
from plait.model.slots import Slot, other_side, slots_of
from plait.wire.openflow.actions import apply, instructions
from plait.wire.openflow.oxm import match

LOGGED_BYTES = 128
"""Of a packet that is logged: all headers that a log line speaks of."""


def rule(lens: Lens, id: str) -> Iterator[Flow]:
    """What one rule decides, for every policy of this host that its group is part of."""
    rule = lens.rule(id)
    if rule is None:
        return
    policies = lens.policies_of(rule.group)
    for slot in slots_of(rule) if policies else ():
        twins = sorted(lens.twins(slot.id, rule), key=lambda twin: (not twin.log, twin.id))
        for policy in policies:
            if next(twin for twin in twins if twin.group in policy.groups) == rule:
                for side in sides(rule.direction):
                    yield from _decide(lens, rule, slot, side, policy.number)


def _decide(lens: Lens, rule: Rule, slot: Slot, side: Side, policy: int) -> Iterator[Flow]:
    what = traffic(slot, side)
    if what is None:
        return
    who: Fields = {}
    if rule.remote_set is not None:
        number = lens.conjunction(rule.remote_set, rule.rank)
        if number is None:
            return
        who = {"conj_id": number}
    elif (prefix := other_side(rule)) is not None:
        who = from_or_to(side.table, prefix)
    for way, verdict in _verdicts(rule, side):
        fields = {**of_policy(policy), **way, **what, **who}
        yield flow(side.table, priority_of(rule.rank), match(**fields), verdict)


def _verdicts(rule: Rule, side: Side) -> Iterator[tuple[Fields, bytes]]:
    """What becomes of which packets; of what is allowed only the first one of a connection is logged."""
    tell = punt(Punt.LOG, LOGGED_BYTES, note=rule.id.encode()) if rule.log else b""
    if rule.action is Action.DENY:
        yield side.way, apply(tell) if tell else b""
    elif tell and side.is_onward:
        yield FIRST, instructions(apply(tell), ADMIT[side.table])
        yield NOT_FIRST, ADMIT[side.table]
    else:
        yield side.way, ADMIT[side.table]
