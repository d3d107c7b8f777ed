"""A connection to a switch as a state machine. No sockets, no clock.

Rule 1: every state change of a connection happens in this file.
Rule 2: time enters as `now` (monotonic seconds).
Rule 3: whatever bytes come, `receive` does not raise; a peer that breaks the protocol is lost, with a reason.

    GREETING --hello--> LEARNING --features--> READY
    any of them --broken protocol, silence, hang-up--> LOST
"""

from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Any, Final

import msgspec

from plait.wire.errors import MalformedMessage
from plait.wire.openflow import multipart
from plait.wire.openflow.batch import STEPS, Batch, BatchDone
from plait.wire.openflow.framing import VERSION, Framer, MessageType
from plait.wire.openflow.messages import (
    AsyncConfig,
    Config,
    Echo,
    Features,
    FlowRemoved,
    ForeignGroupChange,
    Fragments,
    Hello,
    Message,
    MultipartPart,
    OpenFlowError,
    Plain,
    PortStatus,
    Role,
    decode,
)
from plait.wire.openflow.mods import Mod
from plait.wire.openflow.monitor import (
    ForeignFlowChange,
    MonitorPaused,
    MonitorResumed,
    decode_monitor,
    monitor_request,
)
from plait.wire.openflow.multipart import MultipartRequest, MultipartType
from plait.wire.openflow.packets import PacketIn, PacketOut, Resume, SetPacketInFormat

PROBE_S: Final = 15.0
PARTS_MAX: Final = 1_000_000
"""A bound on the parts of one answer: 64 KiB each, far above what a switch can hold."""


class Ready(msgspec.Struct, frozen=True):
    """The versions are agreed on, and the switch has said who it is."""

    features: Features


class Answer(msgspec.Struct, frozen=True):
    """The answer to a request: a list of entries for a multipart one, the reply otherwise."""

    xid: int
    value: Any


class Refusal(msgspec.Struct, frozen=True):
    """The switch refused a message that was not a modification."""

    xid: int
    error: OpenFlowError


class Lost(msgspec.Struct, frozen=True):
    """The connection is of no use any more; nothing will be answered."""

    reason: str


SwitchEvent = (
    PacketIn
    | ForeignFlowChange
    | ForeignGroupChange
    | FlowRemoved
    | PortStatus
    | MonitorPaused
    | MonitorResumed
)
"""What the switch tells unasked."""

Event = Ready | Answer | Refusal | BatchDone | Lost | SwitchEvent

Request = MultipartRequest | Plain | Role
Post = PacketOut | Resume | SetPacketInFormat | AsyncConfig | Config
Outgoing = Hello | Echo | Request | Post

_PART_DECODERS: Final[dict[int, Callable[[bytes], list[Any]]]] = {
    MultipartType.DESC: multipart.decode_desc,
    MultipartType.FLOW: multipart.decode_flows,
    MultipartType.AGGREGATE: multipart.decode_aggregate,
    MultipartType.TABLE: multipart.decode_tables,
    MultipartType.GROUP_DESC: multipart.decode_groups,
    MultipartType.METER_CONFIG: multipart.decode_meters,
    MultipartType.PORT_DESC: multipart.decode_ports,
    MultipartType.FLOW_MONITOR: decode_monitor,
}


class State(Enum):
    """How far a connection has come; see the module's docstring."""

    GREETING = auto()
    LEARNING = auto()
    READY = auto()
    LOST = auto()


class _Pending:
    """A request without its answer; the entries of the parts that came so far."""

    __slots__ = ("entries", "n_parts", "part_type")

    def __init__(self, part_type: int | None) -> None:
        self.part_type = part_type
        self.entries: list[Any] = []
        self.n_parts = 0


class Session:
    """One connection, from its first byte to its last.

    A silence of `probe_s` is answered by an echo request.
    """

    def __init__(self, now: float, *, probe_s: float = PROBE_S) -> None:
        self.state = State.GREETING
        self._probe_s = probe_s
        self._heard_at = now
        self._probed_at: float | None = None
        self._framer = Framer()
        self._next_xid = 1
        self._next_bundle = 1
        self._pending: dict[int, _Pending] = {}
        self._batches: list[Batch] = []
        self._events: list[Event] = []
        self._output: list[bytes] = []
        self._send(Hello())

    def take_output(self) -> bytes:
        """The bytes that are to be sent now."""
        output, self._output = b"".join(self._output), []
        return output

    def events(self) -> list[Event]:
        """What happened since the last call."""
        events, self._events = self._events, []
        return events

    def next_deadline(self) -> float | None:
        """When `tick` must be called at the latest; None when it never needs to be."""
        if self.state is State.LOST:
            return None
        return (self._heard_at if self._probed_at is None else self._probed_at) + self._probe_s

    def tick(self, now: float) -> None:
        """Time has come to `now`."""
        deadline = self.next_deadline()
        if deadline is None or now < deadline:
            return
        if self._probed_at is not None or self.state is State.GREETING:
            self.lose(f"the switch has been silent for {now - self._heard_at:.0f} s")
            return
        self._probed_at = now
        self._send(Echo())

    def receive(self, data: bytes, now: float) -> None:
        """Bytes have come."""
        if self.state is State.LOST:
            return
        self._heard_at, self._probed_at = now, None
        try:
            for kind, xid, body in self._framer.receive(data):
                self._take(xid, decode(kind, body))
        except MalformedMessage as error:
            self.lose(f"the switch sent what is not OpenFlow 1.4: {error}")

    def lose(self, reason: str) -> None:
        """The connection is gone; told once."""
        if self.state is not State.LOST:
            self.state = State.LOST
            self._pending.clear()
            self._batches.clear()
            self._events.append(Lost(reason))

    def request(self, message: Request) -> int:
        """Send what will be answered by `Answer`, or by `Refusal`; returns the xid that both carry.

        Raises ValueError for a multipart question whose answer this codec can't read.
        """
        if isinstance(message, MultipartRequest) and message.type not in _PART_DECODERS:
            raise ValueError(
                f"multipart type {message.type}: its answers can't be read, ask {set(_PART_DECODERS)}"
            )
        xid = self._send(message)
        self._pending[xid] = _Pending(message.type if isinstance(message, MultipartRequest) else None)
        return xid

    def post(self, message: Post) -> int:
        """Send what is answered only if it is refused, by `Refusal`."""
        return self._send(message)

    def commit(self, mods: Sequence[Mod]) -> int:
        """Send modifications as one atomic, ordered bundle; returns the handle that `BatchDone` carries.

        Raises ValueError for what can't be encoded; nothing is sent then.
        """
        bundle_id, self._next_bundle = self._next_bundle, self._next_bundle % 0xFFFFFFFF + 1
        return self._begin(mods, bundle_id)

    def apply(self, mods: Sequence[Mod]) -> int:
        """Send modifications one after the other; those that the switch doesn't refuse are carried out."""
        return self._begin(mods, None)

    def watch(self) -> int:
        """Ask to be told what others change: flows, groups and meters. Returns the xid of its `Answer`."""
        self._send(AsyncConfig())
        return self.request(monitor_request())

    def _begin(self, mods: Sequence[Mod], bundle_id: int | None) -> int:
        batch = Batch(tuple(mods), self._take_xids(len(mods) + STEPS), bundle_id)
        if mods:
            self._output.append(batch.start())
            self._batches.append(batch)
        else:
            self._events.append(batch.result())
        return batch.handle

    def _take_xids(self, count: int) -> int:
        """The first of `count` xids in a row; 0 is never used, the switch sends unasked messages under it."""
        if self._next_xid + count > 0xFFFFFFFF:
            self._next_xid = 1
        first = self._next_xid
        self._next_xid += count
        return first

    def _send(self, message: Outgoing) -> int:
        xid = self._take_xids(1)
        self._output.append(message.encode(xid))
        return xid

    def _take(self, xid: int, message: Message) -> None:
        match message:
            case Hello():
                self._greet(message)
            case Echo(data, is_reply):
                if not is_reply:
                    self._output.append(Echo(data, is_reply=True).encode(xid))
            case OpenFlowError():
                self._refuse(xid, message)
            case Features():
                self._learn(message)
            case MultipartPart():
                self._take_part(xid, message)
            case PacketIn() | PortStatus() | FlowRemoved() | ForeignGroupChange():
                self._events.append(message)
            case _:
                self._answer(xid, message)

    def _greet(self, hello: Hello) -> None:
        versions = hello.versions or frozenset(range(1, self._framer.peer_version + 1))
        if VERSION not in versions:
            spoken = ", ".join(f"1.{version - 1}" for version in sorted(versions))
            self.lose(f"the switch speaks OpenFlow {spoken}: allow OpenFlow14 in the bridge's `protocols`")
        elif self.state is State.GREETING:
            self.state = State.LEARNING
            self._send(Config(Fragments.NX_MATCH))
            self._send(SetPacketInFormat())
            self._send(Plain(MessageType.FEATURES_REQUEST))

    def _learn(self, features: Features) -> None:
        if self.state is State.LEARNING:
            self.state = State.READY
            self._events.append(Ready(features))

    def _refuse(self, xid: int, error: OpenFlowError) -> None:
        if self.state is State.GREETING:
            self.lose(
                f"the switch refused to talk ({error.text}): allow OpenFlow14 in the bridge's `protocols`"
            )
            return
        for batch in self._batches:
            if batch.owns(xid):
                batch.refused(xid, error)
                return
        self._pending.pop(xid, None)
        self._events.append(Refusal(xid, error))

    def _answer(self, xid: int, message: Message) -> None:
        if self._pending.pop(xid, None) is not None:
            self._events.append(Answer(xid, message))
            return
        for batch in self._batches:
            if batch.owns(xid):
                self._advance(batch, xid, message)
                return

    def _advance(self, batch: Batch, xid: int, message: Message) -> None:
        if getattr(message, "type", None) != MessageType.BARRIER_REPLY:
            return
        self._output.append(batch.passed_barrier(xid))
        if batch.is_done:
            self._batches.remove(batch)
            self._events.append(batch.result())

    def _take_part(self, xid: int, part: MultipartPart) -> None:
        pending = self._pending.get(xid)
        if pending is None:
            if part.type == MultipartType.FLOW_MONITOR:
                self._events.extend(decode_monitor(part.body))
            return
        pending.n_parts += 1
        if part.type != pending.part_type or pending.n_parts > PARTS_MAX:
            raise MalformedMessage(
                "multipart", 0, f"part {pending.n_parts} of type {part.type}: {pending.part_type} was asked"
            )
        pending.entries.extend(_PART_DECODERS[part.type](part.body))
        if not part.has_more:
            del self._pending[xid]
            self._events.append(Answer(xid, pending.entries))
