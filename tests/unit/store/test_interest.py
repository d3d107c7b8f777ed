import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.store.api import Revision
from plait.store.interest import Interest, Watch

names = st.text("ab/", max_size=4)


def idle(prefix: str, at: int = 0) -> Watch:
    """A watch that has read everything up to `at`."""
    watch = Watch(prefix, Revision(at))
    watch.begin_reading()
    watch.end_reading(Revision(at), more=False)
    return watch


@given(st.lists(names), names)
def test_a_change_reaches_exactly_the_watches_whose_prefix_its_key_has(prefixes, key):
    interest = Interest()
    watches = [idle(prefix) for prefix in prefixes]
    with_all = [interest.following(watch) for watch in watches]
    for following in with_all:
        following.__enter__()
    interest.touch(1, [key])
    for watch in watches:
        assert (watch.begin_reading() is not None) == key.startswith(watch.prefix)
    for following in with_all:
        following.__exit__(None, None, None)
    assert len(interest) == 0


def test_a_new_watch_reads_from_behind_its_revision():
    assert Watch("a", Revision(7)).begin_reading() == 8


def test_an_idle_watch_reads_from_the_first_change_that_concerns_it():
    watch = idle("a", 7)
    watch.touch(20)
    watch.touch(30)
    assert watch.begin_reading() == 20


def test_what_a_watch_has_read_already_does_not_wake_it():
    watch = idle("a", 7)
    watch.touch(7)
    assert watch.begin_reading() is None


def test_a_change_behind_what_is_read_stays_to_be_read():
    watch = idle("a", 7)
    watch.touch(8)
    assert watch.begin_reading() == 8
    watch.touch(9)
    watch.touch(12)
    watch.end_reading(Revision(10), more=False)
    assert watch.begin_reading() == 11


def test_a_change_that_was_read_while_it_was_told_is_not_read_twice():
    watch = idle("a", 7)
    watch.touch(8)
    watch.begin_reading()
    watch.touch(9)
    watch.end_reading(Revision(9), more=False)
    assert watch.begin_reading() is None


def test_a_watch_of_the_future_ignores_what_comes_before():
    watch = idle("a", 7)
    watch.end_reading(Revision(3), more=False)
    watch.touch(5)
    assert watch.begin_reading() is None


async def test_who_waits_for_news_is_woken_once_for_many_changes():
    interest = Interest()
    watch = idle("a")
    await watch.news()
    with interest.following(watch):
        waiting = asyncio.ensure_future(watch.news())
        interest.touch(1, ["b"])
        await asyncio.sleep(0)
        assert not waiting.done()
        interest.touch(2, ["a"])
        interest.touch(3, ["a"])
        await waiting
        again = asyncio.ensure_future(watch.news())
        await asyncio.sleep(0)
        assert not again.done()
        interest.wake_all()
        await again


def test_a_watch_is_forgotten_when_its_block_is_left_by_an_error():
    interest = Interest()
    with pytest.raises(RuntimeError), interest.following(Watch("a", Revision(0))):
        raise RuntimeError
    assert len(interest) == 0
