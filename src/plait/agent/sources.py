"""What an agent follows in the store, as kinds of sources: each knows its prefix, and its facets in the view.

    ports of this host   bound/<host>/           Port
    network              net/<n>/                Network, Subnet; and which routers are there
    router               router/<r>/             Router, RouterInterface, Peering
    group                group/<g>/              Group, Rule
    address group        addresses/<a>/entry/    AddressEntry

Rule 1: one source for each facet.
Rule 2: a group comes whole: what refers to an address group waits until that was heard. So does a port that
moves to groups that were not heard: until then the rules stand that it has.
Rule 3: an empty snapshot is an answer: nobody waits for what does not exist.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping

from plait.agent.records import Recorded, Records
from plait.model.checks import Invalid
from plait.model.codec import decode
from plait.model.entities import Network, Port, Subnet
from plait.model.facets import Attachment, Change
from plait.model.needs import Place
from plait.model.policy import AddressEntry, Group, Rule
from plait.model.routers import Peering, Router, RouterInterface
from plait.model.view import View
from plait.store import keys

Items = Mapping[str, bytes | None]
"""Values by what their keys have behind the prefix; None: removed."""

Subject = tuple[type[Recorded], str]
"""Which facet a record is."""

SourceId = tuple[type["Source"], str]
"""Which source: its kind, and what it is of."""


class Source(ABC):
    """One prefix of the store. `name` is for the gate and for people.

    `take` is given what is there, all at first (`is_full`), then changes, and keeps what follows; `release`
    hands it out, those of lower `rank` first, because others wait for them.
    """

    rank = 0
    kind = ""

    def __init__(self, id: str, view: View, records: Records) -> None:
        self.id = id
        self.name = self.named(id)
        self._view = view
        self._records = records
        self._kept: list[Change] = []
        self._unread: set[Subject] = set()
        self._is_told = False

    @classmethod
    def named(cls, id: str) -> str:
        """The name of the source of that id."""
        return f"{cls.kind} {id}"

    @property
    @abstractmethod
    def prefix(self) -> str:
        """What is followed."""

    def take(self, items: Items, *, is_full: bool) -> None:
        named = {rest: subject for rest in items if (subject := self._subject(rest)) is not None}
        for rest, subject in named.items():
            change = self._records.change(*subject, items[rest])
            if change is None:
                self._unread.add(subject)
            else:
                self._unread.discard(subject)
                self._kept.append(change)
        if is_full:
            there = set(named.values())
            self._forget(self._unread - there)
            self._kept += [Change(*subject, None) for subject in self._standing() if subject not in there]
            self._is_told = True

    def release(self, is_heard: Callable[[str], bool]) -> list[Change]:
        """What is for the view now; `is_heard` says of a source's name whether all of it is in the view."""
        kept, self._kept = self._kept, []
        return kept

    @property
    def is_waiting(self) -> bool:
        """Whether there is something that `release` did not hand out."""
        return bool(self._kept)

    @property
    def is_heard(self) -> bool:
        """Whether everything was taken and handed out."""
        return self._is_told and not self.is_waiting

    def leave(self) -> list[Change]:
        """Nobody follows it any more: nothing of it stays in the view."""
        self._forget(self._unread)
        return [Change(*subject, None) for subject in self._standing()]

    def _forget(self, unread: set[Subject]) -> None:
        for subject in unread:
            self._records.forget(*subject)
        self._unread = self._unread - unread

    @abstractmethod
    def _subject(self, rest: str) -> Subject | None:
        """What a record is about, whether it can be read or not; None: nothing for the view."""

    @abstractmethod
    def _standing(self) -> Iterator[Subject]:
        """The facets of this source in the view."""


class PortsSource(Source):
    """The ports of this host."""

    rank = 2
    kind = "ports of host"

    @property
    def prefix(self) -> str:
        return keys.bound_prefix(self.id)

    def release(self, is_heard: Callable[[str], bool]) -> list[Change]:
        last = {change.id: change for change in self._kept}
        self._kept = [change for change in last.values() if self._has_to_wait(change.value, is_heard)]
        waiting = {change.id for change in self._kept}
        return [change for change in last.values() if change.id not in waiting]

    def groups_waited_for(self) -> set[str]:
        """Groups of ports that are not in the view as they stand in the store."""
        ports = [change.value for change in self._kept]
        return {group for port in ports if isinstance(port, Port) for group in port.groups}

    def _has_to_wait(self, port: object, is_heard: Callable[[str], bool]) -> bool:
        # A new port is plugged in meanwhile, and is not up before its groups are heard.
        if not isinstance(port, Port) or self._view.get(Attachment, port.id) is None:
            return False
        before = self._view.get(Port, port.id)
        new = set(port.groups) - set(before.groups) if before is not None else set()
        return any(not is_heard(GroupSource.named(group)) for group in new)

    def _subject(self, rest: str) -> Subject:
        return Port, rest

    def _standing(self) -> Iterator[Subject]:
        return ((Port, port.id) for port in self._view.all(Port))


class NetworkSource(Source):
    """A network with its subnets; `places`: which routers are there, as far as is known."""

    kind = "network"

    def __init__(self, id: str, view: View, records: Records) -> None:
        super().__init__(id, view, records)
        self._places: dict[str, Place] = {}

    @property
    def prefix(self) -> str:
        return keys.network_prefix(self.id)

    def take(self, items: Items, *, is_full: bool) -> None:
        super().take(items, is_full=is_full)
        for rest, value in items.items():
            kind, _, place = rest.partition("/")
            if kind != "router":
                continue
            if value is None:
                self._places.pop(place, None)
            else:
                self._places[place] = _place(place, value)

    def places(self) -> list[Place]:
        """Until the network is heard, what is known from before a restart counts."""
        if self._is_told:
            return list(self._places.values())
        return interfaces_known(self._view, self.id)

    def _subject(self, rest: str) -> Subject | None:
        kind, _, subnet = rest.partition("/")
        if kind == "info":
            return Network, self.id
        return (Subnet, subnet) if kind == "subnet" else None

    def _standing(self) -> Iterator[Subject]:
        if self._view.get(Network, self.id) is not None:
            yield Network, self.id
        yield from ((Subnet, id) for id in self._view.members("subnets", self.id))


class RouterSource(Source):
    """A router with its interfaces, and which others it wants to be joined to."""

    kind = "router"

    @property
    def prefix(self) -> str:
        return keys.router_prefix(self.id)

    def _subject(self, rest: str) -> Subject | None:
        kind, _, other = rest.partition("/")
        match kind:
            case "info":
                return Router, self.id
            case "if":
                return RouterInterface, f"{self.id}/{other}"
            case "peer":
                return Peering, f"{self.id}/{other}"
        return None

    def _standing(self) -> Iterator[Subject]:
        if self._view.get(Router, self.id) is not None:
            yield Router, self.id
        yield from ((RouterInterface, id) for id in self._view.members("interfaces", self.id))
        yield from ((Peering, id) for id in self._view.members("peerings", self.id))


class GroupSource(Source):
    """A group with its rules."""

    rank = 1
    kind = "group"

    @property
    def prefix(self) -> str:
        return keys.group_prefix(self.id)

    def release(self, is_heard: Callable[[str], bool]) -> list[Change]:
        if all(is_heard(AddressesSource.named(addresses)) for addresses in self.addresses_waited_for()):
            return super().release(is_heard)
        return []

    def addresses_waited_for(self) -> set[str]:
        """Address groups that rules name which are not in the view yet."""
        rules = (change.value for change in self._kept)
        return {rule.address_group for rule in rules if isinstance(rule, Rule) and rule.address_group}

    def _subject(self, rest: str) -> Subject | None:
        kind, _, rule = rest.partition("/")
        if kind == "info":
            return Group, self.id
        return (Rule, rule) if kind == "rule" else None

    def _standing(self) -> Iterator[Subject]:
        if self._view.get(Group, self.id) is not None:
            yield Group, self.id
        yield from ((Rule, id) for id in self._view.members("rules", self.id))


class AddressesSource(Source):
    """The entries of an address group."""

    kind = "address group"

    @property
    def prefix(self) -> str:
        return keys.address_entry_prefix(self.id)

    def _subject(self, rest: str) -> Subject:
        return AddressEntry, f"{self.id}/{rest.replace('_', '/')}"

    def _standing(self) -> Iterator[Subject]:
        return ((AddressEntry, id) for id in self._view.members("entries", self.id))


def of_view(view: View) -> set[SourceId]:
    """The sources of what is in the view, but for the host's ports."""
    networks = {network.id for network in view.all(Network)}.union(view.sets("subnets"))
    routers = {router.id for router in view.all(Router)}.union(view.sets("interfaces"), view.sets("peerings"))
    groups = {group.id for group in view.all(Group)}.union(view.sets("rules"))
    found: set[SourceId] = {(NetworkSource, id) for id in networks}
    found |= {(RouterSource, id) for id in routers}
    found |= {(GroupSource, id) for id in groups}
    return found | {(AddressesSource, id) for id in view.sets("entries")}


def interfaces_known(view: View, network: str) -> list[Place]:
    """The routers on a network of which the view has the interface."""
    members = view.members("interfaces of network", network).values()
    return [Place(each.router, each.address) for each in members if isinstance(each, RouterInterface)]


def _place(place: str, value: bytes) -> Place:
    """From a router's record among those of a network; what is wrong with it the router's own source says."""
    router, _, _ = place.partition("/")
    try:
        return Place(router, decode(RouterInterface, value).address)
    except Invalid:
        return Place(router, None)
