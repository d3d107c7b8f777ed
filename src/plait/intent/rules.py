"""Rules of groups: who may talk to whom. Names are unique within a group.

A rule is written while its group and what it refers to stand as they were read, and leaves a key with the
latter (`keys.reference`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from plait.intent import names, records
from plait.intent.connections import pair_policy
from plait.intent.errors import InUse, NotFound, Taken
from plait.intent.transactions import Failed, Plan, born, carry_out, gone
from plait.model import checks
from plait.model.codec import decode
from plait.model.entities import Port
from plait.model.policy import PERSONAL, Action, AddressGroup, Direction, Group, Protocol, Rule
from plait.store import keys
from plait.store.api import Compare, KeyAt, Revision, Store


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of the groups of one project."""

    store: Store
    project: str

    async def add(
        self,
        group: str,
        direction: Direction,
        *,
        name: str | None = None,
        action: Action = Action.ALLOW,
        priority: int = 0,
        family: int | None = None,
        protocol: Protocol = Protocol.ANY,
        ports: tuple[int, int] | None = None,
        icmp_type: int | None = None,
        icmp_code: int | None = None,
        cidr: str | None = None,
        remote_group: str | None = None,
        address_group: str | None = None,
        log: bool = False,
    ) -> Rule:
        """A new rule of `group`; `remote_group` and `address_group` are names or ids, `ports` a closed range.

        Without a `name` its id serves. Raises NotFound (the groups), Taken (the name), Invalid.
        """
        if name is not None:
            checks.name(name, "rule")

        async def make(failed: Failed) -> Plan[Rule]:
            of, revision = await names.resolve(self.store, Group, self.project, group)
            if name is not None:
                await refuse_taken(self.store, of, name, failed)
            compares: list[Compare] = [KeyAt(keys.group(of.id), revision)]
            remote, entries = None, None
            if remote_group is not None:
                remote, revision = await self._remote(remote_group)
                if remote != of.id:
                    compares.append(KeyAt(keys.group(remote), revision))
            if address_group is not None:
                found, revision = await names.resolve(self.store, AddressGroup, self.project, address_group)
                entries = found.id
                compares.append(KeyAt(keys.address_group(entries), revision))
            id = names.new_id(of.id)
            rule = Rule(
                id=id,
                name=id if name is None else name,
                group=of.id,
                direction=direction,
                action=action,
                priority=priority,
                family=family,
                protocol=protocol,
                ports=ports,
                icmp_type=icmp_type,
                icmp_code=icmp_code,
                cidr=None if cidr is None else str(checks.prefix(cidr)),
                remote_group=remote,
                address_group=entries,
                log=log,
            )
            more, writes = born(records.of_rule(rule))
            return Plan(rule, (*compares, *more), tuple(writes))

        return await carry_out(self.store, make, f"rule {name or ''} of group {group!r}")

    async def list(self, group: str) -> list[Rule]:
        """All rules of a group: what decides first stands first. Raises NotFound."""
        of, _ = await names.resolve(self.store, Group, self.project, group)
        return await rules_of(self.store, of.id)

    async def of_port(self, port: str) -> Sequence[Rule]:
        """The rules that pair policies gave a port of its own. Raises NotFound."""
        found, _ = await names.resolve(self.store, Port, self.project, port)
        return await rules_of(self.store, PERSONAL + found.id)

    async def remove(self, group: str, ref: str) -> Rule:
        """Remove a rule by its name or id. Raises NotFound, InUse for one of a pair policy."""

        async def make(failed: Failed) -> Plan[Rule]:
            of, _ = await names.resolve(self.store, Group, self.project, group)
            rule, revision = await self._find(of, ref)
            if pair_policy(rule) is not None:
                raise InUse(
                    f"rule {rule.name!r} is a part of what was said of two",
                    "'plait connect' and 'plait disconnect', with --forget or not, change the whole of it",
                )
            key = keys.rule(of.id, rule.id)
            return Plan(rule, (KeyAt(key, revision),), tuple(gone(records.of_rule(rule))))

        return await carry_out(self.store, make, f"rule {ref!r} of group {group!r}")

    async def _remote(self, ref: str) -> tuple[str, Revision]:
        group, revision = await names.resolve(self.store, Group, self.project, ref)
        return group.id, revision

    async def _find(self, group: Group, ref: str) -> tuple[Rule, Revision]:
        by_name = keys.name(Rule.kind, group.id, ref)
        claim = (await self.store.get([by_name])).items.get(by_name)
        key = keys.rule(group.id, ref if claim is None else claim.value.decode())
        item = (await self.store.get([key])).items.get(key)
        if item is None:
            raise NotFound(
                f"group {group.name!r} has no rule {ref!r}",
                f"'plait rule list {group.name}' shows those that it has",
            )
        return decode(Rule, item.value), item.revision


async def rules_of(store: Store, group: str) -> list[Rule]:
    """All rules of the group with this id: what decides first stands first."""
    found = (await store.snapshot(keys.rule_prefix(group))).items
    rules = [decode(Rule, item.value) for item in found.values()]
    return sorted(rules, key=lambda each: (each.direction, -each.priority, each.action, each.name))


async def refuse_taken(store: Store, group: Group, name: str, failed: Failed) -> None:
    """Raises Taken if the last attempt failed at claiming a rule's name, and it is still claimed."""
    key = keys.name(Rule.kind, group.id, name)
    if key in failed and (await store.get([key])).items:
        raise Taken(
            f"group {group.name!r} has a rule {name!r} already", "choose another name, or remove that one"
        )
