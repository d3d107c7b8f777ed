import contextlib
import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.wire.errors import MalformedMessage
from plait.wire.ovsdb.replica import Replica, RowChange
from plait.wire.ovsdb.schema import Kind, decode_schema
from plait.wire.ovsdb.values import Uuid, as_map, as_set, encode_value

SCHEMA = {"Bridge": {"name": Kind.VALUE, "ports": Kind.SET, "ids": Kind.MAP, "tag": Kind.VALUE}}


def difference_of_sets(old: frozenset[Any], new: frozenset[Any]) -> Any:
    return encode_value(old ^ new)


def difference_of_maps(old: dict[Any, Any], new: dict[Any, Any]) -> Any:
    """As ovsdb-server(7) writes it: removed pairs, added pairs, and changed keys with their new value."""
    gone = {key: value for key, value in old.items() if key not in new}
    come = {key: value for key, value in new.items() if old.get(key) != value}
    return encode_value({**gone, **come})


def test_rows_come_change_and_go() -> None:
    replica, uuid = Replica(SCHEMA), Uuid("b")
    made = replica.apply({"Bridge": {"b": {"insert": {"name": "br", "ports": ["uuid", "p1"]}}}})
    replica.apply({"Bridge": {"b": {"modify": {"ports": ["set", [["uuid", "p1"], ["uuid", "p2"]]]}}}})
    seen = replica.row("Bridge", uuid)
    gone = replica.apply({"Bridge": {"b": {"delete": None}}})

    assert made == [RowChange("Bridge", uuid, None, {"name": "br", "ports": Uuid("p1")})]
    assert seen == {"name": "br", "ports": frozenset({Uuid("p2")})}
    assert gone == [RowChange("Bridge", uuid, seen, None)]
    assert replica.rows("Bridge") == {}


def test_a_row_that_was_read_stays_as_it_was() -> None:
    replica = Replica(SCHEMA)
    replica.restart({"Bridge": {"b": {"initial": {"ids": ["map", [["k", "v"]]]}}}})
    before = replica.row("Bridge", Uuid("b"))
    kept = copy.deepcopy(before)

    replica.apply({"Bridge": {"b": {"modify": {"ids": ["map", [["k", "w"]]], "tag": 5}}}})

    assert before == kept
    assert replica.row("Bridge", Uuid("b")) == {"ids": {"k": "w"}, "tag": 5}


SETS = st.frozensets(st.integers(0, 6))
MAPS = st.dictionaries(st.sampled_from("abcd"), st.sampled_from("xyz"))


@given(st.lists(st.tuples(SETS, MAPS), min_size=2, max_size=8))
def test_after_any_history_sets_and_maps_are_what_the_server_has(history: list[tuple[Any, Any]]) -> None:
    replica, uuid = Replica(SCHEMA), Uuid("b")
    ports, ids = history[0]
    replica.apply({"Bridge": {"b": {"insert": {"ports": encode_value(ports), "ids": encode_value(ids)}}}})

    for new_ports, new_ids in history[1:]:
        change = {"ports": difference_of_sets(ports, new_ports), "ids": difference_of_maps(ids, new_ids)}
        replica.apply({"Bridge": {"b": {"modify": change}}})
        ports, ids = new_ports, new_ids
        row = replica.row("Bridge", uuid)
        assert row is not None
        assert (as_set(row["ports"]), as_map(row["ids"])) == (ports, ids)


def test_a_restart_reports_only_what_differs() -> None:
    replica = Replica(SCHEMA)
    replica.restart({"Bridge": {name: {"initial": {"name": name}} for name in ("same", "gone", "other")}})

    rows = {"same": {"name": "same"}, "other": {"name": "new"}, "fresh": {"name": "fresh"}}
    changes = replica.restart({"Bridge": {name: {"initial": row} for name, row in rows.items()}})

    assert {change.uuid for change in changes} == {"gone", "other", "fresh"}
    assert {uuid: dict(row) for uuid, row in replica.rows("Bridge").items()} == rows


def test_an_update_that_changes_nothing_reports_nothing() -> None:
    replica = Replica(SCHEMA)
    replica.restart({"Bridge": {"b": {"initial": {"name": "br"}}}})

    assert replica.apply({"Bridge": {"b": {"modify": {"name": "br"}}, "unknown": {"delete": None}}}) == []


@pytest.mark.parametrize(
    "update",
    [
        None,
        [],
        {"Bridge": 1},
        {"Bridge": {"b": 1}},
        {"Bridge": {"b": {"modify": {"name": "x"}}}},
        {"Bridge": {"b": {"insert": 1}}},
        {"Bridge": {"a": {"modify": {"ids": 5}}}},
        {"Bridge": {"b": {"other": {}}}},
    ],
)
def test_an_update_of_a_wrong_form_is_malformed(update: Any) -> None:
    replica = Replica(SCHEMA)
    replica.restart({"Bridge": {"a": {"initial": {"name": "br"}}}})

    with pytest.raises(MalformedMessage):
        replica.apply(update)


RAW = st.recursive(
    st.none() | st.integers() | st.sampled_from(["set", "map", "uuid", "modify", "insert", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["Bridge", "a", "modify", "insert", "initial", "ids", "ports"]), inner
        )
    ),
    max_leaves=15,
)


@given(RAW)
def test_any_json_value_raises_nothing_but_malformed_message(raw: Any) -> None:
    replica = Replica(SCHEMA)
    replica.restart({"Bridge": {"a": {"initial": {"name": "br"}}}})
    for take in (replica.apply, replica.restart, decode_schema):
        with contextlib.suppress(MalformedMessage):
            take(raw)


def test_the_schema_says_which_columns_hold_several_values() -> None:
    columns = {
        "name": {"type": "string"},
        "ofport": {"type": {"key": "integer", "min": 0, "max": 1}},
        "ports": {"type": {"key": {"type": "uuid", "refTable": "Port"}, "min": 0, "max": "unlimited"}},
        "flood_vlans": {"type": {"key": "integer", "min": 0, "max": 4096}},
        "ids": {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}},
    }

    kinds = decode_schema({"tables": {"T": {"columns": columns}}})["T"]

    assert kinds == {
        "name": Kind.VALUE, "ofport": Kind.VALUE, "ports": Kind.SET, "flood_vlans": Kind.SET, "ids": Kind.MAP,
    }  # fmt: skip
