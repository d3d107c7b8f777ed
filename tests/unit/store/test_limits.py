import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.store.api import MAX_COMMIT_BYTES, Delete, Put
from plait.store.limits import after_prefix, check_commit

text = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\U0010ffff\ud7ff\ue000\x7f/0"))


@given(text, text)
def test_what_lies_between_a_prefix_and_its_end_is_exactly_what_starts_with_it(prefix, key):
    end = after_prefix(prefix)
    for candidate in (key, prefix + key):
        between = prefix <= candidate and (end is None or candidate < end)
        assert between == candidate.startswith(prefix)


@given(text, text)
def test_the_end_of_a_prefix_holds_in_the_order_of_bytes_too(prefix, key):
    end = after_prefix(prefix)
    in_bytes = prefix.encode() <= key.encode() and (end is None or key.encode() < end.encode())
    assert in_bytes == key.startswith(prefix)


@pytest.mark.parametrize("prefix", ["", "\U0010ffff", "\U0010ffff\U0010ffff"])
def test_a_prefix_that_nothing_follows_has_no_end(prefix):
    assert after_prefix(prefix) is None


def test_a_commit_counts_the_bytes_of_keys_and_values_together():
    half = MAX_COMMIT_BYTES // 2
    check_commit([], [Put("a", bytes(half - 1)), Put("b", bytes(half - 1))])
    with pytest.raises(ValueError, match="1000001 bytes"):
        check_commit([], [Put("a", bytes(half - 1)), Put("b", bytes(half - 1)), Delete("c")])
