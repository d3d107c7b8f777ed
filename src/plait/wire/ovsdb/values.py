"""OVSDB values <-> Python (RFC 7047 section 5.1).

| OVSDB                     | Python                                    |
|---------------------------|-------------------------------------------|
| string, integer, real, boolean | str, int, float, bool                |
| ["uuid", text]            | Uuid                                      |
| ["named-uuid", id]        | NamedUuid (only written)                  |
| ["set", [atom, …]]        | frozenset; a set of one atom is the atom  |
| ["map", [[key, value], …]]| dict                                      |

A set of one and a single value look the same on the wire; `as_set` and `optional` say how a column is meant.
"""

from collections.abc import Collection, Mapping
from typing import Any

from plait.wire.errors import MalformedMessage


class Uuid(str):
    """The identity of a row, as text."""

    __slots__ = ()


class NamedUuid(str):
    """Stands for the row that an insert with this `uuid-name` makes in the same transaction."""

    __slots__ = ()


Atom = str | int | float | bool
Value = Atom | frozenset[Atom] | dict[Atom, Atom]

EMPTY: frozenset[Atom] = frozenset()


def decode_value(raw: Any, *, field: str = "value") -> Value:
    """The Python value of one column. Raises MalformedMessage naming `field`."""
    match raw:
        case str() | bool() | int() | float():
            return raw
        case ["uuid", str(text)]:
            return Uuid(text)
        case ["set", list(atoms)]:
            return frozenset([_decode_atom(atom, field) for atom in atoms])
        case ["map", list(pairs)]:
            return dict(_decode_pair(pair, field) for pair in pairs)
    raise MalformedMessage(field, 0, f"{_shown(raw)} is no OVSDB value")


def decode_row(raw: Any, *, field: str = "row") -> dict[str, Value]:
    """column -> value of one row. Raises MalformedMessage naming `field` and the column."""
    if not isinstance(raw, dict):
        raise MalformedMessage(field, 0, f"{_shown(raw)} is no row")
    return {column: decode_value(value, field=f"{field}.{column}") for column, value in raw.items()}


def encode_value(value: Any) -> Any:
    """The JSON value of an atom, of a collection (a set) or of a mapping (a map).

    Raises TypeError for anything else.
    """
    match value:
        case Uuid():
            return ["uuid", str(value)]
        case NamedUuid():
            return ["named-uuid", str(value)]
        case str() | bool() | int() | float():
            return value
        case Mapping():
            return ["map", [[encode_value(key), encode_value(item)] for key, item in value.items()]]
        case Collection():
            return ["set", [encode_value(item) for item in value]]
    raise TypeError(f"{_shown(value)} has no OVSDB value")


def as_set(value: Value | None) -> frozenset[Atom]:
    """The column as a set: None (a column left out) is the empty set, an atom a set of one."""
    match value:
        case None:
            return EMPTY
        case frozenset():
            return value
        case dict():
            return frozenset(value)
    return frozenset((value,))


def as_map(value: Value | None) -> dict[Atom, Atom]:
    """The column as a map; None and the empty set are the empty map."""
    return value if isinstance(value, dict) else {}


def optional(value: Value | None) -> Atom | None:
    """The column that holds one value or none; None stands for an empty set and for a column left out."""
    match value:
        case None | dict():
            return None
        case frozenset():
            return next(iter(value), None)
    return value


def _decode_atom(raw: Any, field: str) -> Atom:
    match raw:
        case str() | bool() | int() | float():
            return raw
        case ["uuid", str(text)]:
            return Uuid(text)
    raise MalformedMessage(field, 0, f"{_shown(raw)} is no OVSDB atom")


def _decode_pair(raw: Any, field: str) -> tuple[Atom, Atom]:
    match raw:
        case [key, value]:
            return _decode_atom(key, field), _decode_atom(value, field)
    raise MalformedMessage(field, 0, f"{_shown(raw)} is no pair of a map")


def _shown(raw: Any) -> str:
    text = repr(raw)
    return text if len(text) <= 80 else text[:77] + "..."
