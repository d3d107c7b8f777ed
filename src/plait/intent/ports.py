"""Ports: where endpoints are plugged in."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from plait.intent import names, records
from plait.intent.address_pairs import canonical_pairs, check_port
from plait.intent.claimants import refuse_taken
from plait.intent.creation import Creation, Views, host_keys, known_host
from plait.intent.deletion import delete_ports
from plait.intent.dhcp_options import check_options
from plait.intent.draft import explicit_addresses
from plait.intent.errors import IntentError
from plait.intent.known_groups import KnownGroups, look_up
from plait.intent.network_view import load
from plait.intent.port_spec import PortSpec, check_counts, check_policy
from plait.intent.subnets import touched
from plait.intent.transactions import Failed, Plan, carry_out, changed
from plait.intent.waiting import wait_ports_up
from plait.model import checks
from plait.model.checks import Invalid
from plait.model.codec import decode
from plait.model.entities import AddressPair, DhcpOption, FixedAddress, Port, PortStatus
from plait.model.policy import PERSONAL
from plait.store import keys
from plait.store.api import MAX_COMMIT_OPS, Compare, Delete, Store, Write

_MAX_VIEWS = 256


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one project.

    Networks are remembered from one creation to the next: every commit compares that they still stand as
    remembered.
    """

    store: Store
    project: str
    _views: Views = field(default_factory=dict)
    _groups: KnownGroups = field(default_factory=dict)

    async def create(self, spec: PortSpec) -> Port:
        """One new port: one read and one commit when the network was used before.

        Raises NotFound (network, subnet, host), Taken (name, address, MAC, device), Full, Invalid.
        """
        return (await self.create_many([spec]))[0]

    async def create_many(
        self, specs: Sequence[PortSpec], *, on_progress: Callable[[int], None] | None = None
    ) -> list[Port]:
        """All of `specs` or, when one can't be made or the caller is cancelled, none. Raises as `create`.

        `on_progress` is told how many exist so far.
        """
        remembered = {*self._views, *self._groups}
        if len(self._views) > _MAX_VIEWS:
            self._views.clear()
            self._groups.clear()
        try:
            return await self._create_many(specs, on_progress)
        except (IntentError, Invalid):
            if remembered.isdisjoint(each for spec in specs for each in (spec.network, *spec.groups)):
                raise
            self._views.clear()  # what was remembered may be why
            self._groups.clear()
            return await self._create_many(specs, on_progress)

    async def _create_many(
        self, specs: Sequence[PortSpec], on_progress: Callable[[int], None] | None
    ) -> list[Port]:
        creation = Creation(self.store, self.project, self._views, self._groups, on_progress=on_progress)
        try:
            return await creation.run(specs)
        except BaseException:
            await asyncio.shield(self.delete_all(list(creation.created.values())))
            raise

    async def get(self, ref: str) -> Port:
        """By name or id. Raises NotFound."""
        return (await names.resolve(self.store, Port, self.project, ref))[0]

    async def delete_all(self, ports: Sequence[Port]) -> None:
        """Remove those of `ports` that still exist."""
        await delete_ports(self.store, ports, missing_is_fine=True)

    async def wait_all_up(
        self, ports: Sequence[Port], *, timeout_s: float, on_progress: Callable[[int], None] | None = None
    ) -> list[PortStatus]:
        """As `wait_up`, for many ports, in their order; `on_progress` hears how many are up."""
        return await wait_ports_up(self.store, ports, timeout_s=timeout_s, on_progress=on_progress)

    async def list(self, *, network: str | None = None, host: str | None = None) -> list[Port]:
        """Those of the project, of one network, of one host, or both; by name."""
        within = None if network is None else (await load(self.store, self.project, network)).network.id
        if host is not None:
            prefix = keys.bound_prefix(checks.name(host, "host"))
        else:
            prefix = keys.PORTS if within is None else keys.port_prefix(within)
        found = [decode(Port, item.value) for item in (await self.store.snapshot(prefix)).items.values()]
        return sorted(
            (port for port in found if port.project == self.project and within in (None, port.network)),
            key=lambda port: port.name,
        )

    async def set(
        self,
        ref: str,
        *,
        name: str | UnsetType = UNSET,
        host: str | UnsetType | None = UNSET,
        device: str | UnsetType | None = UNSET,
        addresses: tuple[str, ...] | UnsetType = UNSET,
        security: bool | UnsetType = UNSET,
        multicast: tuple[str, ...] | UnsetType = UNSET,
        groups: tuple[str, ...] | UnsetType = UNSET,
        address_pairs: tuple[AddressPair, ...] | UnsetType = UNSET,
        hostname: str | UnsetType | None = UNSET,
        dhcp_options: tuple[DhcpOption, ...] | UnsetType = UNSET,
    ) -> Port:
        """Change what is given; another `host` is a move, and raises the port's sequence.

        `groups` are those that it is in from now on; its own, of pair policies, stays. Raises NotFound (port,
        host, group), Taken (name, address, device, address pair), Invalid.
        """
        plain: dict[str, Any] = {"name": name, "host": host, "device": device, "security": security}
        plain |= {"hostname": hostname, "dhcp_options": dhcp_options}
        changes = {field: value for field, value in plain.items() if value is not UNSET}
        if isinstance(hostname, str):
            checks.domain(hostname)
        if dhcp_options is not UNSET:
            changes["dhcp_options"] = check_options(dhcp_options)
        if multicast is not UNSET:
            changes["multicast"] = tuple(str(checks.multicast(group)) for group in multicast)
        check_counts(0 if addresses is UNSET else len(addresses), 0 if multicast is UNSET else len(multicast))
        last: Port | None = None

        async def make(failed: Failed) -> Plan[Port]:
            nonlocal last
            if last is not None:
                await refuse_taken(self.store, last, failed)
            before, revision = await names.resolve(self.store, Port, self.project, ref)
            compares: list[Compare] = []
            after = msgspec.structs.replace(before, **changes)
            words: list[Write] = []
            if groups is not UNSET:
                after, known = await self._in_groups(after, groups)
                compares.extend(known)
            if address_pairs is not UNSET:
                pairs = canonical_pairs(address_pairs, before.mac)
                after = msgspec.structs.replace(after, address_pairs=pairs)
            if addresses is not UNSET or after.address_pairs != before.address_pairs:
                view = await load(self.store, self.project, before.network)
                if addresses is not UNSET:
                    fixed: tuple[FixedAddress, ...] = tuple(explicit_addresses(addresses, view, before.mac))
                    after = msgspec.structs.replace(after, addresses=fixed)
                compares.extend((view.unchanged, *await check_port(self.store, view, after)))
                if after.address_pairs != before.address_pairs:
                    words.append(touched(view.network))
            if after.host != before.host:
                after = msgspec.structs.replace(after, sequence=before.sequence + 1)
                compares.extend(await self._known(after.host))
                words.extend([Delete(keys.status(before.host, before.id))] if before.host is not None else [])
            check_policy(after)
            last = after
            key = keys.port(before.network, before.id)
            more, writes = changed(
                records.of_port(before), records.of_port(after), key=key, revision=revision
            )
            return Plan(after, (*compares, *more), (*writes, *words))

        return await carry_out(self.store, make, f"port {ref!r}")

    async def delete(self, ref: str) -> Port:
        """Remove a port and free all that it had. Raises NotFound."""
        port = await self.get(ref)
        await delete_ports(self.store, [port], missing_is_fine=False)
        return port

    async def statuses(self, ports: Sequence[Port]) -> dict[str, PortStatus]:
        """What the ports' hosts last said of them, by port id; words of an earlier `sequence` don't count."""
        wanted = {keys.status(port.host, port.id): port for port in ports if port.host is not None}
        if len(wanted) > MAX_COMMIT_OPS:
            found = (await self.store.snapshot(keys.STATUSES)).items
        else:
            found = (await self.store.get(list(wanted))).items if wanted else {}
        said = {key: decode(PortStatus, found[key].value) for key in wanted if key in found}
        return {
            wanted[key].id: status for key, status in said.items() if status.sequence == wanted[key].sequence
        }

    async def wait_up(self, port: Port, *, timeout_s: float) -> PortStatus:
        """Wait for the agent's `up`, for `timeout_s` at most.

        Raises NotUp with the agent's reason, or with what is missing.
        """
        return (await wait_ports_up(self.store, [port], timeout_s=timeout_s))[0]

    async def _in_groups(self, port: Port, groups: tuple[str, ...]) -> tuple[Port, Iterable[Compare]]:
        """A port in these groups and its own one, and that the groups stand. Raises NotFound."""
        found = await look_up(self.store, self.project, groups, {})
        ids = {each.id for each in found.values()}
        ids.update(each for each in port.groups if each.startswith(PERSONAL))
        after = msgspec.structs.replace(port, groups=tuple(sorted(ids)))
        return after, dict.fromkeys(each.unchanged for each in found.values())

    async def _known(self, host: str | None) -> Sequence[Compare]:
        if host is None:
            return []
        found = (await self.store.get(host_keys(host))).items
        return [await known_host(self.store, host, found)]
