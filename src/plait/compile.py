"""From a view to desired flows: everything at once, or only what read what changed.

    owner     a key of the view (a station, a network, the switch) whose apps produce flows
    reads     what those apps asked for; when one of them changes, the owner is run again
    desired   key -> entry, of all owners together

Rule 1: desired is a function of the current view alone; `compile_all` is the oracle for `Compiler.update`.
Rule 2: there is no delete code: what an owner no longer produces is gone.
Rule 3: two owners that claim the same flow are resolved by their keys' order, never by who came first; only
clauses of conjunctions go together, as when an address is that of two members.
"""

from collections.abc import Iterable, Mapping
from hashlib import blake2b

import msgspec

from plait.apps import APPS_BY_KIND
from plait.flows.clauses import together
from plait.flows.flow import Flow, Group
from plait.model.facets import Key
from plait.model.lens import Lens
from plait.model.view import View

COOKIE_MARK = 0x504C << 48
_MAX_SHARED_READS = 10_000


class FlowEntry(msgspec.Struct, frozen=True, gc=False):
    """What a flow does, for whom: `cookie` is ours, the app's and the owner's."""

    instructions: bytes
    cookie: int
    owner: Key


class GroupEntry(msgspec.Struct, frozen=True, gc=False):
    """A group of the switch and for whom it is."""

    group: Group
    owner: Key


class Touched(msgspec.Struct, frozen=True):
    """What a compile changed: keys of flows and ids of groups, added, replaced or gone."""

    flows: set[bytes]
    groups: set[int]


Entry = FlowEntry | GroupEntry


def cookie(app: int, owner: Key) -> int:
    """64 bits: our mark (16), the app (8), a digest of the owner (40). The same on every run."""
    digest = blake2b(f"{owner.kind}/{owner.id}".encode(), digest_size=5).digest()
    return COOKIE_MARK | app << 40 | int.from_bytes(digest, "big")


def app_of(cookie: int) -> int | None:
    """The number of the app that a cookie of ours names; None for a foreign one."""
    return cookie >> 40 & 0xFF if cookie >> 48 == COOKIE_MARK >> 48 else None


def cookies_of(app: int) -> tuple[int, int]:
    """The cookies of all flows of an app: what they begin with, and the mask of that."""
    return COOKIE_MARK | app << 40, 0xFFFFFF << 40


class Compiler:
    """Desired flows and groups of one view, kept current by `update`."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._flows: dict[bytes, FlowEntry] = {}
        self._groups: dict[int, GroupEntry] = {}
        self._made: dict[Key, tuple[bytes | int, ...]] = {}
        self._reads: dict[Key, frozenset[Key]] = {}
        self._readers: dict[Key, set[Key]] = {}
        self._rivals: dict[bytes | int, dict[Key, Entry]] = {}
        self._shared_reads: dict[frozenset[Key], frozenset[Key]] = {}

    @property
    def flows(self) -> Mapping[bytes, FlowEntry]:
        return self._flows

    @property
    def groups(self) -> Mapping[int, GroupEntry]:
        return self._groups

    def made_by(self, owner: Key) -> tuple[bytes | int, ...]:
        """Keys of flows and ids of groups that `owner` produced last."""
        return self._made.get(owner, ())

    def readers(self, key: Key) -> Iterable[Key]:
        """The owners whose flows follow from `key`."""
        return self._readers.get(key, ())

    def conflicts(self) -> dict[bytes | int, tuple[Key, ...]]:
        """Flows and groups that several owners claim and only the first has."""
        return {
            key: tuple(sorted(rivals)) for key, rivals in self._rivals.items() if _together(rivals) is None
        }

    def update_all(self) -> Touched:
        """Run every owner there is."""
        return self.run(self.owners())

    def update(self, dirty: Iterable[Key]) -> Touched:
        """Run the owners that are dirty themselves or read something dirty."""
        return self.run(self.affected(dirty))

    def owners(self) -> list[Key]:
        """Every owner there is, or was: what `update_all` runs."""
        owners = dict.fromkeys(self._view.owners())
        return [*owners, *(self._reads.keys() | self._made.keys()) - owners.keys()]

    def affected(self, dirty: Iterable[Key]) -> set[Key]:
        """The owners that `update` runs."""
        owners: set[Key] = set()
        for key in dirty:
            if key.kind in APPS_BY_KIND:
                owners.add(key)
            owners |= self._readers.get(key, frozenset())
        return owners

    def run(self, owners: Iterable[Key]) -> Touched:
        """Run these owners.

        Whoever runs all that are affected, in any order and with whatever between, ends at what
        `compile_all` says.
        """
        touched = Touched(set(), set())
        for owner in owners:
            self._run(owner, touched)
        return touched

    def _run(self, owner: Key, touched: Touched) -> None:
        lens = Lens(self._view)
        produced: dict[bytes | int, Entry] = {}
        for app in APPS_BY_KIND[owner.kind]:
            mark = 0
            for item in app.produce(lens, owner.id):
                if isinstance(item, Flow):
                    mark = mark or cookie(app.number, owner)
                    produced[item.key] = FlowEntry(item.instructions, mark, owner)
                else:
                    produced[item.id] = GroupEntry(item, owner)
        for key in self._made.get(owner, ()):
            if key not in produced:
                self._release(key, owner, touched)
        for key, entry in produced.items():
            self._claim(key, entry, touched)
        if produced:
            self._made[owner] = tuple(produced)
        else:
            self._made.pop(owner, None)
        self._remember_reads(owner, lens.reads)

    # -- one key, one owner

    def _claim(self, key: bytes | int, entry: Entry, touched: Touched) -> None:
        standing = self._standing(key)
        if standing is not None and (standing.owner != entry.owner or key in self._rivals):
            rivals = self._rivals.setdefault(key, {standing.owner: standing})
            rivals[entry.owner] = entry
            entry = _resolved(rivals)
        self._stand(key, entry, touched)

    def _release(self, key: bytes | int, owner: Key, touched: Touched) -> None:
        rivals = self._rivals.get(key)
        if rivals is None:
            self._stand(key, None, touched)
            return
        rivals.pop(owner, None)
        self._stand(key, _resolved(rivals), touched)
        if len(rivals) == 1:
            del self._rivals[key]

    def _standing(self, key: bytes | int) -> Entry | None:
        return self._groups.get(key) if isinstance(key, int) else self._flows.get(key)

    def _stand(self, key: bytes | int, entry: Entry | None, touched: Touched) -> None:
        if self._standing(key) == entry:
            return
        if isinstance(key, int):
            touched.groups.add(key)
            if isinstance(entry, GroupEntry):
                self._groups[key] = entry
            else:
                del self._groups[key]
        else:
            touched.flows.add(key)
            if isinstance(entry, FlowEntry):
                self._flows[key] = entry
            else:
                del self._flows[key]

    # -- who reads what

    def _remember_reads(self, owner: Key, read: set[Key]) -> None:
        read.discard(owner)
        before = self._reads.get(owner, frozenset())
        if read == before:
            return
        for key in before - read:
            readers = self._readers[key]
            readers.discard(owner)
            if not readers:
                del self._readers[key]
        for key in read - before:
            self._readers.setdefault(key, set()).add(owner)
        if not read:
            del self._reads[owner]
            return
        # Thousands of stations read the same few things: they share one set.
        if len(self._shared_reads) > _MAX_SHARED_READS:
            self._shared_reads.clear()
        fresh = frozenset(read)
        self._reads[owner] = self._shared_reads.setdefault(fresh, fresh)


def _resolved(rivals: Mapping[Key, Entry]) -> Entry:
    """What stands of several claims: see rule 3."""
    first, all_clauses = rivals[min(rivals)], _together(rivals)
    if isinstance(first, FlowEntry) and all_clauses is not None:
        return FlowEntry(all_clauses, first.cookie, first.owner)
    return first


def _together(rivals: Mapping[Key, Entry]) -> bytes | None:
    """What a flow does that is all that is claimed; None where that can't be."""
    flows = [entry.instructions for entry in rivals.values() if isinstance(entry, FlowEntry)]
    return together(flows) if len(flows) == len(rivals) else None


def compile_all(view: View) -> Compiler:
    """Everything from nothing: what an incremental compile has to equal."""
    compiler = Compiler(view)
    compiler.update_all()
    return compiler
