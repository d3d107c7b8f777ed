import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.model.numbers import Space, SpaceFull, assign, vnis

numbers = st.integers(0, 40)


def test_numbers_come_in_order_and_skip_what_is_reserved_or_taken() -> None:
    space = Space(1, 6, frozenset({2}))
    assert space.after(None) == 1
    assert space.after(1) == 3
    assert space.after(1, {3, 4}) == 5
    assert space.after(5, {6}) is None
    assert space.run_after(None, 10) == [1, 3, 4, 5, 6]


def test_a_space_knows_its_size_and_what_is_in_it() -> None:
    space = Space(1, 6, frozenset({2, 99}))
    assert space.size == 5
    assert [number for number in range(9) if number in space] == [1, 3, 4, 5, 6]


def test_vnis_stay_within_24_bits() -> None:
    assert vnis(first=0, last=2**32) == Space(1, 0xFFFFFF)


@given(numbers, numbers, st.frozensets(numbers), st.frozensets(numbers), st.none() | numbers)
def test_after_is_the_least_free_number_above(
    first: int, last: int, reserved: frozenset[int], taken: frozenset[int], position: int | None
) -> None:
    space = Space(first, last, reserved)
    above = [
        n for n in range(first, last + 1) if n not in reserved | taken and (position is None or n > position)
    ]
    assert space.after(position, taken) == (above[0] if above else None)


owners = st.text("abcdefgh", min_size=1, max_size=2)


@given(st.frozensets(owners, max_size=8), st.frozensets(owners, max_size=8))
def test_assigning_keeps_what_stays_and_gives_freed_numbers_again(
    first: frozenset[str], then: frozenset[str]
) -> None:
    space = Space(10, 17)
    before = assign(space, {}, first)
    after = assign(space, before, then)
    assert after.keys() == then
    assert len(set(after.values())) == len(then)
    assert all(number in space for number in after.values())
    assert all(after[owner] == before[owner] for owner in first & then)


def test_assigning_more_than_there_are_says_so() -> None:
    with pytest.raises(SpaceFull, match=r"no register key is free: all 2 are in use"):
        assign(Space(1, 2), {"a": 1}, ["a", "b", "c"], what="register key")
