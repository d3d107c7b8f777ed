"""JSON-RPC 1.0 over a stream: bytes in, messages out.

OVSDB has no framing (RFC 7047 section 4): messages are JSON objects written one after another. The end of an
object is found by counting braces outside strings, in one pass that never looks at a byte more than twice, so
that a 10 MB reply that comes in small pieces costs what one in a single piece does. Only then is it decoded.
"""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from plait.wire.errors import MalformedMessage

MAX_MESSAGE_BYTES = 64 * 1024 * 1024

# Possessive, hence linear. No repetition may fail behind its first byte: Python 3.11 then loses its place. So
# a string that is cut off matches too, to the buffer's end, and leaves the group `cut` (and `half`, if it
# ends in a lone backslash).
_STRING = rb'(?:[^"\\]++|\\(?:.|(?P<half>\Z)))*+'
_TO_BRACE = re.compile(rb'(?:[^"{}]++|"' + _STRING + rb'(?:"|(?P<cut>\Z)))*+', re.DOTALL)
_TO_QUOTE = re.compile(_STRING, re.DOTALL)
_SPACE = re.compile(rb"[ \t\r\n]*+")
_OPEN, _CLOSE, _QUOTE = b'{}"'


class Request(msgspec.Struct, frozen=True):
    """A call that wants a reply. `id` is any JSON value but null. RFC 7047 section 4.1."""

    id: Any
    method: str
    params: Sequence[Any]


class Reply(msgspec.Struct, frozen=True):
    """The answer to the request with this `id`: `error` is None if it succeeded."""

    id: Any
    result: Any
    error: Any


class Notification(msgspec.Struct, frozen=True):
    """A call that wants no reply (a monitor's update, say)."""

    method: str
    params: Sequence[Any]


Message = Request | Reply | Notification

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def encode(message: Message) -> bytes:
    """The bytes of one message. Raises TypeError for values that JSON does not have."""
    match message:
        case Request():
            return _encode({"id": message.id, "method": message.method, "params": message.params})
        case Reply():
            return _encode({"id": message.id, "result": message.result, "error": message.error})
        case Notification():
            return _encode({"id": None, "method": message.method, "params": message.params})


def decode(data: bytes, *, offset: int = 0) -> Message:
    """One message from the bytes of one JSON object, which began at `offset` of its stream.

    Raises MalformedMessage.
    """
    try:
        value = _decode(data)
    except (ValueError, RecursionError) as error:
        raise MalformedMessage("json", offset, str(error)) from None
    if not isinstance(value, dict):
        raise MalformedMessage("json", offset, f"a {type(value).__name__} where an object belongs")
    method = value.get("method")
    if method is None:
        # JSON-RPC 1.0 has both in every reply; Open vSwitch leaves out the one that is null.
        if value.get("id") is None or not ("result" in value or "error" in value):
            raise MalformedMessage("message", offset, "neither a request nor a reply")
        return Reply(value["id"], value.get("result"), value.get("error"))
    params = value.get("params")
    if not isinstance(method, str) or not isinstance(params, list):
        raise MalformedMessage("method", offset, "method must be a string and params an array")
    if value.get("id") is None:
        return Notification(method, params)
    return Request(value["id"], method, params)


class Splitter:
    """Cuts a stream into messages. After MalformedMessage the stream is lost: close it."""

    def __init__(self, *, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._max_message_bytes = max_message_bytes
        self._buffer = bytearray()
        self._scanned = 0
        self._depth = 0
        self._is_in_string = False
        self._offset = 0  # of the buffer's first byte in the stream

    @property
    def buffered_bytes(self) -> int:
        """Bytes of a message that has not ended yet."""
        return len(self._buffer)

    def receive(self, data: bytes) -> list[Message]:
        """Messages that `data` completes. Raises MalformedMessage; buffers no more than the maximum."""
        self._buffer += data
        messages: list[Message] = []
        start = 0
        while (end := self._end()) is not None:
            self._check_size(end - start, start)
            messages.append(decode(bytes(self._buffer[start:end]), offset=self._offset + start))
            start = self._scanned = end
        if self._depth == 0:
            start = self._scanned
        del self._buffer[:start]
        self._offset += start
        self._scanned -= start
        self._check_size(len(self._buffer), 0)
        return messages

    def _check_size(self, size: int, start: int) -> None:
        if size > self._max_message_bytes:
            reason = f"longer than {self._max_message_bytes} bytes"
            raise MalformedMessage("message", self._offset + start, reason)

    def _end(self) -> int | None:
        """Where the object that is being scanned ends, or None if that is not here yet."""
        buffer, position = self._buffer, self._scanned
        if self._depth == 0:
            position = self._open(position)
        while self._depth > 0 and position < len(buffer):
            pattern = _TO_QUOTE if self._is_in_string else _TO_BRACE
            position, is_cut, is_half = _scan(pattern, buffer, position)
            self._is_in_string |= is_cut
            if is_half:
                position -= 1
                break
            if position == len(buffer):
                break
            byte = buffer[position]
            position += 1
            if byte == _QUOTE:
                self._is_in_string = False
            else:
                self._depth += 1 if byte == _OPEN else -1
            if self._depth == 0:
                return position
        self._scanned = position
        return None

    def _open(self, position: int) -> int:
        position = _end_of(_SPACE, self._buffer, position)
        if position < len(self._buffer):
            if self._buffer[position] != _OPEN:
                found = f"byte 0x{self._buffer[position]:02x} where an object begins"
                raise MalformedMessage("json", self._offset + position, found)
            self._depth = 1
            position += 1
        return position


def _end_of(pattern: re.Pattern[bytes], buffer: bytearray, position: int) -> int:
    found = pattern.match(buffer, position)
    return found.end() if found else position


def _scan(pattern: re.Pattern[bytes], buffer: bytearray, position: int) -> tuple[int, bool, bool]:
    """Where the match ends, whether it ends in an open string, and whether that ends in half an escape."""
    found = pattern.match(buffer, position)
    if found is None:
        return position, False, False
    groups = found.groupdict()
    return found.end(), groups.get("cut") is not None, groups["half"] is not None
