"""Groups: ports that are treated alike. Rules are in `rules.py`, who is in them in `members.py`.

Whoever puts a port into a group, or makes a rule refer to it, compares the group's own record and leaves a
key (`keys.member`, `keys.reference`). A group goes only while there is no such key.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET, UnsetType

from plait.intent import names, records
from plait.intent.catalogue import Catalogue
from plait.intent.errors import InUse, some
from plait.intent.transactions import Failed, Plan, born, carry_out, gone, remove_all
from plait.model.checks import Invalid
from plait.model.codec import decode
from plait.model.policy import PERSONAL, Action, Direction, Group, Rule
from plait.store import keys
from plait.store.api import ABSENT, MAX_COMMIT_OPS, KeyAt, PrefixUnchanged, Snapshot, Store

MEMBERS_RULE = "members"
"""The rule of a group that lets its members reach each other."""

_CATALOGUE = Catalogue(Group, keys.GROUPS, keys.group, records.of_group)


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups of one project."""

    store: Store
    project: str

    async def create(
        self,
        name: str,
        *,
        isolated: bool = False,
        ingress: Action = Action.DENY,
        egress: Action = Action.ALLOW,
    ) -> Group:
        """A new group whose members reach each other, unless `isolated`. Raises Taken, Invalid."""
        check_group_name(name)

        async def make(failed: Failed) -> Plan[Group]:
            await names.refuse_taken(self.store, Group, self.project, name, failed)
            group = Group(id=names.new_id(), name=name, project=self.project, ingress=ingress, egress=egress)
            everything = records.of_group(group)
            if not isolated:
                everything |= records.of_rule(_members_rule(group))
            compares, writes = born(everything)
            # Rules refer to groups and address groups by id alone.
            return Plan(group, (KeyAt(keys.address_group(group.id), ABSENT), *compares), tuple(writes))

        return await carry_out(self.store, make, f"group {name!r}")

    async def get(self, ref: str) -> Group:
        """By name or id. Raises NotFound."""
        return (await names.resolve(self.store, Group, self.project, ref))[0]

    async def list(self) -> list[Group]:
        """All of the project that were made by name: those that ports have for themselves are left out."""
        groups = await _CATALOGUE.list(self.store, self.project)
        return [each for each in groups if not each.is_personal]

    async def members(self, ref: str) -> dict[str, str]:
        """The names of the ports in a group, by id, in one read besides the group. Raises NotFound."""
        prefix = keys.member_prefix((await self.get(ref)).id)
        found = (await self.store.snapshot(prefix)).items
        return {key.removeprefix(prefix): item.value.decode() for key, item in found.items()}

    async def set(
        self,
        ref: str,
        *,
        name: str | UnsetType = UNSET,
        ingress: Action | UnsetType = UNSET,
        egress: Action | UnsetType = UNSET,
    ) -> Group:
        """Change what is given. Raises NotFound, Taken, Invalid."""
        wanted: dict[str, Any] = {"name": name, "ingress": ingress, "egress": egress}
        if name is not UNSET:
            check_group_name(name)
        return await _CATALOGUE.change(self.store, self.project, ref, wanted)

    async def delete(self, ref: str) -> Group:
        """Remove a group and its rules, while no port is in it and no other group's rule refers to it.

        Raises NotFound, InUse. The group is gone by the first commit, which takes as many of its rules along
        as it can.
        """

        async def make(failed: Failed) -> Plan[tuple[Group, Sequence[str]]]:
            group, revision = await names.resolve(self.store, Group, self.project, ref)
            members = await self.store.snapshot(keys.member_prefix(group.id))
            references = await self.store.snapshot(keys.reference_prefix(group.id))
            await self._refuse_used(group, members, references)
            rules = await self.store.snapshot(keys.rule_prefix(group.id))
            compares = (
                KeyAt(keys.group(group.id), revision),
                PrefixUnchanged(keys.member_prefix(group.id), members.revision),
                PrefixUnchanged(keys.reference_prefix(group.id), references.revision),
                PrefixUnchanged(keys.rule_prefix(group.id), rules.revision),
            )
            doomed = [*records.of_group(group)]
            for item in rules.items.values():
                doomed.extend(records.of_rule(decode(Rule, item.value)))
            return Plan((group, doomed[MAX_COMMIT_OPS:]), compares, tuple(gone(doomed[:MAX_COMMIT_OPS])))

        group, rest = await carry_out(self.store, make, f"group {ref!r}")
        await remove_all(self.store, rest)
        return group

    async def _refuse_used(self, group: Group, members: Snapshot, references: Snapshot) -> None:
        if members.items:
            called = [item.value.decode() for item in members.items.values()]
            raise InUse(
                f"group {group.name!r} is in use by {some('port', called)}",
                f"'plait group member remove {group.name} PORT...' takes them out",
            )
        others: dict[str, str] = {}
        for key, item in references.items.items():
            of_group, _ = key.removeprefix(keys.reference_prefix(group.id)).split("/", 1)
            if of_group != group.id:
                others[item.value.decode()] = of_group
        if others:
            rule, of_group = min(others.items())
            where = await group_called(self.store, of_group)
            more = f" and {len(others) - 1} more" if len(others) > 1 else ""
            raise InUse(
                f"group {group.name!r} is in use by rule {rule!r} of {where}{more}",
                "remove these rules, and 'plait disconnect --forget' those that were connected",
            )


def check_group_name(name: str) -> None:
    """Raises Invalid for a name that a port's own group may have."""
    if name.startswith(PERSONAL) and len(name) == len(PERSONAL) + 16:
        raise Invalid(f"group name {name!r} looks like a port's own group: choose another name")


async def group_called(store: Store, id: str) -> str:
    """A group as people know it: one that is a port's own by the port."""
    if id.startswith(PERSONAL):
        return await names.describe_port(store, id.removeprefix(PERSONAL).encode())
    item = (await store.get([keys.group(id)])).items.get(keys.group(id))
    return f"group {id}" if item is None else f"group {decode(Group, item.value).name!r}"


def _members_rule(group: Group) -> Rule:
    return Rule(
        id=names.new_id(group.id),
        name=MEMBERS_RULE,
        group=group.id,
        direction=Direction.INGRESS,
        remote_group=group.id,
    )
