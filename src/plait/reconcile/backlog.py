"""Keys that wait to be sent, in an order that needs no sorting: by table."""

from collections.abc import Iterator


class Backlog:
    """A set of flow keys, grouped by table; taking some costs what is taken, not what waits."""

    def __init__(self) -> None:
        self._tables: dict[int, set[bytes]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._tables.values()))

    def __contains__(self, key: object) -> bool:
        return isinstance(key, bytes) and key in self._tables.get(key[0], ())

    def __iter__(self) -> Iterator[bytes]:
        for keys in self._tables.values():
            yield from keys

    def add(self, key: bytes) -> None:
        self._tables.setdefault(key[0], set()).add(key)

    def discard(self, key: bytes) -> None:
        keys = self._tables.get(key[0])
        if keys is not None:
            keys.discard(key)
            if not keys:
                del self._tables[key[0]]

    def clear(self) -> None:
        self._tables.clear()

    def take(self, limit: int, *, last_table_first: bool) -> list[bytes]:
        """Remove and return at most `limit` keys, table by table."""
        taken: list[bytes] = []
        for table in sorted(self._tables, reverse=last_table_first):
            keys = self._tables[table]
            while keys and len(taken) < limit:
                taken.append(keys.pop())
            if not keys:
                del self._tables[table]
            if len(taken) >= limit:
                break
        return taken
