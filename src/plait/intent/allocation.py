"""Finding a free number of a space when the claims stand in a store.

Rule 1: a choice is only a proposal; the transaction that claims it decides.
Rule 2: a search begins at a cursor that the last one left: the usual case reads one key, whatever is claimed.
Rule 3: all claims are read only at the end of the space, or when a whole run of numbers was taken.
"""

import asyncio
import random
from collections.abc import Callable

from plait.model.numbers import Space
from plait.store import keys
from plait.store.api import Item, Put, Store, Write

_RUN = 64
"""How many claims are looked at after a collision, in one read."""


class SpaceExhausted(Exception):
    """All `size` numbers of the space are claimed; whoever asked knows its name."""

    def __init__(self, size: int) -> None:
        super().__init__(f"all {size} are in use")
        self.size = size


class Search:
    """Proposes numbers of one space, each once; several tasks may share it."""

    def __init__(
        self,
        store: Store,
        space: Space,
        *,
        name: str,
        claims: str,
        key: Callable[[int], str],
        number: Callable[[str], int],
    ) -> None:
        """`name`: the cursor's; `claims`: prefix of all; `key` and `number`: to and from a claim's key."""
        self._store = store
        self._space = space
        self._claims = claims
        self._key = key
        self._number = number
        self._cursor = keys.cursor(name)
        self._position: int | None = None
        self._mine: set[int] = set()
        self._unavailable: set[int] = set()
        self._collisions = 0
        self._lock = asyncio.Lock()

    @property
    def cursor_key(self) -> str:
        """Where the cursor stands in the store."""
        return self._cursor

    def begin(self, cursor: Item | None) -> None:
        """Continue where the last search of anybody ended; without a cursor, at the space's first number."""
        try:
            self._position = None if cursor is None else int(cursor.value)
        except ValueError:
            self._position = None

    def avoid(self, number: int) -> None:
        """Never propose `number`: the same request asks for it elsewhere."""
        self._mine.add(number)
        self._unavailable.add(number)

    def step_over(self, last: int) -> None:
        """Propose what is above `last` next."""
        self._position = last

    def cursor(self) -> Write:
        """To be written with a claim: a hint for the next search."""
        return Put(self._cursor, b"%d" % (self._space.first if self._position is None else self._position))

    async def propose(self) -> int:
        """A number that nobody is known to have. Raises SpaceExhausted, with all claims just read."""
        async with self._lock:
            number = self._space.after(self._position, self._unavailable)
            if number is None:
                await self._read_all()
                number = self._lowest_free()
            if number is None:
                raise SpaceExhausted(self._space.size)
            self._mine.add(number)
            self._unavailable.add(number)
            self._position = number
            return number

    async def collided(self, number: int) -> None:
        """Somebody else was faster with `number`: learn what is taken behind it, and step ahead of rivals."""
        async with self._lock:
            self._collisions += 1
            self._mine.discard(number)
            run = self._space.run_after(number, _RUN)
            claimed = (await self._store.get([self._key(each) for each in run])).items if run else {}
            self._unavailable.update(each for each in run if self._key(each) in claimed)
            free = [each for each in run if each not in self._unavailable]
            if free:
                self._position = free[random.randrange(min(len(free), 2 ** (self._collisions - 1)))] - 1
                return
            await self._read_all()
            self._position = number

    async def _read_all(self) -> None:
        claimed = (await self._store.snapshot(self._claims)).items
        self._unavailable = self._mine | {self._number(key.removeprefix(self._claims)) for key in claimed}

    def _lowest_free(self) -> int | None:
        return self._space.after(None, self._unavailable)
