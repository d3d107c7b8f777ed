import pytest

from plait.wire.errors import MalformedMessage
from plait.wire.ovsdb.jsonrpc import Notification, Reply, Request, Splitter, encode
from plait.wire.ovsdb.session import Notified, OvsdbSession, PeerSilent, Replied


def sent(session: OvsdbSession) -> list[object]:
    return list(Splitter().receive(session.take_output()))


def test_replies_find_their_requests_in_any_order() -> None:
    session = OvsdbSession(0.0, keepalive_s=None)
    first, second = session.request("list_dbs", []), session.request("transact", ["db"])
    assert sent(session) == [Request(first, "list_dbs", []), Request(second, "transact", ["db"])]

    session.receive(encode(Reply(second, [1], None)) + encode(Reply(first, None, "no")), 1.0)

    assert session.events() == [Replied(second, [1], None), Replied(first, None, "no")]
    assert session.events() == []


def test_an_echo_is_answered_at_once_and_shown_to_nobody() -> None:
    session = OvsdbSession(0.0, keepalive_s=5.0)

    session.receive(encode(Request("echo", "echo", ["x"])), 1.0)

    assert sent(session) == [Reply("echo", ["x"], None)]
    assert session.events() == []


def test_a_silent_peer_is_asked_and_an_answer_is_enough() -> None:
    session = OvsdbSession(0.0, keepalive_s=5.0)
    assert session.next_deadline() == 5.0
    session.tick(4.9)
    assert sent(session) == []

    session.tick(5.0)
    assert sent(session) == [Request("echo", "echo", [])]
    assert session.next_deadline() == 10.0
    session.receive(encode(Reply("echo", [], None)), 6.0)

    assert session.next_deadline() == 11.0
    session.tick(10.0)
    assert session.events() == []


def test_a_peer_that_stays_silent_is_lost() -> None:
    session = OvsdbSession(0.0, keepalive_s=5.0)
    session.tick(5.0)
    session.tick(10.0)

    assert session.events() == [PeerSilent(10.0)]
    assert session.next_deadline() is None


def test_every_byte_of_the_peer_counts_as_life() -> None:
    session = OvsdbSession(0.0, keepalive_s=5.0)
    session.receive(b'{"method', 4.0)
    session.tick(5.0)

    assert sent(session) == []
    assert session.next_deadline() == 9.0


def test_without_keepalive_nothing_is_ever_due() -> None:
    session = OvsdbSession(0.0, keepalive_s=None)
    session.tick(1e9)

    assert session.next_deadline() is None
    assert sent(session) == []


def test_notifications_come_in_order_between_replies() -> None:
    session = OvsdbSession(0.0, keepalive_s=None)
    call = session.request("transact", [])
    stream = [Notification("update2", [1]), Reply(call, [], None), Notification("update2", [2])]

    session.receive(b"".join(encode(message) for message in stream), 1.0)

    assert session.events() == [Notified("update2", [1]), Replied(call, [], None), Notified("update2", [2])]


def test_an_unknown_request_is_refused_and_not_forgotten() -> None:
    session = OvsdbSession(0.0, keepalive_s=None)

    session.receive(encode(Request(7, "steal", [])), 1.0)

    assert sent(session) == [Reply(7, None, {"error": "unknown method"})]


@pytest.mark.parametrize("wrong", [2, "1", [1], {"a": 1}, True, 1.0])
def test_a_reply_to_nothing_is_malformed(wrong: object) -> None:
    session = OvsdbSession(0.0, keepalive_s=None)
    session.request("list_dbs", [])

    with pytest.raises(MalformedMessage):
        session.receive(encode(Reply(wrong, [], None)), 1.0)


def test_a_request_is_answered_once() -> None:
    session = OvsdbSession(0.0, keepalive_s=None)
    call = session.request("list_dbs", [])
    session.receive(encode(Reply(call, [], None)), 1.0)

    with pytest.raises(MalformedMessage):
        session.receive(encode(Reply(call, [], None)), 1.0)
