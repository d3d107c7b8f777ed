"""The operations of a transaction (RFC 7047 section 5.2), as plain JSON objects ready to be sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plait.wire.errors import MalformedMessage
from plait.wire.ovsdb.values import NamedUuid, Uuid, Value, decode_row, encode_value

Operation = Mapping[str, Any]
Condition = tuple[str, str, Any]  # column, function ("==", "!=", "includes", …), value


class OvsdbError(Exception):
    """The server refused operation `index` (0-based) of a transaction; None: its commit, or another call.

    `error` is the short name that RFC 7047 gives it ("constraint violation"), `details` the server's words.
    """

    def __init__(self, index: int | None, operation: str, error: str, details: str) -> None:
        super().__init__(f"OVSDB refused {operation}: {error}" + (f": {details}" if details else ""))
        self.index = index
        self.operation = operation
        self.error = error
        self.details = details


@dataclass(frozen=True, slots=True)
class OperationResult:
    """What one operation answered: the rows it met, the row it made or the rows it found."""

    count: int | None = None
    uuid: Uuid | None = None
    rows: tuple[Mapping[str, Value], ...] = ()


def insert(table: str, row: Mapping[str, Any], *, named: str | None = None) -> Operation:
    """A new row; `named` lets other operations of the same transaction speak of it as NamedUuid(named)."""
    operation = {"op": "insert", "table": table, "row": _encode_row(row)}
    return operation if named is None else {**operation, "uuid-name": named}


def update(table: str, where: Sequence[Condition], row: Mapping[str, Any]) -> Operation:
    """Columns set in all rows that meet `where`."""
    return {"op": "update", "table": table, "where": _encode_where(where), "row": _encode_row(row)}


def mutate(table: str, where: Sequence[Condition], mutations: Sequence[tuple[str, str, Any]]) -> Operation:
    """Columns changed in place: (column, "insert" | "delete" | "+=" …, value)."""
    encoded = [[column, mutator, encode_value(value)] for column, mutator, value in mutations]
    return {"op": "mutate", "table": table, "where": _encode_where(where), "mutations": encoded}


def delete(table: str, where: Sequence[Condition]) -> Operation:
    """Rows removed."""
    return {"op": "delete", "table": table, "where": _encode_where(where)}


def select(table: str, where: Sequence[Condition], columns: Sequence[str]) -> Operation:
    """Rows read."""
    return {"op": "select", "table": table, "where": _encode_where(where), "columns": list(columns)}


def require(table: str, where: Sequence[Condition], rows: Sequence[Mapping[str, Any]]) -> Operation:
    """The transaction fails ("timed out") unless exactly `rows` meet `where`: a `wait` that does not wait."""
    columns = list(rows[0]) if rows else []
    encoded = [_encode_row(row) for row in rows]
    return {
        "op": "wait", "timeout": 0, "table": table, "where": _encode_where(where),
        "columns": columns, "until": "==", "rows": encoded,
    }  # fmt: skip


def is_row(uuid: Uuid | NamedUuid) -> list[Condition]:
    """The condition that only this row meets."""
    return [("_uuid", "==", uuid)]


def decode_results(operations: Sequence[Operation], raw: Any) -> list[OperationResult]:
    """One result an operation.

    Raises OvsdbError for the first refusal, MalformedMessage if the reply does not have the form of
    RFC 7047 section 4.1.3.
    """
    if not isinstance(raw, list):
        raise MalformedMessage("transact", 0, "the result is no array")
    for index, result in enumerate(raw):
        if isinstance(result, dict) and "error" in result:
            words = str(result["error"]), str(result.get("details", ""))
            if index >= len(operations):  # one entry more: the operations succeeded, the commit did not
                raise OvsdbError(None, "to commit the transaction", *words)
            raise OvsdbError(index, _name(operations[index]), *words)
    if len(raw) != len(operations):
        raise MalformedMessage("transact", 0, f"{len(raw)} results for {len(operations)} operations")
    return [_decode_result(result) for result in raw]


def _decode_result(raw: Any) -> OperationResult:
    match raw:
        case {"count": int(count)}:
            return OperationResult(count=count)
        case {"uuid": ["uuid", str(uuid)]}:
            return OperationResult(uuid=Uuid(uuid))
        case {"rows": list(rows)}:
            return OperationResult(rows=tuple(decode_row(row, field="transact") for row in rows))
        case dict() if not raw:
            return OperationResult()
    raise MalformedMessage("transact", 0, "a result is neither a count, a uuid nor rows")


def _name(operation: Operation) -> str:
    row = operation.get("row", {})
    named = f" {row['name']!r}" if "name" in row else ""
    return f"{operation['op']} {operation.get('table', '')}{named}".rstrip()


def _encode_row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {column: encode_value(value) for column, value in row.items()}


def _encode_where(where: Sequence[Condition]) -> list[list[Any]]:
    return [[column, function, encode_value(value)] for column, function, value in where]
