"""A copy of the monitored part of a database, kept by its monitor's messages.

Uses `monitor_cond` and `update2` (ovsdb-server(7), section 4.1.12 on), which write only what changed of a
set: with RFC 7047's own `monitor`, a port added to a bridge that has 10,000 would carry all of them.

Rule 1: rows are never changed in place, so what was read stays as it was.
Rule 2: a monitor that begins again replaces everything, and reports only what differs.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from plait.wire.errors import MalformedMessage
from plait.wire.ovsdb.schema import Kind, Schema
from plait.wire.ovsdb.values import EMPTY, Atom, Uuid, Value, as_map, as_set, decode_row

Row = Mapping[str, Value]  # columns that hold their type's default may be left out

_NO_ROW: Row = {}


@dataclass(frozen=True, slots=True)
class RowChange:
    """A row before and after: None where it did not or does not exist."""

    table: str
    uuid: Uuid
    old: Row | None
    new: Row | None

    def changed(self, column: str) -> bool:
        """Whether the column differs, a missing row having none."""
        return (self.old or _NO_ROW).get(column) != (self.new or _NO_ROW).get(column)


class Replica:
    """Rows by table and uuid. Pure: fed with the monitor's JSON values."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._tables: dict[str, dict[Uuid, Row]] = {}

    def rows(self, table: str) -> Mapping[Uuid, Row]:
        """The table's rows now; empty for a table that is not monitored."""
        return self._tables.get(table, {})

    def row(self, table: str, uuid: Uuid) -> Row | None:
        """One row, or None."""
        return self.rows(table).get(uuid)

    def restart(self, raw: Any) -> list[RowChange]:
        """Take the reply to `monitor_cond` as the whole state; returns what differs from before.

        Raises MalformedMessage, having changed nothing.
        """
        fresh = Replica(self._schema)
        fresh.apply(raw)
        before, self._tables = self._tables, fresh._tables
        return list(_differences(before, fresh._tables))

    def apply(self, raw: Any) -> list[RowChange]:
        """Apply the changes of one `update2`; returns them, without those that change nothing.

        Raises MalformedMessage for values of a wrong form and for a change of a row that is not here; the
        replica must then be restarted.
        """
        changes = []
        for table, rows in _items(raw, "update2"):
            for uuid, row_update in _items(rows, table):
                change = self._change(table, Uuid(uuid), row_update)
                if change.old != change.new:
                    self._put(change)
                    changes.append(change)
        return changes

    def _put(self, change: RowChange) -> None:
        rows = self._tables.setdefault(change.table, {})
        if change.new is None:
            del rows[change.uuid]
        else:
            rows[change.uuid] = change.new

    def _change(self, table: str, uuid: Uuid, raw: Any) -> RowChange:
        old = self.row(table, uuid)
        match raw:
            case {"initial": row} | {"insert": row}:
                return RowChange(table, uuid, old, decode_row(row, field=table))
            case {"delete": _}:
                return RowChange(table, uuid, old, None)
            case {"modify": row} if old is not None:
                return RowChange(table, uuid, old, self._patched(table, old, decode_row(row, field=table)))
            case {"modify": _}:
                raise MalformedMessage(table, 0, f"change of the unknown row {uuid[:64]!r}")
        raise MalformedMessage(table, 0, "a row update is none of initial, insert, delete, modify")

    def _patched(self, table: str, old: Row, differences: Mapping[str, Value]) -> Row:
        kinds = self._schema.get(table, {})
        new = dict(old)
        for column, difference in differences.items():
            new[column] = _PATCH[kinds.get(column, Kind.VALUE)](old.get(column), difference)
        return new


def _patch_value(_old: Value | None, difference: Value) -> Value:
    return difference


def _patch_set(old: Value | None, difference: Value) -> Value:
    """Elements that the difference names come if they were away, and go if they were there."""
    return as_set(old) ^ as_set(difference)


def _patch_map(old: Value | None, difference: Value) -> Value:
    """A pair that is there goes; any other pair comes or gives its key a new value."""
    if difference != EMPTY and not isinstance(difference, dict):
        raise MalformedMessage("map", 0, "the difference of a map is no map")
    new: dict[Atom, Atom] = dict(as_map(old))
    for key, value in as_map(difference).items():
        if key in new and new[key] == value:
            del new[key]
        else:
            new[key] = value
    return new


_PATCH: Mapping[Kind, Callable[[Value | None, Value], Value]] = {
    Kind.VALUE: _patch_value,
    Kind.SET: _patch_set,
    Kind.MAP: _patch_map,
}


def _differences(
    before: Mapping[str, Mapping[Uuid, Row]], after: Mapping[str, Mapping[Uuid, Row]]
) -> Iterator[RowChange]:
    for table in before.keys() | after.keys():
        old_rows, new_rows = before.get(table, {}), after.get(table, {})
        for uuid in old_rows.keys() | new_rows.keys():
            old, new = old_rows.get(uuid), new_rows.get(uuid)
            if old != new:
                yield RowChange(table, uuid, old, new)


def _items(raw: Any, field: str) -> Any:
    if not isinstance(raw, dict):
        raise MalformedMessage(field, 0, "no object of rows")
    return raw.items()
