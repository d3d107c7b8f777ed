"""Answers: plain aligned tables for people, JSON for programs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

Row = Mapping[str, Any]
"""Column -> value. In JSON as it is; in a table as text."""

_COLOURS = {
    "up": "green",
    "ok": "green",
    "alive": "green",
    "down": "yellow",
    "degraded": "yellow",
    "silent": "yellow",
    "joined": "green",
    "waiting": "yellow",
    "asked": "yellow",
    "error": "red",
    "dead": "red",
}


def show(row: Row, *, as_json: bool) -> None:
    """One thing: a line for each field."""
    if as_json:
        click.echo(to_json(row))
        return
    width = max(len(name) for name in row)
    for name, value in row.items():
        click.echo(f"{name:<{width}}  {_coloured(_text(value))}".rstrip())


def listing(rows: Sequence[Row], columns: Iterable[str], *, as_json: bool) -> None:
    """Many things: a row for each, with some of their fields; in JSON all fields."""
    if as_json:
        click.echo(to_json(rows))
        return
    for line in table(rows, tuple(columns)):
        click.echo(line)


def table(rows: Sequence[Row], columns: Sequence[str]) -> list[str]:
    """Lines of a table with a head; colours do not count as width."""
    cells = [[_text(row.get(column)) for column in columns] for row in rows]
    heads = [column.replace("_", " ").upper() for column in columns]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    lines = ["  ".join(head.ljust(width) for head, width in zip(heads, widths, strict=True)).rstrip()]
    for row in cells:
        padded = (
            _coloured(cell) + " " * (width - len(cell)) for cell, width in zip(row, widths, strict=True)
        )
        lines.append("  ".join(padded).rstrip())
    return lines


def to_json(value: Any) -> str:
    """Indented, with every character as it is."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def _text(value: Any) -> str:
    match value:
        case None | () | [] | "":
            return "-"
        case bool():
            return "yes" if value else "no"
        case dict():
            return ",".join(f"{key}={each}" for key, each in sorted(value.items())) or "-"
        case list() | tuple():
            return ",".join(_text(each) for each in value)
        case _:
            return str(value)


def _coloured(text: str) -> str:
    colour = _COLOURS.get(text.split(" ", 1)[0])
    return text if colour is None else click.style(text, fg=colour)


def deleted(kind: str, rows: Sequence[Row], *, as_json: bool) -> None:
    """What is gone now."""
    if as_json:
        click.echo(to_json(rows))
        return
    for row in rows:
        click.echo(f"{kind} {row['name']} deleted")
