import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.wire.errors import MalformedMessage
from plait.wire.ovsdb.jsonrpc import Message, Notification, Reply, Request, Splitter, decode, encode

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
IDS = st.integers(0, 1000) | st.text(min_size=1)
MESSAGES = (
    st.builds(Request, IDS, st.text(min_size=1), st.lists(JSON, max_size=3))
    | st.builds(Reply, IDS, JSON, JSON)
    | st.builds(Notification, st.text(min_size=1), st.lists(JSON, max_size=3))
)
ROW = {"name": 'a"}{\\', "ofport": 3}
REAL = encode(Notification("update2", ["plait", {"Interface": {"u-1": {"insert": ROW}}}]))


def receive_in_pieces(data: bytes, size: int) -> list[Message]:
    splitter = Splitter()
    return [message for at in range(0, len(data), size) for message in splitter.receive(data[at : at + size])]


def feed_byte_by_byte(splitter: Splitter, data: bytes) -> None:
    for byte in data:
        splitter.receive(bytes([byte]))


@given(st.lists(MESSAGES, max_size=5), st.sampled_from([b"", b" ", b"\r\n\t"]), st.integers(1, 40))
def test_messages_come_out_as_they_went_in_however_the_bytes_are_cut(
    messages: list[Message], space: bytes, size: int
) -> None:
    assert receive_in_pieces(space.join(encode(message) for message in messages), size) == messages


@given(st.lists(MESSAGES, min_size=1, max_size=3))
def test_escaped_text_may_be_cut_anywhere(messages: list[Message]) -> None:
    data = b"".join(json.dumps(json.loads(encode(message))).encode() for message in messages)

    assert receive_in_pieces(data, 1) == messages


@pytest.mark.parametrize("text", ['"', "\\", '\\"', "{", "}", "}{", '{"', "\\\\", "é\n"])
def test_braces_quotes_and_backslashes_within_strings_end_nothing(text: str) -> None:
    message = Request(1, "transact", [text, {text: text}])

    for size in range(1, 9):
        assert receive_in_pieces(encode(message) * 2, size) == [message, message]


def test_a_message_is_given_out_with_its_last_byte_and_not_before() -> None:
    splitter = Splitter()

    for byte in REAL[:-1]:
        assert splitter.receive(bytes([byte])) == []
    assert len(splitter.receive(REAL[-1:])) == 1
    assert splitter.buffered_bytes == 0


def test_a_reply_that_leaves_out_its_null_is_understood() -> None:
    assert decode(b'{"id": 0, "error": "no such command"}') == Reply(0, None, "no such command")
    assert decode(b'{"id": 0, "result": []}') == Reply(0, [], None)


@pytest.mark.parametrize(
    "data",
    [
        b"[]", b"x", b"}", b'{"id":1}', b"{}", b'{"method":1,"params":[]}', b'{"method":"a","params":{}}',
        b'{"a":\xff}', b'{"a":"\xff"}', b'{"result":1,"id":null}', b'{"a"{}}', b'{"id":1,"result":1e999}',
        b'{"id":1,"result":' + b"[" * 100_000 + b"}",
    ],
)  # fmt: skip
def test_what_is_no_message_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        Splitter().receive(data)


def test_the_offset_of_an_error_counts_from_the_beginning_of_the_stream() -> None:
    splitter = Splitter()
    splitter.receive(REAL)
    splitter.receive(REAL[:10])

    with pytest.raises(MalformedMessage) as error:
        splitter.receive(REAL[10:] + b" x")

    assert error.value.offset == 2 * len(REAL) + 1


@pytest.mark.parametrize("filler", [b'{"a":"' + b"x" * 2000, b"{" * 2000, b'{"a":"' + b"\\" * 2000])
def test_a_message_longer_than_allowed_is_refused_before_it_is_kept(filler: bytes) -> None:
    splitter = Splitter(max_message_bytes=1000)

    with pytest.raises(MalformedMessage, match="longer than 1000"):
        feed_byte_by_byte(splitter, filler)

    assert splitter.buffered_bytes <= 1001


def test_a_message_of_exactly_the_allowed_length_passes() -> None:
    assert len(Splitter(max_message_bytes=len(REAL)).receive(REAL + REAL)) == 2


@given(st.binary(max_size=200))
def test_random_bytes_raise_nothing_but_malformed_message(data: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        receive_in_pieces(data, 7)


@given(st.integers(0, len(REAL) - 1), st.binary(min_size=1, max_size=3), st.integers(1, 50))
def test_damaged_messages_raise_nothing_but_malformed_message(at: int, damage: bytes, size: int) -> None:
    with contextlib.suppress(MalformedMessage):
        receive_in_pieces(REAL[:at] + damage + REAL[at + len(damage) :] + REAL, size)
