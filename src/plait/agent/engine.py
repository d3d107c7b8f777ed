"""The heart of the agent: facets in, flows out. Synchronous, one turn a change; tasks around it move the
bytes.

Rule 1: every facet enters through `change`, whoever tells it; nothing else touches view, compiler or switch
state.
Rule 2: until `gate` opens, nothing is compiled: an incomplete view would remove what is right.
Rule 3: what entered is on disk soon after, so that an agent without a store starts from where it was.
"""

import asyncio
from collections.abc import Callable, Iterable
from time import monotonic

from plait.agent.gate import Gate
from plait.compile import Compiler, Touched
from plait.model.entities import Port
from plait.model.numbers import Space, assign
from plait.model.view import Attachment, Change, GroupNumber, Key, Subscription, View
from plait.reconcile.switch import SwitchState

GROUP_NUMBERS = Space(1, 0xFFFFFEFF)

Remember = Callable[[Iterable[Change]], None]


class Engine:
    """See the module's docstring. `remember` gets every change that entered, for the disk."""

    def __init__(self, host: str, remember: Remember = lambda _: None) -> None:
        self.view = View(host)
        self.compiler = Compiler(self.view)
        self.switch = SwitchState(self.compiler.flows, self.compiler.groups)
        self.gate = Gate()
        self.work = asyncio.Event()
        self.heard_at: dict[str, float] = {}
        self._remember = remember
        self._watchers: list[Callable[[set[Key]], None]] = []

    def on_dirty(self, watcher: Callable[[set[Key]], None]) -> None:
        """Call `watcher` with the dirty keys after every change that touched some."""
        self._watchers.append(watcher)

    def change(self, changes: Iterable[Change]) -> None:
        """Take changes in: view, flows, disk, and whoever waits for them."""
        changes = [*(changes := list(changes)), *self._ended_subscriptions(changes)]
        for change in changes:
            self._note_time(change)
        dirty = self.view.apply(changes)
        numbers = self._number_groups(dirty)
        dirty |= self.view.apply(numbers)
        self._remember([*changes, *numbers])
        if dirty and self.gate.is_open:
            self._take(self.compiler.update(dirty))
        # A port that is not plugged in is no station yet, but those who plug and report want to know.
        dirty.update(Key("port", change.id) for change in changes if change.facet in (Port, Attachment))
        self.look_again(dirty)

    def look_again(self, dirty: set[Key]) -> None:
        """Have watchers look at these."""
        if dirty:
            for watcher in self._watchers:
                watcher(dirty)

    def open_gate(self) -> None:
        """The view is complete: compile all of it, and from now on every change."""
        if not self.gate.is_open:
            self._take(self.compiler.update_all())
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

    def _ended_subscriptions(self, changes: list[Change]) -> list[Change]:
        """What is unplugged wants nothing any more; what is plugged in later asks anew."""
        return [
            Change(Subscription, change.id, None)
            for change in changes
            if change.facet in (Port, Attachment)
            and change.value is None
            and self.view.get(Subscription, change.id) is not None
        ]

    def _number_groups(self, dirty: set[Key]) -> list[Change]:
        """Numbers for multicast groups that got their first subscriber; those without any are free again."""
        networks = {key.id for key in dirty if key.kind == "subscribers"}
        if not networks:
            return []
        numbers = {number.id: number for number in self.view.all(GroupNumber)}
        wanted = {id for id, number in numbers.items() if number.network not in networks}
        of_networks = {
            f"{network}/{address}": (network, address)
            for network, address in self.view.groups_wanted(networks)
        }
        assigned = assign(
            GROUP_NUMBERS,
            {id: number.number for id, number in numbers.items()},
            wanted | of_networks.keys(),
            what="OpenFlow group id",
        )
        gone = [Change(GroupNumber, id, None) for id in numbers.keys() - assigned.keys()]
        fresh = [
            Change(GroupNumber, id, GroupNumber(*of_networks[id], assigned[id]))
            for id in sorted(of_networks.keys() - numbers.keys())
        ]
        return gone + fresh
