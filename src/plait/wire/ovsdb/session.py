"""One OVSDB connection as a state machine. No sockets, no clock.

Rule 1: a reply belongs to the request that has its id; a reply to nothing is the peer's fault.
Rule 2: time enters as `now` (monotonic seconds). A peer that is silent for `keepalive_s` is asked by an echo,
        and lost if it is silent for as long again (RFC 7047 section 4.1.11).
Rule 3: the peer's own echo is answered at once and shown to nobody.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from plait.wire.errors import MalformedMessage
from plait.wire.ovsdb.jsonrpc import (
    MAX_MESSAGE_BYTES,
    Message,
    Notification,
    Reply,
    Request,
    Splitter,
    encode,
)

ECHO_ID = "echo"


@dataclass(frozen=True, slots=True)
class Replied:
    """The answer to request `id`; `error` is None if it succeeded."""

    id: int
    result: Any
    error: Any


@dataclass(frozen=True, slots=True)
class Notified:
    """The peer told something that it wants no answer to."""

    method: str
    params: Sequence[Any]


@dataclass(frozen=True, slots=True)
class PeerSilent:
    """Nothing came for `silent_s` seconds, not even the answer to an echo: the connection is lost."""

    silent_s: float


Event = Replied | Notified | PeerSilent


class OvsdbSession:
    """What is asked, what is answered, and whether the peer is still there."""

    def __init__(
        self, now: float, *, keepalive_s: float | None, max_message_bytes: int = MAX_MESSAGE_BYTES
    ) -> None:
        self._splitter = Splitter(max_message_bytes=max_message_bytes)
        self._keepalive_s = keepalive_s
        self._heard_at = now
        self._is_echo_due = False
        self._is_lost = False
        self._next_id = 0
        self._open: set[int] = set()
        self._output: list[bytes] = []
        self._events: list[Event] = []

    def request(self, method: str, params: Sequence[Any]) -> int:
        """Ask; returns the id that the Replied event will carry."""
        self._next_id += 1
        self._open.add(self._next_id)
        self._output.append(encode(Request(self._next_id, method, params)))
        return self._next_id

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes from the peer. Raises MalformedMessage: the connection is then to be closed."""
        self._heard_at = now
        self._is_echo_due = False
        for message in self._splitter.receive(data):
            self._take(message)

    def tick(self, now: float) -> None:
        """Let time pass: asks a silent peer, gives up one that stays silent."""
        deadline = self.next_deadline()
        if deadline is None or now < deadline:
            return
        if self._is_echo_due:
            self._is_lost = True
            self._events.append(PeerSilent(now - self._heard_at))
            return
        self._is_echo_due = True
        self._output.append(encode(Request(ECHO_ID, "echo", [])))

    def next_deadline(self) -> float | None:
        """When `tick` has something to do if nothing comes until then; None for never."""
        if self._keepalive_s is None or self._is_lost:
            return None
        return self._heard_at + self._keepalive_s * (2 if self._is_echo_due else 1)

    def take_output(self) -> bytes:
        """The bytes to send, once."""
        output, self._output = b"".join(self._output), []
        return output

    def events(self) -> list[Event]:
        """What happened since the last call, in order."""
        events, self._events = self._events, []
        return events

    def _take(self, message: Message) -> None:
        match message:
            case Reply(id=int(id)) if id in self._open and id is not True:  # true == 1
                self._open.remove(id)
                self._events.append(Replied(id, message.result, message.error))
            case Reply(id=id) if id == ECHO_ID:
                pass
            case Reply():
                raise MalformedMessage("id", 0, "a reply to no request of ours")
            case Notification(method=method, params=params):
                self._events.append(Notified(method, params))
            case Request(id=id, method="echo", params=params):
                self._output.append(encode(Reply(id, params, None)))
            case Request(id=id):
                # A database server has nothing else to ask (RFC 7047 section 4.1): say so.
                self._output.append(encode(Reply(id, None, {"error": "unknown method"})))
