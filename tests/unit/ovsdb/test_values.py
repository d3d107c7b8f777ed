from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.wire.errors import MalformedMessage
from plait.wire.ovsdb.values import (
    NamedUuid,
    Uuid,
    as_map,
    as_set,
    decode_row,
    decode_value,
    encode_value,
    optional,
)

UUIDS = st.uuids().map(lambda uuid: Uuid(str(uuid)))
ATOMS = st.text() | st.integers(-(2**63), 2**63 - 1) | st.booleans() | UUIDS


@given(ATOMS | st.frozensets(ATOMS) | st.dictionaries(ATOMS, ATOMS))
def test_what_is_encoded_decodes_to_the_same(value: Any) -> None:
    again = decode_value(encode_value(value))

    assert again == value
    assert type(again) is type(value)


@pytest.mark.parametrize(
    ("value", "raw"),
    [
        ("veth0", "veth0"),
        (-1, -1),
        (True, True),
        (Uuid("u-1"), ["uuid", "u-1"]),
        (NamedUuid("row1"), ["named-uuid", "row1"]),
        ([], ["set", []]),
        ([NamedUuid("a"), Uuid("b")], ["set", [["named-uuid", "a"], ["uuid", "b"]]]),
        ({"k": "v"}, ["map", [["k", "v"]]]),
    ],
)
def test_values_look_as_the_rfc_says(value: Any, raw: Any) -> None:
    assert encode_value(value) == raw


@pytest.mark.parametrize(
    "raw",
    [None, [], {}, ["uuid"], ["uuid", 1], ["set"], ["set", [None]], ["set", [["set", []]]], ["map", [1]],
     ["map", [["a"]]], ["map", [["a", []]]], ["named-uuid", "x"], ["other", 1], ["map", {}]],
)  # fmt: skip
def test_what_is_no_value_is_malformed_and_names_its_column(raw: Any) -> None:
    with pytest.raises(MalformedMessage) as error:
        decode_row({"ofport": raw}, field="Interface")

    assert error.value.field == "Interface.ofport"


def test_a_value_that_ovsdb_does_not_have_is_our_own_fault() -> None:
    with pytest.raises(TypeError):
        encode_value(None)


def test_a_column_is_read_as_what_it_is_meant_to_be() -> None:
    assert optional(decode_value(["set", []])) is None
    assert optional(decode_value(5)) == 5
    assert optional(None) is None
    assert as_set(decode_value(["uuid", "a"])) == {"a"}
    assert as_set(None) == frozenset()
    assert as_map(decode_value(["set", []])) == {}
    assert as_map(decode_value(["map", [["a", "b"]]])) == {"a": "b"}
