"""One switch's flows and groups: which differ from what is desired, and the next portion to send.

Only the keys that differ are held; everywhere else actual equals desired. A key that is out of step is sent
as "add, or replace" where it is desired and as "delete" where it is not; both are idempotent, so a repeated,
coalesced or spurious event costs at most a message and never a wrong state.

    touched by the compiler --+
    dump after connecting   --+--> out of step --take--> in flight --committed--> in step
    changed by somebody     --+        ^                     |
                                       +------ failed -------+
"""

from collections.abc import Iterable, Mapping

import msgspec

from plait.compile import FlowEntry, GroupEntry, Touched
from plait.flows.flow import Flow, Group
from plait.reconcile.backlog import Backlog


class PutFlow(msgspec.Struct, frozen=True, gc=False):
    """Add the flow, or replace what stands under its key."""

    flow: Flow
    cookie: int


class DeleteFlow(msgspec.Struct, frozen=True, gc=False):
    """Remove exactly this flow; one that is not there is no error."""

    key: bytes


class PutGroup(msgspec.Struct, frozen=True, gc=False):
    """Add the group, or replace its type and buckets."""

    group: Group


class DeleteGroup(msgspec.Struct, frozen=True, gc=False):
    """Remove the group and every flow that sends to it; one that is not there is no error."""

    id: int


Mod = PutFlow | DeleteFlow | PutGroup | DeleteGroup


class ActualFlow(msgspec.Struct, frozen=True, gc=False):
    """A flow as the switch printed it."""

    key: bytes
    instructions: bytes
    cookie: int


class Refusal(msgspec.Struct, frozen=True):
    """A modification that the switch does not take; left out until it is desired differently."""

    mod: Mod
    reason: str


class SwitchState:
    """See the module's docstring. `flows` and `groups` are the compiler's, read and never written here."""

    def __init__(self, flows: Mapping[bytes, FlowEntry], groups: Mapping[int, GroupEntry]) -> None:
        self._flows = flows
        self._groups = groups
        self._puts = Backlog()
        self._drops = Backlog()
        self._loose_groups: set[int] = set()
        self._flying: tuple[Mod, ...] = ()
        self._flying_keys: set[bytes | int] = set()
        self._refused: dict[bytes | int, Refusal] = {}

    # -- what came to be known

    def desired_changed(self, touched: Touched) -> None:
        """The compiler changed these."""
        # A flow may have been refused for want of its group, so another group is a reason to try all again.
        again = set(self._refused) if touched.groups else self._refused.keys() & touched.flows
        for key in again:
            del self._refused[key]
        self._loosen(again)
        self._loosen(touched.flows)
        self._loosen(touched.groups)

    def dumped(self, flows: Iterable[ActualFlow], groups: Iterable[Group]) -> Touched:
        """All that the switch has; forgets what was known before. Returns what differs."""
        self._puts.clear()
        self._drops.clear()
        self._refused.clear()
        self._land()
        wrong, missing = set(), set(self._flows)
        for flow in flows:
            missing.discard(flow.key)
            if not self._is_desired(flow):
                wrong.add(flow.key)
        wrong_groups, missing_groups = set(), set(self._groups)
        for group in groups:
            missing_groups.discard(group.id)
            desired = self._groups.get(group.id)
            if desired is None or desired.group != group:
                wrong_groups.add(group.id)
        difference = Touched(wrong | missing, wrong_groups | missing_groups)
        self._loose_groups.clear()
        self._loosen(difference.flows)
        self._loosen(difference.groups)
        return difference

    def changed_by_others(self, key: bytes, now: ActualFlow | None) -> bool:
        """Somebody else added, changed or removed (`None`) a flow. True when that has to be repaired."""
        wrong = key in self._flows if now is None else not self._is_desired(now)
        if wrong:
            self._loosen((key,))
        return wrong

    def _is_desired(self, flow: ActualFlow) -> bool:
        desired = self._flows.get(flow.key)
        return (
            desired is not None
            and desired.instructions == flow.instructions
            and desired.cookie == flow.cookie
        )

    def _loosen(self, keys: Iterable[bytes | int]) -> None:
        for key in keys:
            if key in self._refused:
                continue
            if isinstance(key, int):
                self._loose_groups.add(key)
            elif key in self._flows:
                self._drops.discard(key)
                self._puts.add(key)
            else:
                self._puts.discard(key)
                self._drops.add(key)

    # -- what to do about it

    def take(self, limit: int) -> tuple[Mod, ...]:
        """The next portion, at most `limit` modifications, in an order that is safe when it ends early.

        New groups come before flows that use them; flows are added from the last table to the first, so that
        nothing leads into a table that is not ready, and removed from the first to the last; groups are
        removed at the end.
        What is taken is in flight until `committed`, `refused` or `failed`.
        """
        if self._flying:
            raise RuntimeError("a portion is in flight already")
        put_groups = sorted(id for id in self._loose_groups if id in self._groups)
        mods: list[Mod] = [PutGroup(self._groups[id].group) for id in put_groups[:limit]]
        for key in self._puts.take(limit - len(mods), last_table_first=True):
            entry = self._flows[key]
            mods.append(PutFlow(Flow(key, entry.instructions), entry.cookie))
        mods.extend(map(DeleteFlow, self._drops.take(limit - len(mods), last_table_first=False)))
        if not self._drops:
            drop_groups = sorted(id for id in self._loose_groups if id not in self._groups)
            mods.extend(map(DeleteGroup, drop_groups[: limit - len(mods)]))
        self._flying = tuple(mods)
        self._flying_keys = {key_of(mod) for mod in mods}
        self._loose_groups.difference_update(key for key in self._flying_keys if isinstance(key, int))
        return self._flying

    def committed(self) -> None:
        """The switch confirmed the portion, barrier included."""
        self._land()

    def failed(self) -> None:
        """It is not known what became of the portion: everything in it is out of step."""
        keys = self._flying_keys
        self._land()
        self._loosen(keys)

    def refused(self, reasons: Mapping[int, str]) -> None:
        """The switch took nothing of the portion, because of these (index -> reason); try the rest again.

        A removal that is refused is not tried again either: what the switch can't even name, it does not
        have.
        """
        for index, reason in reasons.items():
            mod = self._flying[index]
            key = key_of(mod)
            # What is desired otherwise by now was not refused yet.
            if self._is_loose(key):
                continue
            if isinstance(mod, DeleteFlow | DeleteGroup):
                self._flying_keys.discard(key)
            else:
                self._refused[key] = Refusal(mod, reason)
        self.failed()

    def _land(self) -> None:
        self._flying, self._flying_keys = (), set()

    # -- how it stands

    @property
    def refusals(self) -> Mapping[bytes | int, Refusal]:
        """What the switch does not take, and why."""
        return self._refused

    @property
    def pending(self) -> int:
        """Modifications that are still to be sent or confirmed; refused ones don't count."""
        return len(self._puts) + len(self._drops) + len(self._loose_groups) + len(self._flying)

    def in_step(self, keys: Iterable[bytes | int]) -> bool:
        """Whether the switch has confirmed all of these."""
        return not any(
            key in self._flying_keys or key in self._refused or self._is_loose(key) for key in keys
        )

    def _is_loose(self, key: bytes | int) -> bool:
        return key in self._puts or key in self._drops or key in self._loose_groups


def key_of(mod: Mod) -> bytes | int:
    """What a modification is about: a flow's key or a group's id."""
    match mod:
        case PutFlow(flow):
            return flow.key
        case DeleteFlow(key):
            return key
        case PutGroup(group):
            return group.id
        case DeleteGroup(id):
            return id
