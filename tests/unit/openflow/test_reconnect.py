"""Backoff: waits grow, and begin anew only after a connection that was worth its name."""

import pytest

from plait.wire.reconnect import Backoff


def test_the_first_attempt_may_be_made_at_once() -> None:
    assert Backoff(1, 8).next_attempt() == 0


def test_waits_double_up_to_the_longest() -> None:
    backoff = Backoff(1, 8)
    waits = []
    for now in range(0, 600, 100):
        backoff.failed(now)
        waits.append(backoff.next_attempt() - now)
    assert waits == [1, 2, 4, 8, 8, 8]


def test_a_connection_that_stood_begins_anew_with_the_shortest_wait() -> None:
    backoff = Backoff(1, 8)
    for _ in range(3):
        backoff.failed(0)
    backoff.connected(10)
    backoff.failed(100)
    assert backoff.next_attempt() == 101


def test_a_connection_that_broke_at_once_waits_on() -> None:
    backoff = Backoff(1, 8)
    for _ in range(3):
        backoff.failed(0)
    backoff.connected(10)
    backoff.failed(10.5)
    assert backoff.next_attempt() == 18.5


@pytest.mark.parametrize(("initial_s", "max_s"), [(0, 1), (-1, 1), (2, 1)])
def test_waits_that_make_no_sense_are_refused(initial_s: float, max_s: float) -> None:
    with pytest.raises(ValueError, match="backoff from"):
        Backoff(initial_s, max_s)
