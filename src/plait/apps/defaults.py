"""What no rule decides: the defaults of a policy's groups. One group that denies is enough."""

from collections.abc import Iterator

from plait.flows.flow import Flow, flow
from plait.flows.policy_match import ADMIT, DEFAULT_PRIORITY, of_policy, sides
from plait.model.lens import Lens
from plait.model.policy import Action, Direction
from plait.wire.openflow.oxm import match


def policy(lens: Lens, id: str) -> Iterator[Flow]:
    """The defaults of one policy, both ways; what is denied has flows too, to be counted."""
    number = lens.policy_number(id) if lens.is_policy(id) else None
    groups = [lens.group(group) for group in id.split(",")]
    if number is None:
        return
    for direction in Direction:
        defaults = {
            None if group is None else group.ingress if direction is Direction.INGRESS else group.egress
            for group in groups
        }
        for side in sides(direction):
            verdict = ADMIT[side.table] if defaults == {Action.ALLOW} else b""
            yield flow(side.table, DEFAULT_PRIORITY, match(**of_policy(number), **side.way), verdict)
