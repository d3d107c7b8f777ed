"""A switch in memory: takes modifications whole or not at all, as a bundle of Open vSwitch does.

Held to a real switch by `test_fake_switch.py`.
"""

from collections.abc import Iterable, Mapping, Sequence

from plait.flows.flow import Flow, Group
from plait.reconcile.switch import ActualFlow, DeleteFlow, DeleteGroup, Mod, PutFlow, PutGroup
from plait.wire.openflow.actions import decode_instructions
from plait.wire.openflow.parsed import ApplyActions
from plait.wire.openflow.parsed import Group as ToGroup


class FakeSwitch:
    """`flows` by their keys, `groups` by their ids."""

    def __init__(self) -> None:
        self.flows: dict[bytes, ActualFlow] = {}
        self.groups: dict[int, Group] = {}

    def commit(self, mods: Sequence[Mod]) -> Mapping[int, str]:
        """Reasons by index; nothing happened unless there are none."""
        flows, groups = dict(self.flows), dict(self.groups)
        for index, mod in enumerate(mods):
            match mod:
                case PutFlow(flow, cookie):
                    if missing := groups_of(flow) - groups.keys():
                        return {index: f"no group {sorted(missing)}"}
                    flows[flow.key] = ActualFlow(flow.key, flow.instructions, cookie)
                case DeleteFlow(key):
                    flows.pop(key, None)
                case PutGroup(group):
                    groups[group.id] = group
                case DeleteGroup(id):
                    groups.pop(id, None)
                    for key in [
                        key for key, flow in flows.items() if id in groups_of(Flow(key, flow.instructions))
                    ]:
                        del flows[key]
        self.flows, self.groups = flows, groups
        return {}

    def dump(self) -> tuple[Iterable[ActualFlow], Iterable[Group]]:
        return tuple(self.flows.values()), tuple(self.groups.values())


def groups_of(flow: Flow) -> set[int]:
    """The groups that a flow sends to."""
    return {
        action.number
        for part in decode_instructions(flow.instructions)
        if isinstance(part, ApplyActions)
        for action in part.actions
        if isinstance(action, ToGroup)
    }
