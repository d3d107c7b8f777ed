"""The little of a database schema (RFC 7047 section 3.2) that is needed to apply the changes of its rows."""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from plait.wire.errors import MalformedMessage


class Kind(Enum):
    """What a column holds, and thereby how its changes are written."""

    VALUE = "one value, or one or none"
    SET = "a set of several"
    MAP = "a map"


Schema = Mapping[str, Mapping[str, Kind]]


def decode_schema(raw: Any) -> Schema:
    """table -> column -> kind, of the reply to `get_schema`. Raises MalformedMessage."""
    match raw:
        case {"tables": dict(tables)}:
            return {name: _decode_table(name, table) for name, table in tables.items()}
    raise MalformedMessage("schema", 0, "no tables")


def _decode_table(name: str, raw: Any) -> Mapping[str, Kind]:
    match raw:
        case {"columns": dict(columns)}:
            return {column: _decode_kind(f"{name}.{column}", value) for column, value in columns.items()}
    raise MalformedMessage(f"schema.{name}", 0, "no columns")


def _decode_kind(name: str, raw: Any) -> Kind:
    match raw:
        case {"type": str()}:
            return Kind.VALUE
        case {"type": {"value": _}}:
            return Kind.MAP
        case {"type": {"max": most}} if most != 1:
            return Kind.SET
        case {"type": dict()}:
            return Kind.VALUE
    raise MalformedMessage(f"schema.{name}", 0, "no type")
