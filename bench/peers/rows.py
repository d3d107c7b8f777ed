"""Rows of an OVSDB server, written and read as a resident management system does: over one open connection.

Source: RFC 7047.
"""

import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Operation = dict[str, Any]


class Rows:
    """A database behind a unix socket."""

    def __init__(self, path: Path, database: str) -> None:
        self._database = database
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._decoder = json.JSONDecoder()
        self._text = ""
        self._number = 0

    def close(self) -> None:
        self._socket.close()

    def transact(self, *operations: Operation) -> list[Any]:
        """The results, one an operation. Raises RuntimeError with what the server says against it."""
        self._number += 1
        self._send({"method": "transact", "params": [self._database, *operations], "id": self._number})
        while True:
            answer = self._receive()
            if answer.get("method") == "echo":
                self._send({"result": answer["params"], "error": None, "id": answer["id"]})
            elif answer.get("id") == self._number:
                break
        results: list[Any] = answer["result"]
        for result in results:
            if result and "error" in result:
                raise RuntimeError(f"{self._database}: {result['error']}: {result.get('details')}")
        return results

    def select(self, table: str, columns: Sequence[str], where: Sequence[Any] = ()) -> list[dict[str, Any]]:
        operation = {"op": "select", "table": table, "columns": list(columns), "where": list(where)}
        rows: list[dict[str, Any]] = self.transact(operation)[0]["rows"]
        return rows

    def _send(self, message: dict[str, Any]) -> None:
        self._socket.sendall(json.dumps(message).encode())

    def _receive(self) -> dict[str, Any]:
        while True:
            try:
                message, end = self._decoder.raw_decode(self._text)
            except ValueError:
                data = self._socket.recv(1 << 20)
                if not data:
                    raise RuntimeError(f"{self._database}: the server closed the connection") from None
                self._text += data.decode()
                continue
            self._text = self._text[end:].lstrip()
            return dict(message)


def insert(table: str, row: dict[str, Any], name: str | None = None) -> Operation:
    operation: Operation = {"op": "insert", "table": table, "row": row}
    return operation if name is None else {**operation, "uuid-name": name}


def add(table: str, where: Sequence[Any], column: str, values: Sequence[Any]) -> Operation:
    """Put `values` (uuids) into a set."""
    return _mutate(table, where, column, "insert", ["set", list(values)])


def take(table: str, where: Sequence[Any], column: str, values: Sequence[Any]) -> Operation:
    """Take `values` (uuids) out of a set."""
    return _mutate(table, where, column, "delete", ["set", list(values)])


def raise_by_one(table: str, column: str) -> Operation:
    return _mutate(table, [], column, "+=", 1)


def _mutate(table: str, where: Sequence[Any], column: str, mutator: str, value: Any) -> Operation:
    return {"op": "mutate", "table": table, "where": list(where), "mutations": [[column, mutator, value]]}


def named(name: str) -> list[str]:
    """A row inserted by the same transaction."""
    return ["named-uuid", name]
