"""The session as transcripts: what it says, when, and what it makes of the answers."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.wire.openflow.batch import BatchDone
from plait.wire.openflow.bundle import BundleControl, BundleStep
from plait.wire.openflow.framing import HEADER, Framer, MessageType, frame
from plait.wire.openflow.messages import (
    Echo,
    Hello,
    PortStatus,
    decode,
)
from plait.wire.openflow.mods import FlowCommand, FlowMod, GroupMod
from plait.wire.openflow.monitor import ForeignFlowChange
from plait.wire.openflow.multipart import GROUP_REQUEST, MultipartRequest, flow_request
from plait.wire.openflow.session import Answer, Lost, Ready, Refusal, Session, State

FEATURES = bytes.fromhex("0000000000000009 00000000 fe 00 0000 0000024f 00000000".replace(" ", ""))
MODS = [FlowMod(FlowCommand.ADD, 0, 10 + i) for i in range(3)]


class Switch:
    """The other end, by hand: reads what the session says, answers what a test wants."""

    def __init__(self, now: float = 0.0) -> None:
        self.session = Session(now, probe_s=10)
        self.now = now
        self._framer = Framer()

    def heard(self) -> list[tuple[int, int, bytes]]:
        """Type, xid and body of what the session sent since."""
        return self._framer.receive(self.session.take_output())

    def heard_kinds(self) -> list[str]:
        return [MessageType(kind).name for kind, _, _ in self.heard()]

    def say(self, kind: int, xid: int, body: bytes = b"") -> None:
        self.session.receive(frame(kind, xid, body), self.now)

    def refuse(self, xid: int, kind: int = 2, code: int = 9) -> None:
        self.say(MessageType.ERROR, xid, kind.to_bytes(2, "big") + code.to_bytes(2, "big") + bytes(8))

    def greet(self) -> "Switch":
        self.session.receive(Hello().encode(1), self.now)
        for kind, xid, _ in self.heard():
            if kind == MessageType.FEATURES_REQUEST:
                self.say(MessageType.FEATURES_REPLY, xid, FEATURES)
        [ready] = self.session.events()
        assert isinstance(ready, Ready)
        return self

    def barrier(self) -> list[tuple[int, int, bytes]]:
        """Answer the barrier among what was heard last; returns what was heard."""
        heard = self.heard()
        for kind, xid, _ in heard:
            if kind == MessageType.BARRIER_REQUEST:
                self.say(MessageType.BARRIER_REPLY, xid)
        return heard


def steps(heard: list[tuple[int, int, bytes]]) -> list[str]:
    """What was heard, bundle steps by their name."""
    names = []
    for kind, _, body in heard:
        message = decode(kind, body) if kind == MessageType.BUNDLE_CONTROL else None
        is_step = isinstance(message, BundleControl)
        names.append(BundleStep(message.step).name if is_step else MessageType(kind).name)  # type: ignore[union-attr]
    return names


def test_it_greets_asks_who_is_there_and_is_ready() -> None:
    switch = Switch()
    assert switch.heard_kinds() == ["HELLO"]

    switch.session.receive(Hello(frozenset({1, 4, 5, 6})).encode(1), 0)
    assert switch.heard_kinds() == ["SET_CONFIG", "EXPERIMENTER", "FEATURES_REQUEST"]
    assert switch.session.state is State.LEARNING

    switch.say(MessageType.FEATURES_REPLY, 4, FEATURES)
    [ready] = switch.session.events()
    assert isinstance(ready, Ready)
    assert ready.features.datapath_id == 9
    assert switch.session.state is State.READY


def test_a_greeting_without_versions_means_its_own_and_all_before() -> None:
    switch = Switch()
    switch.session.receive(HEADER.pack(6, MessageType.HELLO, 8, 1), 0)
    assert switch.session.state is State.LEARNING


@pytest.mark.parametrize(
    "hello",
    [
        HEADER.pack(4, MessageType.HELLO, 8, 1),
        Hello(frozenset({1, 4})).encode(1),
        Hello(frozenset({6})).encode(1),
    ],
)
def test_a_switch_of_another_version_is_lost_with_the_way_out(hello: bytes) -> None:
    switch = Switch()
    switch.session.receive(hello, 0)
    [lost] = switch.session.events()
    assert isinstance(lost, Lost)
    assert "allow OpenFlow14" in lost.reason


def test_a_switch_that_refuses_our_version_is_lost_with_the_way_out() -> None:
    switch = Switch()
    switch.session.receive(HEADER.pack(1, MessageType.ERROR, 12, 1) + bytes(4), 0)
    [lost] = switch.session.events()
    assert isinstance(lost, Lost)
    assert "allow OpenFlow14" in lost.reason


def test_an_echo_is_answered_with_its_own_data() -> None:
    switch = Switch().greet()
    switch.say(MessageType.ECHO_REQUEST, 77, b"data")
    assert switch.heard() == [(MessageType.ECHO_REPLY, 77, b"data")]


def test_silence_is_answered_by_a_probe_and_more_silence_by_giving_up() -> None:
    switch = Switch().greet()
    switch.session.tick(9.9)
    assert switch.heard() == []

    assert switch.session.next_deadline() == 10
    switch.session.tick(10)
    assert switch.heard_kinds() == ["ECHO_REQUEST"]

    assert switch.session.next_deadline() == 20
    switch.session.tick(20)
    [lost] = switch.session.events()
    assert isinstance(lost, Lost)
    assert "silent for 20 s" in lost.reason
    assert switch.session.next_deadline() is None


def test_a_switch_that_never_greets_is_given_up_without_a_probe() -> None:
    switch = Switch()
    switch.heard()
    switch.session.tick(10)
    assert switch.heard() == []
    [lost] = switch.session.events()
    assert isinstance(lost, Lost)
    assert "silent for 10 s" in lost.reason


def test_a_question_whose_answer_can_not_be_read_is_refused_here() -> None:
    switch = Switch().greet()
    with pytest.raises(ValueError, match="multipart type 999"):
        switch.session.request(MultipartRequest(999))


def test_any_message_ends_the_silence() -> None:
    switch = Switch().greet()
    switch.session.tick(10)
    switch.session.receive(Echo(is_reply=True).encode(5), 12)
    switch.session.tick(20)
    assert switch.session.events() == []
    assert switch.session.next_deadline() == 22


def test_an_answer_in_parts_is_put_together() -> None:
    switch = Switch().greet()
    xid = switch.session.request(GROUP_REQUEST)
    for number, flags in ((1, 1), (2, 1), (3, 0)):
        assert switch.session.events() == []
        group = bytes.fromhex("00080000") + number.to_bytes(4, "big")
        switch.say(MessageType.MULTIPART_REPLY, xid, bytes((0, 7, 0, flags)) + bytes(4) + group)
    [answer] = switch.session.events()
    assert isinstance(answer, Answer)
    assert answer.xid == xid
    assert [group.group_id for group in answer.value] == [1, 2, 3]


def test_answers_find_their_questions_in_any_order() -> None:
    switch = Switch().greet()
    first, second = switch.session.request(flow_request()), switch.session.request(GROUP_REQUEST)
    switch.say(MessageType.MULTIPART_REPLY, second, bytes.fromhex("0007000000000000"))
    switch.say(MessageType.MULTIPART_REPLY, first, bytes.fromhex("0001000000000000"))
    assert switch.session.events() == [Answer(second, []), Answer(first, [])]


def test_an_answer_of_the_wrong_kind_loses_the_switch() -> None:
    switch = Switch().greet()
    xid = switch.session.request(flow_request())
    switch.say(MessageType.MULTIPART_REPLY, xid, bytes.fromhex("0007000000000000"))
    assert switch.session.state is State.LOST


def test_a_refused_question_is_told_by_its_xid() -> None:
    switch = Switch().greet()
    xid = switch.session.request(flow_request())
    switch.refuse(xid, 1, 5)
    [refusal] = switch.session.events()
    assert isinstance(refusal, Refusal)
    assert (refusal.xid, refusal.error.text) == (xid, "OFPBRC_EPERM")


def test_a_bundle_is_committed_only_after_its_barrier() -> None:
    switch = Switch().greet()
    handle = switch.session.commit(MODS)

    heard = switch.barrier()
    assert steps(heard) == ["OPEN_REQUEST", "BUNDLE_ADD", "BUNDLE_ADD", "BUNDLE_ADD", "BARRIER_REQUEST"]
    for (kind, xid, body), mod in zip(heard[1:4], MODS, strict=True):
        assert kind == MessageType.BUNDLE_ADD
        assert body[8:] == mod.encode(xid)
    assert switch.session.events() == []

    assert steps(switch.barrier()) == ["COMMIT_REQUEST", "BARRIER_REQUEST"]
    assert switch.session.events() == [BatchDone(handle, ())]


def test_a_bundle_with_a_refused_message_is_discarded() -> None:
    switch = Switch().greet()
    switch.session.commit(MODS)
    heard = switch.heard()
    switch.refuse(heard[2][1])
    switch.say(MessageType.BARRIER_REPLY, heard[-1][1])

    assert steps(switch.barrier()) == ["DISCARD_REQUEST", "BARRIER_REQUEST"]
    [done] = switch.session.events()
    assert isinstance(done, BatchDone)
    [error] = done.errors
    assert (error.index, error.mod, error.text) == (1, MODS[1], "OFPBAC_BAD_OUT_GROUP")


def test_an_error_at_commit_names_the_modification_and_not_the_bundle() -> None:
    switch = Switch().greet()
    switch.session.commit(MODS)
    adds = switch.barrier()
    commit = switch.heard()
    switch.refuse(adds[3][1])
    switch.refuse(commit[0][1], 17, 13)
    switch.say(MessageType.BARRIER_REPLY, commit[1][1])

    [done] = switch.session.events()
    assert isinstance(done, BatchDone)
    assert [(error.index, error.text) for error in done.errors] == [(2, "OFPBAC_BAD_OUT_GROUP")]


def test_an_error_of_the_bundle_itself_names_no_modification() -> None:
    switch = Switch().greet()
    switch.session.commit(MODS)
    heard = switch.heard()
    switch.refuse(heard[0][1], 17, 5)
    for _, xid, _ in heard[1:4]:
        switch.refuse(xid, 17, 2)
    switch.say(MessageType.BARRIER_REPLY, heard[-1][1])
    switch.barrier()

    [done] = switch.session.events()
    assert isinstance(done, BatchDone)
    assert [(error.index, error.mod, error.text) for error in done.errors] == [
        (None, None, "OFPBFC_OUT_OF_BUNDLES")
    ]


def test_two_bundles_at_once_keep_their_errors_apart() -> None:
    switch = Switch().greet()
    first, second = switch.session.commit(MODS), switch.session.commit(MODS[:1])
    heard = switch.heard()
    barriers = [xid for kind, xid, _ in heard if kind == MessageType.BARRIER_REQUEST]
    switch.refuse(heard[6][1])
    for xid in barriers:
        switch.say(MessageType.BARRIER_REPLY, xid)
    switch.barrier()

    done = {event.handle: event.errors for event in switch.session.events() if isinstance(event, BatchDone)}
    assert done[first] == ()
    assert [error.index for error in done[second]] == [0]


def test_plain_modifications_are_closed_by_one_barrier() -> None:
    switch = Switch().greet()
    handle = switch.session.apply([*MODS, GroupMod(0, 1)])
    heard = switch.heard()
    assert steps(heard) == ["FLOW_MOD", "FLOW_MOD", "FLOW_MOD", "GROUP_MOD", "BARRIER_REQUEST"]
    switch.refuse(heard[3][1], 6, 0)
    switch.say(MessageType.BARRIER_REPLY, heard[4][1])

    [done] = switch.session.events()
    assert isinstance(done, BatchDone)
    assert done.handle == handle
    assert [(error.index, error.text) for error in done.errors] == [(3, "OFPGMFC_GROUP_EXISTS")]


def test_nothing_to_change_is_done_at_once_and_sends_nothing() -> None:
    switch = Switch().greet()
    handle = switch.session.commit([])
    assert switch.session.events() == [BatchDone(handle, ())]
    assert switch.session.take_output() == b""


def test_a_modification_that_can_not_be_encoded_is_named_and_nothing_is_sent() -> None:
    switch = Switch().greet()
    with pytest.raises(ValueError, match=r"mods\[1\] can't be encoded"):
        switch.session.commit([MODS[0], FlowMod(FlowCommand.ADD, 0, 70_000)])
    assert switch.session.take_output() == b""


def test_what_comes_unasked_is_told() -> None:
    switch = Switch().greet()
    update = bytes.fromhex(
        "0020 0001 0300 0000 0000 0064 00000000 000000000000005a 0001 0004 00000000".replace(" ", "")
    )
    port = bytes.fromhex("00000003 0028 0000 020000000001 0000".replace(" ", "")) + bytes(24)
    switch.say(MessageType.MULTIPART_REPLY, 0, bytes.fromhex("0010000000000000") + update)
    switch.say(MessageType.PORT_STATUS, 0, bytes(8) + port)
    change, status = switch.session.events()
    assert isinstance(change, ForeignFlowChange)
    assert (change.kind, change.table, change.priority, change.cookie) == ("added", 3, 100, 0x5A)
    assert isinstance(status, PortStatus)
    assert status.port.number == 3


def test_broken_bytes_lose_the_switch_and_nothing_is_said_after() -> None:
    switch = Switch().greet()
    switch.session.request(flow_request())
    switch.session.receive(b"HTTP/1.1 400 Bad Request\r\n", 1)
    [lost] = switch.session.events()
    assert isinstance(lost, Lost)
    assert "not OpenFlow 1.4" in lost.reason

    switch.say(MessageType.ECHO_REQUEST, 1)
    switch.session.tick(1000)
    switch.session.lose("again")
    assert switch.session.events() == []


def test_xids_go_round_without_ever_being_zero() -> None:
    switch = Switch().greet()
    switch.session._next_xid = 0xFFFFFFF0
    switch.heard()
    switch.session.commit(MODS * 10)
    xids = [xid for _, xid, _ in switch.heard()]
    assert 0 not in xids
    assert len(set(xids)) == len(xids)


@given(st.lists(st.binary(max_size=60), max_size=5), st.booleans())
def test_no_bytes_make_the_session_raise(pieces: list[bytes], is_framed: bool) -> None:
    switch = Switch().greet()
    switch.session.request(flow_request())
    switch.session.commit(MODS)
    for piece in pieces:
        data = frame(piece[0] % 35, piece[-1], piece[1:]) if is_framed and piece else piece
        switch.session.receive(data, 1)
        switch.session.events()


@given(st.data())
def test_a_conversation_means_the_same_however_it_is_cut(data: Any) -> None:
    stream = b"".join(
        (
            Hello().encode(1),
            frame(MessageType.FEATURES_REPLY, 4, FEATURES),
            frame(MessageType.ECHO_REQUEST, 9, b"hi"),
            frame(MessageType.MULTIPART_REPLY, 0, bytes.fromhex("0010000000000000 0008000500000000")),
        )
    )
    whole, pieces = Session(0), Session(0)
    whole.receive(stream, 1)
    rest = stream
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        pieces.receive(rest[:size], 1)
        rest = rest[size:]
    assert pieces.events() == whole.events()
    assert pieces.take_output() == whole.take_output()
