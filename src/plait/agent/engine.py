"""The heart of the agent: facets in, flows out. Synchronous, one turn a change; tasks move the bytes.

Rule 1: every facet enters through `change`, whoever tells it; nothing else touches view, compiler or switch
state.
Rule 2: until `gate` opens, nothing is compiled: an incomplete view would remove what is right.
Rule 3: what entered is on disk soon after, so that an agent without a store starts from where it was.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable
from time import monotonic

from plait.agent.gate import Gate
from plait.apps import APPS_BY_KIND
from plait.compile import Compiler, Touched
from plait.model.entities import Port
from plait.model.facets import Attachment, Change, Claim, Key, Subscription
from plait.model.numbering import give_back, renumber
from plait.model.view import View
from plait.reconcile.switch import SwitchState

PORTION = 200
"""Owners compiled in one turn: about 20 ms. What needs more goes on in `run`, so that neither this host's
lease nor a port that is to come up waits for thousands of others."""

Remember = Callable[[Iterable[Change]], None]


class Engine:
    """See the module's docstring. `remember` gets every change that entered, for the disk.

    `changes` rises with every call of `change`: whoever looks twice sees whether the view stood still.
    """

    def __init__(self, host: str, remember: Remember = lambda _: None) -> None:
        self.view = View(host)
        self.compiler = Compiler(self.view)
        self.switch = SwitchState(self.compiler.flows, self.compiler.groups)
        self.gate = Gate()
        self.work = asyncio.Event()
        self.changes = 0
        self.heard_at: dict[str, float] = {}
        self._remember = remember
        self._watchers: list[Callable[[set[Key]], None]] = []
        self._behind: dict[Key, None] = {}
        self._is_opening = False
        self._more = asyncio.Event()

    def on_dirty(self, watcher: Callable[[set[Key]], None]) -> None:
        """Call `watcher` with the dirty keys after every change that touched some."""
        self._watchers.append(watcher)

    def change(self, changes: Iterable[Change]) -> None:
        """Take changes in: view, flows, disk, and whoever waits for them."""
        changes = [*(changes := list(changes)), *self._ended_words(changes)]
        for change in changes:
            self._note_time(change)
        self.changes += 1
        dirty = self.view.apply(changes)
        numbers = renumber(self.view, dirty, is_complete=self.gate.is_open or self._is_opening)
        dirty |= self.view.apply(numbers)
        self._remember([*changes, *numbers])
        if dirty and (self.gate.is_open or self._is_opening):
            self._compile(self.compiler.affected(dirty))
        # A port that is not plugged in is no station yet, but those who plug and report want to know.
        dirty.update(Key("port", change.id) for change in changes if change.facet in (Port, Attachment))
        self.look_again(dirty)

    def look_again(self, dirty: set[Key]) -> None:
        """Have watchers look at these."""
        if dirty:
            for watcher in self._watchers:
                watcher(dirty)

    def open_gate(self) -> None:
        """The view is complete: compile all of it, then open; from now on every change is compiled."""
        if not self.gate.is_open and not self._is_opening:
            self._is_opening = True
            unneeded = give_back(self.view)
            self.view.apply(unneeded)
            self._remember(unneeded)
            self._compile(self.compiler.owners())
            self._open_when_compiled()

    async def run(self) -> None:
        """For ever: compile, portion by portion, what is too much for one turn."""
        while True:
            await self._more.wait()
            portion = [key for key, _ in zip(self._behind, range(PORTION), strict=False)]
            for owner in portion:
                del self._behind[owner]
            self._take(self.compiler.run(portion))
            if not self._behind:
                self._more.clear()
                self._open_when_compiled()
                # Ports that waited for this may be in step already, without anything to send.
                self.work.set()
            await asyncio.sleep(0)

    @property
    def behind(self) -> int:
        """How many owners are still to be compiled."""
        return len(self._behind)

    def is_behind(self, owner: Key) -> bool:
        """Whether what is desired for this owner is not up to date."""
        return owner in self._behind

    def _compile(self, owners: Collection[Key]) -> None:
        if len(owners) <= PORTION:
            for owner in owners:
                self._behind.pop(owner, None)
            self._take(self.compiler.run(owners))
        else:
            # What policies decide comes before the ports that it is decided for.
            self._behind.update(dict.fromkeys(sorted(owners, key=_turn)))
            self._more.set()

    def _open_when_compiled(self) -> None:
        if self._is_opening and not self._behind:
            self._is_opening = False
            self.gate.open()
            self.work.set()

    def _take(self, touched: Touched) -> None:
        if touched.flows or touched.groups:
            self.switch.desired_changed(touched)
            self.work.set()

    def _note_time(self, change: Change) -> None:
        if change.facet is Port:
            if isinstance(change.value, Port):
                known = self.view.get(Port, change.id)
                if known is None or known.sequence != change.value.sequence:
                    self.heard_at[change.id] = monotonic()
            else:
                self.heard_at.pop(change.id, None)

    def _ended_words(self, changes: list[Change]) -> list[Change]:
        """What is unplugged wants and claims nothing any more; what is plugged in later says it anew."""
        return [
            Change(word, change.id, None)
            for change in changes
            if change.facet in (Port, Attachment) and change.value is None
            for word, said in (
                (Subscription, self.view.get(Subscription, change.id)),
                (Claim, self.view.get(Claim, change.id)),
            )
            if said is not None
        ]


_TURNS = {kind: turn for turn, kind in enumerate(APPS_BY_KIND)}


def _turn(owner: Key) -> int:
    return _TURNS[owner.kind]
