"""What was worked out of the view, kept until something that it came from changes: as flows are."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from plait.agent.engine import Engine
from plait.model.facets import Key
from plait.model.lens import Lens

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """`work_out(lens, key)`, called again only when its answer may differ."""

    def __init__(self, engine: Engine, work_out: Callable[[Lens, K], V]) -> None:
        self._engine = engine
        self._work_out = work_out
        self._known: dict[K, V] = {}
        self._readers: dict[Key, set[K]] = {}
        engine.on_dirty(self._look)

    def of(self, key: K) -> V:
        """What holds for `key` now."""
        if key not in self._known:
            lens = Lens(self._engine.view)
            self._known[key] = self._work_out(lens, key)
            for read in lens.reads:
                self._readers.setdefault(read, set()).add(key)
        return self._known[key]

    def _look(self, dirty: set[Key]) -> None:
        for read in self._readers.keys() & dirty:
            for key in self._readers.pop(read):
                self._known.pop(key, None)
