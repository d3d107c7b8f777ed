"""Following many prefixes of the store at once, whichever are wanted, and telling the engine together.

Rule 1: what comes in one turn of the event loop enters the view as one change: two hundred networks that are
read together are compiled together.
Rule 2: first the view changes, then what is wanted is asked for anew, and only then the gate hears who has
told all: so it waits for everything that was named on the way.
Rule 3: what nobody wants any more leaves the view after whatever referred to it.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import aclosing

from plait.agent.engine import Engine
from plait.agent.records import Records
from plait.agent.sources import Items, Source, SourceId, of_view
from plait.model.facets import Change
from plait.store.api import Store
from plait.store.follow import Available, Changes, Full, Together, Unavailable, follow, read_together


class Following:
    """Tells the engine what the wanted sources say.

    `wanted` is asked after every change and names all that is to be followed; `on_heard` hears which sources
    are now in the view, all of them; `on_store` hears of outages: "" when the store answers.
    """

    def __init__(
        self,
        store: Store,
        engine: Engine,
        wanted: Callable[[], Iterable[SourceId]],
        *,
        on_heard: Callable[[list[Source]], None],
        on_store: Callable[[str], None],
    ) -> None:
        self.records = Records()
        self._store = store
        self._engine = engine
        self._wanted = wanted
        self._on_heard = on_heard
        self._on_store = on_store
        self._sources: dict[str, Source] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._fresh: dict[str, Source] = {}
        self._unheard: set[str] = set()
        self._news = asyncio.Event()

    def get(self, name: str) -> Source | None:
        """The source of that name, while it is followed."""
        return self._sources.get(name)

    def is_heard(self, name: str) -> bool:
        """Whether everything that a source says is in the view."""
        source = self._sources.get(name)
        return source is not None and source.is_heard

    async def run(self) -> None:
        """For ever, through restarts and outages of the store."""
        # What the last view has counts as followed so far: what is not wanted any more, leaves.
        for kind, id in of_view(self._engine.view):
            self._sources[kind.named(id)] = kind(id, self._engine.view, self.records)
        async with asyncio.TaskGroup() as tasks:
            self._follow_wanted(tasks)
            while True:
                await self._news.wait()
                self._news.clear()
                self._engine.change(self._released())
                self._follow_wanted(tasks)
                self._say_heard()

    def _released(self) -> list[Change]:
        """What the sources with news have for the view; who waits is asked again with the next news."""
        fresh = sorted(self._fresh.values(), key=lambda source: source.rank)
        changes = [change for source in fresh for change in source.release(self.is_heard)]
        self._fresh = {source.name: source for source in fresh if source.is_waiting}
        return changes

    def _follow_wanted(self, tasks: asyncio.TaskGroup) -> None:
        """What leaves may have been all that something else was wanted for, so until nothing leaves."""
        while True:
            wanted = {kind.named(id): (kind, id) for kind, id in self._wanted()}
            fresh = wanted.keys() - self._tasks.keys()
            for name in fresh - self._sources.keys():
                kind, id = wanted[name]
                self._sources[name] = kind(id, self._engine.view, self.records)
            self._engine.gate.wait_for(*fresh)
            self._unheard |= fresh
            begin = [self._sources[name] for name in sorted(fresh)]
            first = read_together(self._store, (source.prefix for source in begin))
            for source in begin:
                carry = self._carry(source, first[source.prefix])
                self._tasks[source.name] = tasks.create_task(carry, name=source.name)
            left = self._sources.keys() - wanted.keys()
            if not left:
                return
            self._leave(left)

    def _leave(self, names: set[str]) -> None:
        left = [self._sources.pop(name) for name in sorted(names)]
        for source in left:
            if (task := self._tasks.pop(source.name, None)) is not None:
                task.cancel()
            self._fresh.pop(source.name, None)
            self._unheard.discard(source.name)
        self._engine.change([change for source in left for change in source.leave()])
        self._engine.gate.left(*names)

    def _say_heard(self) -> None:
        heard = [self._sources[name] for name in self._unheard if self.is_heard(name)]
        if heard:
            names = [source.name for source in heard]
            self._unheard.difference_update(names)
            self._on_heard(heard)
            self._engine.gate.told(*names)

    async def _carry(self, source: Source, first: Together) -> None:
        async with aclosing(follow(self._store, source.prefix, first=first)) as news:
            async for item in news:
                match item:
                    case Full(_, items):
                        self._on_store("")
                        self._take(source, items, is_full=True)
                    case Changes(_, changes):
                        self._take(source, {change.key: change.value for change in changes}, is_full=False)
                    case Unavailable(reason):
                        self._on_store(reason)
                    case Available():
                        self._on_store("")

    def _take(self, source: Source, items: Items, *, is_full: bool) -> None:
        # A task that was cancelled may have news in its hands.
        if self._sources.get(source.name) is source:
            rests = {key.removeprefix(source.prefix): value for key, value in items.items()}
            source.take(rests, is_full=is_full)
            self._fresh[source.name] = source
            self._news.set()
