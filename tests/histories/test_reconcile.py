"""Whatever is desired and whatever goes wrong: the end is right, and what counts as in step, it has."""

from collections.abc import Sequence

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from plait.compile import Compiler, FlowEntry, GroupEntry, Touched
from plait.flows.flow import Flow, Group, flow
from plait.model.facets import Change, Key
from plait.model.view import View
from plait.reconcile.switch import (
    ActualFlow,
    DeleteFlow,
    DeleteGroup,
    Mod,
    PutFlow,
    PutGroup,
    SwitchState,
    key_of,
)
from plait.wire.openflow.actions import apply, output
from plait.wire.openflow.actions import group as to_group
from plait.wire.openflow.mods import GroupType, bucket
from plait.wire.openflow.oxm import match

from .fake_switch import FakeSwitch
from .worlds import ME, batches, full_world

FOREIGN = ActualFlow(flow(30, 7, match(eth_dst=7), b"").key, b"", 99)


class Reconciling(RuleBasedStateMachine):
    """A compiler that follows a world, a switch, and what stands between them."""

    def __init__(self) -> None:
        super().__init__()
        self.view = View(ME)
        self.compiler = Compiler(self.view)
        self.actual = FakeSwitch()
        self.state = SwitchState(self.compiler.flows, self.compiler.groups)
        self.flight: Sequence[Mod] = ()

    @initialize(is_full=st.booleans())
    def begin(self, is_full: bool) -> None:
        self.state.desired_changed(self.compiler.update_all())
        if is_full:
            self.change(full_world())

    @rule(batch=batches)
    def change(self, batch: list[Change]) -> None:
        self.state.desired_changed(self.compiler.update(self.view.apply(batch)))

    @precondition(lambda self: not self.flight)
    @rule(limit=st.integers(1, 40))
    def take(self, limit: int) -> None:
        self.flight = self.state.take(limit)
        assert len(self.flight) <= limit
        assert len({key_of(mod) for mod in self.flight}) == len(self.flight)

    @precondition(lambda self: self.flight)
    @rule()
    def commit(self) -> None:
        reasons = self.actual.commit(self.flight)
        if reasons:
            self.state.refused(reasons)
        else:
            self.state.committed()
        self.flight = ()

    @precondition(lambda self: self.flight)
    @rule(is_applied=st.booleans())
    def fail(self, is_applied: bool) -> None:
        if is_applied:
            self.actual.commit(self.flight)
        self.state.failed()
        self.flight = ()

    @precondition(lambda self: self.flight)
    @rule(data=st.data())
    def refuse(self, data: st.DataObject) -> None:
        """A switch removes what it has; only what it does not have it may refuse to remove."""
        stands = {*map(DeleteFlow, self.actual.flows), *map(DeleteGroup, self.actual.groups)}
        refusable = [index for index, mod in enumerate(self.flight) if mod not in stands]
        reasons = {data.draw(st.sampled_from(refusable)): "not today"} if refusable else {}
        self.state.refused(reasons)
        self.flight = ()

    @precondition(lambda self: self.actual.flows)
    @rule(data=st.data(), change=st.sampled_from(["remove", "replace", "mark"]))
    def somebody_changes_a_flow(self, data: st.DataObject, change: str) -> None:
        key = data.draw(st.sampled_from(sorted(self.actual.flows)))
        before = self.actual.flows.pop(key)
        now = None
        if change != "remove":
            instructions = apply(output(77)) if change == "replace" else before.instructions
            self.actual.flows[key] = now = ActualFlow(key, instructions, 5)
        assert self.state.changed_by_others(key, now) == (not self._is_desired(key))

    @rule()
    def somebody_adds_a_flow(self) -> None:
        self.actual.flows[FOREIGN.key] = FOREIGN
        assert self.state.changed_by_others(FOREIGN.key, FOREIGN)

    @rule(id=st.integers(1, 4), is_removed=st.booleans())
    def somebody_changes_a_group(self, id: int, is_removed: bool) -> None:
        group = Group(id, GroupType.ALL, bucket(output(78)))
        self.actual.commit([DeleteGroup(id) if is_removed else PutGroup(group)])
        self.restart()

    @rule()
    def restart(self) -> None:
        """The agent, or the connection: all that is known comes from the switch."""
        self.flight = ()
        self.state.dumped(*self.actual.dump())

    @invariant()
    def what_is_in_step_is_on_the_switch(self) -> None:
        for key in self.actual.flows.keys() | self.compiler.flows:
            if not self._is_desired(key):
                assert not self.state.in_step((key,))
        for id in self.actual.groups.keys() | self.compiler.groups:
            if self._has_group(id) != self._wants_group(id):
                assert not self.state.in_step((id,))

    @invariant()
    def what_counts_as_done_is_done(self) -> None:
        if not self.state.pending and not self.state.refusals:
            self._assert_equal()

    def teardown(self) -> None:
        self.restart()
        while mods := self.state.take(7):
            assert not self.actual.commit(mods)
            self.state.committed()
        self._assert_equal()
        assert not self.state.dumped(*self.actual.dump()).flows
        assert not self.state.take(1)

    def _is_desired(self, key: bytes) -> bool:
        return self.actual.flows.get(key) == self._desired().get(key)

    def _desired(self) -> dict[bytes, ActualFlow]:
        return {key: ActualFlow(key, e.instructions, e.cookie) for key, e in self.compiler.flows.items()}

    def _has_group(self, id: int) -> Group | None:
        return self.actual.groups.get(id)

    def _wants_group(self, id: int) -> Group | None:
        entry = self.compiler.groups.get(id)
        return None if entry is None else entry.group

    def _assert_equal(self) -> None:
        assert self.actual.flows == self._desired()
        assert self.actual.groups == {id: entry.group for id, entry in self.compiler.groups.items()}


TestReconciling = Reconciling.TestCase
TestReconciling.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)

OWNER = Key("switch", "")
ONE = flow(10, 1, match(eth_type=0x0806), apply(output(1)))


def test_a_refusal_of_what_is_no_longer_desired_is_forgotten() -> None:
    flows = {ONE.key: FlowEntry(ONE.instructions, 1, OWNER)}
    state = SwitchState(flows, {})
    state.desired_changed(Touched({ONE.key}, set()))
    state.take(10)
    flows[ONE.key] = FlowEntry(b"", 1, OWNER)
    state.desired_changed(Touched({ONE.key}, set()))
    state.refused({0: "output port 1 does not exist"})
    assert not state.refusals
    assert state.take(10) == (PutFlow(Flow(ONE.key, b""), 1),)
    state.committed()
    assert state.in_step((ONE.key,))


def test_what_is_refused_is_not_in_step_and_not_sent_again_until_it_is_desired_otherwise() -> None:
    flows = {ONE.key: FlowEntry(ONE.instructions, 1, OWNER)}
    state = SwitchState(flows, {})
    state.desired_changed(Touched({ONE.key}, set()))
    state.take(10)
    state.refused({0: "output port 1 does not exist"})
    assert not state.in_step((ONE.key,))
    assert state.take(10) == ()
    assert state.pending == 0
    flows[ONE.key] = FlowEntry(b"", 1, OWNER)
    state.desired_changed(Touched({ONE.key}, set()))
    assert state.take(10) == (PutFlow(Flow(ONE.key, b""), 1),)


def test_a_removal_that_is_refused_is_no_refusal_and_not_tried_again() -> None:
    flows: dict[bytes, FlowEntry] = {}
    state = SwitchState(flows, {})
    state.desired_changed(Touched({ONE.key}, set()))
    assert state.take(10) == (DeleteFlow(ONE.key),)
    state.refused({0: "no such port"})
    assert not state.refusals
    assert state.pending == 0
    assert state.take(10) == ()


def test_a_flow_that_was_refused_for_want_of_its_group_is_tried_again_with_another_group() -> None:
    sends = flow(10, 1, match(), apply(to_group(3)))
    flows = {sends.key: FlowEntry(sends.instructions, 1, OWNER)}
    bad, good = (Group(3, GroupType.ALL, bucket(output(number))) for number in (1, 2))
    groups = {3: GroupEntry(bad, OWNER)}
    state = SwitchState(flows, groups)
    state.desired_changed(Touched({sends.key}, {3}))
    assert state.take(10) == (PutGroup(bad), PutFlow(sends, 1))
    state.refused({0: "bad output port", 1: "no such group"})
    assert state.take(10) == ()
    groups[3] = GroupEntry(good, OWNER)
    state.desired_changed(Touched(set(), {3}))
    assert state.take(10) == (PutGroup(good), PutFlow(sends, 1))
    state.committed()
    assert state.in_step((sends.key, 3))
    assert not state.refusals


def test_a_portion_adds_from_the_last_table_and_removes_from_the_first() -> None:
    old = [flow(table, 1, match(), b"") for table in (0, 30, 60)]
    new = [flow(table, 2, match(), b"") for table in (0, 30, 60)]
    group = Group(3, GroupType.ALL, bucket(output(1)))
    desired = {each.key: FlowEntry(b"", 1, OWNER) for each in new}
    state = SwitchState(desired, {3: GroupEntry(group, OWNER)})
    state.dumped([ActualFlow(each.key, b"", 1) for each in old], [Group(4, GroupType.ALL, b"")])
    first, *puts_and_drops, last = state.take(100)
    assert (first, last) == (PutGroup(group), DeleteGroup(4))
    assert [key_of(mod)[0] for mod in puts_and_drops if isinstance(mod, PutFlow)] == [60, 30, 0]
    assert [key_of(mod)[0] for mod in puts_and_drops if not isinstance(mod, PutFlow)] == [0, 30, 60]
