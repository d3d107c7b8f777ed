"""Domain names as labels, with and without pointers."""

import pytest

from plait.wire.domain_names import encode_compressed_names, encode_names


def test_names_are_labels_with_their_lengths() -> None:
    assert encode_names(["eng.apple.com", "a."]) == b"\x03eng\x05apple\x03com\0\x01a\0"


def test_the_example_of_rfc_3397_comes_out_as_it_stands_there() -> None:
    encoded = encode_compressed_names(["eng.apple.com", "marketing.apple.com"])
    assert encoded == b"\x03eng\x05apple\x03com\0" + b"\x09marketing\xc0\x04"


def test_a_name_that_stands_before_is_a_pointer_alone() -> None:
    assert encode_compressed_names(["a.b", "b", "a.b"]) == b"\x01a\x01b\0" + b"\xc0\x02" + b"\xc0\x00"


@pytest.mark.parametrize("name", ["", "a..b", "x" * 64, ".".join(["x" * 60] * 5)])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a domain name"):
        encode_names([name])
