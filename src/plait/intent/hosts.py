"""Hosts that the cluster knows, alive or not. They belong to no project."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from plait.intent import records
from plait.intent.errors import InUse, NotFound, Taken, counted
from plait.intent.transactions import Failed, Plan, born, carry_out, changed, gone
from plait.model import checks
from plait.model.codec import decode
from plait.model.entities import Health, Host, LiveHost
from plait.store import keys
from plait.store.api import ABSENT, KeyAt, PrefixUnchanged, Revision, Store


class HostState(msgspec.Struct, frozen=True, kw_only=True):
    """A host with what its agent says of itself while it is alive."""

    host: Host
    live: LiveHost | None = None
    health: Health | None = None

    @property
    def alive(self) -> bool:
        """Whether its record stands: its agent runs, or ran until a moment ago."""
        return self.live is not None


@dataclass(frozen=True, slots=True)
class Hosts:
    """The hosts of the cluster."""

    store: Store

    async def create(self, name: str, *, labels: Mapping[str, str] | None = None) -> Host:
        """Make a host known before its agent first runs. Raises Taken, Invalid."""
        host = Host(name=name, labels=dict(labels or {}))

        async def make(failed: Failed) -> Plan[Host]:
            if keys.inventory(name) in failed and (await self.store.get([keys.inventory(name)])).items:
                raise Taken(f"host {name!r} is known already", f"'plait host set {name}' changes it")
            compares, writes = born(records.of_host(host))
            return Plan(host, tuple(compares), tuple(writes))

        return await carry_out(self.store, make, f"host {name!r}")

    async def get(self, name: str) -> HostState:
        """Raises NotFound."""
        return (await self._read(name))[0]

    async def list(self) -> list[HostState]:
        """All that are known or alive, by name."""
        inventory = await self._all(keys.INVENTORY)
        live = await self._all(keys.HOSTS)
        health = await self._all(keys.HEALTH)
        return [
            _state(name, inventory.get(name), live.get(name), health.get(name))
            for name in sorted({*inventory, *live})
        ]

    async def set(self, name: str, *, labels: Mapping[str, str | None]) -> Host:
        """Change labels; None removes one. Raises NotFound, Invalid."""

        async def make(failed: Failed) -> Plan[Host]:
            state, revision = await self._read(name)
            kept = {**state.host.labels, **labels}
            after = msgspec.structs.replace(
                state.host, labels={label: value for label, value in kept.items() if value is not None}
            )
            if revision == ABSENT:
                compares, writes = born(records.of_host(after))
            else:
                before = records.of_host(state.host)
                compares, writes = changed(
                    before, records.of_host(after), key=keys.inventory(name), revision=revision
                )
            return Plan(after, tuple(compares), tuple(writes))

        return await carry_out(self.store, make, f"host {name!r}")

    async def delete(self, name: str) -> Host:
        """Forget a host that has no agent and no ports. Raises NotFound, InUse.

        An agent that was stopped leaves its host alive for a while, because traffic goes on, but without a
        health record.
        """

        async def make(failed: Failed) -> Plan[Host]:
            state, revision = await self._read(name)
            if state.health is not None:
                raise InUse(f"host {name!r} is alive", "stop its agent first")
            bound = await self.store.snapshot(keys.bound_prefix(name))
            if bound.items:
                raise InUse(
                    f"host {name!r} has {counted(len(bound.items), 'port')}",
                    f"delete or move them first ('plait port list --host {name}')",
                )
            compares = (
                KeyAt(keys.inventory(name), revision),
                KeyAt(keys.health(name), ABSENT),
                PrefixUnchanged(keys.bound_prefix(name), bound.revision),
            )
            doomed = (*records.of_host(state.host), keys.host(name))
            return Plan(state.host, compares, tuple(gone(doomed)))

        return await carry_out(self.store, make, f"host {name!r}")

    async def _read(self, name: str) -> tuple[HostState, Revision]:
        """The host, and the revision of its inventory record (`ABSENT` if it is only alive)."""
        checks.name(name, "host")
        found = (await self.store.get([keys.inventory(name), keys.host(name), keys.health(name)])).items
        inventory, live, health = (found.get(key(name)) for key in (keys.inventory, keys.host, keys.health))
        if inventory is None and live is None:
            raise NotFound(f"host {name!r} is not known", "'plait host list' shows those that are")
        state = _state(name, *(None if item is None else item.value for item in (inventory, live, health)))
        return state, ABSENT if inventory is None else inventory.revision

    async def _all(self, prefix: str) -> dict[str, bytes]:
        found = (await self.store.snapshot(prefix)).items
        return {key.removeprefix(prefix): item.value for key, item in found.items()}


def _state(name: str, inventory: bytes | None, live: bytes | None, health: bytes | None) -> HostState:
    return HostState(
        host=Host(name=name) if inventory is None else decode(Host, inventory),
        live=None if live is None else decode(LiveHost, live),
        health=None if health is None else decode(Health, health),
    )
