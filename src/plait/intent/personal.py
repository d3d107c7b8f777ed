"""A port's own group: made when a pair policy first names the port, gone with the last rule that needs it.

It denies nothing by default, so that a port without other groups stays as open as it was.
"""

from collections.abc import Iterable

import msgspec

from plait.intent import names, records
from plait.intent.port_spec import check_policy
from plait.intent.transactions import Failed, Plan, carry_out, changed
from plait.model.codec import decode
from plait.model.entities import Port
from plait.model.policy import PERSONAL, Action, Group, Rule
from plait.store import keys
from plait.store.api import Compare, KeyAt, PrefixUnchanged, Revision, Store, Write

_ID_LENGTH = 8
"""Of a network's id, which a port's begins with."""

Change = tuple[list[Compare], list[Write]]


def group_of(port: Port) -> Group:
    """The group that the port has for itself, or would have."""
    id = PERSONAL + port.id
    return Group(id=id, name=id, project=port.project, ingress=Action.ALLOW, egress=Action.ALLOW)


def has_own_group(port: Port) -> bool:
    """Whether a pair policy names the port."""
    return PERSONAL + port.id in port.groups


def port_key(group: str) -> str:
    """Where the port of a group of its own stands."""
    port = group.removeprefix(PERSONAL)
    return keys.port(port[:_ID_LENGTH], port)


def joined(port: Port, revision: Revision) -> Change:
    """Make the port's own group and put the port into it. Raises Invalid."""
    group = group_of(port)
    after = msgspec.structs.replace(port, groups=tuple(sorted((*port.groups, group.id))))
    check_policy(after)
    made = records.of_group(group)
    before, more = records.of_port(port), records.of_port(after)
    compares, writes = changed(
        before, {**more, **made}, key=keys.port(port.network, port.id), revision=revision
    )
    return compares, writes


def left(port: Port, revision: Revision) -> Change:
    """Take the port out of its own group, and the group away."""
    group = group_of(port)
    after = msgspec.structs.replace(port, groups=tuple(each for each in port.groups if each != group.id))
    return changed(
        {**records.of_port(port), **records.of_group(group)},
        records.of_port(after),
        key=keys.port(port.network, port.id),
        revision=revision,
    )


async def tidy(store: Store, groups: Iterable[str]) -> None:
    """Take away those of these groups that are a port's own and have no rule and no mention any more."""
    for id in groups:
        if id.startswith(PERSONAL):
            await _tidy(store, id)


async def _tidy(store: Store, id: str) -> None:
    async def make(failed: Failed) -> Plan[None]:
        found = (await store.get([keys.group(id), port_key(id)])).items
        if keys.group(id) not in found or port_key(id) not in found:
            return Plan(None, (), ())
        empty, unused = await unused_but_for(store, id, frozenset())
        if not empty:
            return Plan(None, (), ())
        item = found[port_key(id)]
        compares, writes = left(decode(Port, item.value), item.revision)
        at = KeyAt(keys.group(id), found[keys.group(id)].revision)
        return Plan(None, (at, *unused, *compares), tuple(writes))

    await carry_out(store, make, f"group {id}")


async def unused_but_for(
    store: Store, group: str, doomed: frozenset[str]
) -> tuple[bool, tuple[Compare, ...]]:
    """Whether a group has no rules and no mentions besides the keys in `doomed`, and what keeps that true."""
    compares: list[Compare] = []
    is_empty = True
    for prefix in (keys.rule_prefix(group), keys.reference_prefix(group)):
        found = await store.snapshot(prefix)
        is_empty = is_empty and found.items.keys() <= doomed
        compares.append(PrefixUnchanged(prefix, found.revision))
    return is_empty, tuple(compares)


class Remains(msgspec.Struct, frozen=True):
    """What goes with a port's own group: compares, keys, and the groups that had rules about it."""

    compares: tuple[Compare, ...]
    doomed: tuple[str, ...]
    partners: frozenset[str]


async def remains(store: Store, port: Port) -> Remains:
    """Everything that stands because of the port's own group: its rules, and those of others that name it."""
    group = group_of(port)
    rules = await store.snapshot(keys.rule_prefix(group.id))
    prefix = keys.reference_prefix(group.id)
    references = await store.snapshot(prefix)
    there = [tuple(key.removeprefix(prefix).split("/", 1)) for key in references.items]
    others = await names.read_all(store, [keys.rule(of_group, rule) for of_group, rule in there])
    doomed = [*records.of_group(group)]
    for item in (*rules.items.values(), *others.values()):
        doomed.extend(records.of_rule(decode(Rule, item.value)))
    compares = (
        PrefixUnchanged(keys.rule_prefix(group.id), rules.revision),
        PrefixUnchanged(prefix, references.revision),
    )
    partners = {of_group for of_group, _ in there}
    partners |= {each.split("/")[-3] for each in doomed if each.startswith(keys.REFERENCES)}
    return Remains(compares, tuple(dict.fromkeys(doomed)), frozenset(partners - {group.id}))
