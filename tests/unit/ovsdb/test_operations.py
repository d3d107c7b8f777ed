import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.wire.errors import MalformedMessage
from plait.wire.ovsdb.operations import (
    OperationResult,
    OvsdbError,
    decode_results,
    delete,
    insert,
    is_row,
    mutate,
    require,
    select,
    update,
)
from plait.wire.ovsdb.values import NamedUuid, Uuid


def test_operations_look_as_the_rfc_says() -> None:
    assert insert("Port", {"name": "p", "interfaces": NamedUuid("i")}, named="n") == {
        "op": "insert", "table": "Port", "uuid-name": "n",
        "row": {"name": "p", "interfaces": ["named-uuid", "i"]},
    }  # fmt: skip
    assert mutate("Bridge", is_row(Uuid("b")), [("ports", "insert", [NamedUuid("n")])]) == {
        "op": "mutate", "table": "Bridge", "where": [["_uuid", "==", ["uuid", "b"]]],
        "mutations": [["ports", "insert", ["set", [["named-uuid", "n"]]]]],
    }  # fmt: skip
    assert update("Bridge", [], {"fail_mode": "secure"})["row"] == {"fail_mode": "secure"}
    assert delete("Bridge", []) == {"op": "delete", "table": "Bridge", "where": []}
    assert select("Bridge", [], ["name"])["columns"] == ["name"]
    assert require("Open_vSwitch", [], [])["rows"] == []


def test_results_are_read_one_an_operation() -> None:
    raw = [{"uuid": ["uuid", "u"]}, {"count": 2}, {"rows": [{"name": "br", "ports": ["set", []]}]}, {}]

    results = decode_results([{"op": "x"}] * 4, raw)

    assert results[:2] == [OperationResult(uuid=Uuid("u")), OperationResult(count=2)]
    assert results[2].rows == ({"name": "br", "ports": frozenset()},)
    assert results[3] == OperationResult()


def test_a_refusal_names_the_operation_and_what_it_was_about() -> None:
    operations = [delete("Bridge", []), insert("Port", {"name": "veth0"})]

    refusal = {"error": "constraint violation", "details": "duplicate"}

    with pytest.raises(OvsdbError) as error:
        decode_results(operations, [{"count": 0}, refusal, None])

    assert str(error.value) == "OVSDB refused insert Port 'veth0': constraint violation: duplicate"
    assert (error.value.index, error.value.error) == (1, "constraint violation")


def test_a_refusal_of_the_commit_is_told_apart() -> None:
    with pytest.raises(OvsdbError, match="to commit"):
        decode_results([delete("Bridge", [])], [{"count": 1}, {"error": "referential integrity violation"}])


@pytest.mark.parametrize(
    "raw", [None, {}, [], [{}, {}], [None], [1], [{"count": "x"}], [{"uuid": []}], [{"rows": 1}]]
)
def test_a_result_of_a_wrong_form_is_malformed(raw: Any) -> None:
    with pytest.raises(MalformedMessage):
        decode_results([delete("Bridge", [])], raw)


@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(["count", "uuid", "rows", "error", "details"]), inner)))  # fmt: skip
def test_any_json_value_is_a_result_a_refusal_or_malformed(raw: Any) -> None:
    with contextlib.suppress(MalformedMessage, OvsdbError):
        decode_results([delete("Bridge", [])], raw)
