"""When is the view complete? When everybody who was asked has told all that stood at the time of asking.

Deletes wait for this, never for seconds.
"""

import asyncio
from collections.abc import Callable, Iterable


class Gate:
    """Opens once, when nothing is awaited any more; until then what is awaited may name more."""

    def __init__(self) -> None:
        self._awaited: set[str] = set()
        self._told: set[str] = set()
        self._opened = asyncio.Event()
        self._on_ready: Callable[[], None] = lambda: None
        self._on_open: Callable[[], None] = lambda: None

    @property
    def is_open(self) -> bool:
        return self._opened.is_set()

    @property
    def awaited(self) -> frozenset[str]:
        """What is still missing, for people."""
        return frozenset(self._awaited)

    def on_ready(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the last awaited source has told all."""
        self._on_ready = callback

    def on_open(self, callback: Callable[[], None]) -> None:
        self._on_open = callback

    def wait_for(self, *sources: str) -> None:
        """Those that have told all already are not waited for: they would not tell again."""
        if not self.is_open:
            self._awaited.update(set(sources) - self._told)

    def told(self, *sources: str) -> None:
        """These have told all they know."""
        if not self.is_open:
            self._told.update(sources)
            self._no_longer_await(sources)

    def left(self, *sources: str) -> None:
        """Nobody listens to these any more; should somebody do so again, they tell everything again."""
        if not self.is_open:
            self._told.difference_update(sources)
            self._no_longer_await(sources)

    def _no_longer_await(self, sources: Iterable[str]) -> None:
        if self._awaited.intersection(sources):
            self._awaited.difference_update(sources)
            if not self._awaited:
                self._on_ready()

    def open(self) -> None:
        self._opened.set()
        self._told.clear()
        self._on_open()

    async def opened(self) -> None:
        await self._opened.wait()
