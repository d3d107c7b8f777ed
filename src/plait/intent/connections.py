"""Pair policies, as people say them: `connect A B`, `disconnect A B`. A and B are groups or ports.

A connection is a rule at each end that lets the other end in, and, where an end lets nothing out by default,
one that lets it out to there. A cut is a rule at top priority in both directions at both ends. These rules
have ids that follow from the pair, so that a pair is read and written by their keys alone, in one
transaction. A port takes part by a group of its own (`personal.py`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from plait.intent import names, personal, records
from plait.intent.errors import NotFound
from plait.intent.labels import labels
from plait.intent.transactions import Failed, Plan, carry_out, gone
from plait.model.checks import Invalid
from plait.model.codec import decode
from plait.model.entities import Port
from plait.model.policy import MAX_PRIORITY, Action, Direction, Group, Rule
from plait.store import keys
from plait.store.api import ABSENT, Compare, Item, KeyAt, Put, Revision, Store, Write

GROUP, PORT = "group:", "port:"
"""What a name is preceded by that both a group and a port have."""


class Pair(StrEnum):
    """What a pair policy does."""

    CONNECT = "connect"
    DISCONNECT = "disconnect"


class Connection(msgspec.Struct, frozen=True, order=True):
    """Two ends, as people know them, and what was last said of them."""

    one: str
    other: str
    policy: Pair


class _End(msgspec.Struct, frozen=True):
    """One side of a pair. `port` is set if it is a port; then its group need not stand yet.

    `defaults` are the groups that say what happens to it where no rule decides: of a port all that it is in.
    """

    label: str
    group: Group
    group_at: Revision
    defaults: tuple[Group, ...]
    port: Port | None = None
    port_at: Revision = ABSENT

    @property
    def lets_in(self) -> bool:
        """Whether it lets in everybody by default."""
        return all(group.ingress is Action.ALLOW for group in self.defaults)

    @property
    def lets_out(self) -> bool:
        """Whether it lets everything out by default."""
        return all(group.egress is Action.ALLOW for group in self.defaults)


@dataclass(frozen=True, slots=True)
class Connections:
    """The pair policies of one project."""

    store: Store
    project: str

    async def connect(self, one: str, other: str) -> Connection:
        """Let two groups or ports reach each other; a cut between them ends. Raises NotFound, Invalid."""
        return Connection(*await self._set(one, other, Pair.CONNECT), Pair.CONNECT)

    async def disconnect(self, one: str, other: str) -> Connection:
        """Cut two groups or ports off from each other. Raises NotFound, Invalid.

        What connected them goes. If nothing did, or if an end lets everybody in by default, they are denied
        each other above all other rules.
        """
        return Connection(*await self._set(one, other, Pair.DISCONNECT), Pair.DISCONNECT)

    async def forget(self, one: str, other: str) -> None:
        """Take back whatever was said of two groups or ports, and deny nothing. Raises NotFound, Invalid."""
        await self._set(one, other, None)

    async def list(self) -> list[Connection]:
        """All pair policies of the project."""
        found = (await self.store.snapshot(keys.GROUPS)).items
        groups = [decode(Group, item.value) for key, item in found.items() if key.endswith("/info")]
        mine = {group.id for group in groups if group.project == self.project}
        pairs: set[tuple[str, str, Pair]] = set()
        for key, item in found.items():
            group = key.removeprefix(keys.GROUPS).split("/", 1)[0]
            if key.endswith("/info") or group not in mine:
                continue
            rule = decode(Rule, item.value)
            policy = pair_policy(rule)
            if policy is not None and rule.remote_group is not None:
                one, other = sorted((rule.group, rule.remote_group))
                pairs.add((one, other, policy))
        called = await labels(self.store, {id for one, other, _ in pairs for id in (one, other)})
        return sorted(
            Connection(min(called[one], called[other]), max(called[one], called[other]), policy)
            for one, other, policy in pairs
        )

    async def _set(self, one: str, other: str, policy: Pair | None) -> tuple[str, str]:
        """What both are called. `policy` None: neither connected nor cut off."""
        ids_as_names = False

        async def make(failed: Failed) -> Plan[tuple[str, str]]:
            nonlocal ids_as_names
            ids_as_names = ids_as_names or any(key.startswith(keys.NAMES) for key in failed)
            ends = (await self._end(one), await self._end(other))
            if ends[0].group.id == ends[1].group.id and ends[0].port is not None:
                raise Invalid(f"{one} and {other} are the same port: name another")
            possible = _possible(ends, by_id=ids_as_names)
            found = (await self.store.get(list(possible))).items
            wanted = _wanted(policy, possible, ends, found)
            compares: list[Compare] = [
                KeyAt(key, found[key].revision if key in found else ABSENT) for key in possible
            ]
            writes: list[Write] = []
            doomed: set[str] = set()
            for key, rule in possible.items():
                if key in wanted and key not in found:
                    for each, value in records.of_rule(rule).items():
                        writes.append(Put(each, value))
                        if each.startswith(keys.NAMES):
                            compares.append(KeyAt(each, ABSENT))
                elif key not in wanted and key in found:
                    doomed.update(records.of_rule(decode(Rule, found[key].value)))
            writes.extend(gone(doomed))
            for end in ends if ends[0].group.id != ends[1].group.id else ends[:1]:
                stays = any(rule.group == end.group.id for key, rule in possible.items() if key in wanted)
                more, puts = await self._settle(end, stays=stays, doomed=frozenset(doomed))
                compares.extend(more)
                writes.extend(puts)
            return Plan((ends[0].label, ends[1].label), tuple(compares), tuple(writes))

        return await carry_out(self.store, make, f"{policy or 'forget'} {one} {other}")

    async def _settle(self, end: _End, *, stays: bool, doomed: frozenset[str]) -> personal.Change:
        """Keep the end's group as it stands; make or remove it if it is a port's own."""
        if end.port is None:
            return [KeyAt(keys.group(end.group.id), end.group_at)], []
        if end.group_at == ABSENT:
            return personal.joined(end.port, end.port_at) if stays else ([], [])
        at: list[Compare] = [KeyAt(keys.group(end.group.id), end.group_at)]
        if stays:
            return at, []
        is_empty, unused = await personal.unused_but_for(self.store, end.group.id, doomed)
        if not is_empty:
            return at, []
        compares, writes = personal.left(end.port, end.port_at)
        return [*at, *unused, *compares], writes

    async def _end(self, ref: str) -> _End:
        """A group or a port, by name or id. Raises NotFound, Invalid if it may be both."""
        group = None if ref.startswith(PORT) else await self._group(ref.removeprefix(GROUP))
        port = None if ref.startswith(GROUP) else await self._port(ref.removeprefix(PORT))
        if group is not None and port is not None:
            raise Invalid(f"{ref!r} is a group and a port: write {GROUP}{ref} or {PORT}{ref}")
        if group is not None:
            return group
        if port is not None:
            return port
        raise NotFound(
            f"there is no group and no port {ref!r} in project {self.project!r}",
            "'plait group list' and 'plait port list' show those that exist",
        )

    async def _group(self, ref: str) -> _End | None:
        try:
            group, revision = await names.resolve(self.store, Group, self.project, ref)
        except NotFound:
            return None
        return _End(group.name, group, revision, (group,))

    async def _port(self, ref: str) -> _End | None:
        try:
            port, revision = await names.resolve(self.store, Port, self.project, ref)
        except NotFound:
            return None
        group = personal.group_of(port)
        found = (await self.store.get([keys.group(id) for id in {group.id, *port.groups}])).items
        at = found[keys.group(group.id)].revision if keys.group(group.id) in found else ABSENT
        defaults = tuple(decode(Group, item.value) for item in found.values())
        return _End(port.name, group, at, defaults, port, revision)


def pair_policy(rule: Rule) -> Pair | None:
    """What pair policy a rule is a part of; None for a rule of its own."""
    if rule.remote_group is None:
        return None
    for policy in Pair:
        if rule.id == _rule_id(rule.group, policy, rule.direction, rule.remote_group):
            return policy
    return None


def _rule_id(group: str, policy: Pair, direction: Direction, other: str) -> str:
    return f"{group}-{policy}-{'in' if direction is Direction.INGRESS else 'out'}-{other}"


def _possible(ends: tuple[_End, _End], *, by_id: bool) -> dict[str, Rule]:
    """Every rule that a pair policy of these two may consist of, by its key."""
    rules: dict[str, Rule] = {}
    for end, other in (ends, ends[::-1]):
        for policy in Pair:
            for direction in Direction:
                rule = _rule(end, other, policy, direction, by_id=by_id)
                rules[keys.rule(rule.group, rule.id)] = rule
    return rules


def _rule(end: _End, other: _End, policy: Pair, direction: Direction, *, by_id: bool) -> Rule:
    is_cut = policy is Pair.DISCONNECT
    label = other.group.id if by_id else other.label
    return Rule(
        id=_rule_id(end.group.id, policy, direction, other.group.id),
        name=f"{policy}:{label}" + ("" if direction is Direction.INGRESS else ":out"),
        group=end.group.id,
        direction=direction,
        action=Action.DENY if is_cut else Action.ALLOW,
        priority=MAX_PRIORITY if is_cut else 0,
        remote_group=other.group.id,
    )


def _wanted(
    policy: Pair | None, possible: Mapping[str, Rule], ends: tuple[_End, _End], found: Mapping[str, Item]
) -> set[str]:
    match policy:
        case Pair.CONNECT:
            return _connected(possible, ends)
        case Pair.DISCONNECT:
            return _cut(possible, ends, found)
        case None:
            return set()


def _connected(possible: Mapping[str, Rule], ends: tuple[_End, _End]) -> set[str]:
    """The rules that let both ends reach each other."""
    silent = {end.group.id for end in ends if not end.lets_out}
    return {
        key
        for key, rule in possible.items()
        if rule.action is Action.ALLOW and (rule.direction is Direction.INGRESS or rule.group in silent)
    }


def _cut(possible: Mapping[str, Rule], ends: tuple[_End, _End], found: Mapping[str, Item]) -> set[str]:
    """The rules that cut both ends off from each other: none, where it is enough to connect them no more."""
    cuts = set(_of(possible, Action.DENY))
    was_connected = any(key in found for key in _of(possible, Action.ALLOW))
    if was_connected and not any(end.lets_in for end in ends):
        return set()
    return cuts


def _of(possible: Mapping[str, Rule], action: Action) -> Iterator[str]:
    return (key for key, rule in possible.items() if rule.action is action)
