"""Networks: one record, one name, one VNI each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from plait.intent import names, records
from plait.intent.allocation import Search, SpaceExhausted
from plait.intent.errors import Full, InUse, Taken, some
from plait.intent.ports import Ports
from plait.intent.subnets import FIRST_ADDRESS, Subnets, check_overlap, make_subnet
from plait.intent.transactions import Failed, Plan, born, carry_out, changed, gone
from plait.model.checks import Invalid
from plait.model.codec import decode
from plait.model.entities import Network, Port, Subnet, Transport
from plait.model.numbers import Space
from plait.store import keys
from plait.store.api import Compare, KeyAt, PrefixUnchanged, Revision, Store

MAX_SUBNETS_AT_CREATION = 32
"""So that a network and its subnets fit into one commit (`MAX_COMMIT_OPS`)."""


@dataclass(frozen=True, slots=True)
class Networks:
    """The networks of one project."""

    store: Store
    project: str
    vnis: Space
    subnets: Subnets
    ports: Ports

    async def create(
        self,
        name: str | None = None,
        *,
        subnets: Sequence[str] = (),
        transport: Transport = Transport.VXLAN,
        mtu_bytes: int | None = None,
        vni: int | None = None,
    ) -> Network:
        """A new network, with subnets of these prefixes, each with its first address as the gateway.

        Raises Taken (name, VNI), Full (no VNI is left), Invalid.
        """
        if len(subnets) > MAX_SUBNETS_AT_CREATION:
            raise Invalid(
                f"{len(subnets)} subnets at once are too many: begin with {MAX_SUBNETS_AT_CREATION}"
            )
        search = self._vni_search()
        if vni is None:
            search.begin((await self.store.get([search.cursor_key])).items.get(search.cursor_key))
        proposed: int | None = None

        async def make(failed: Failed) -> Plan[Network]:
            nonlocal proposed
            await self._refuse_taken(name, vni, failed)
            if proposed is None or keys.vni(proposed) in failed:
                proposed = await self._next_vni(search, proposed) if vni is None else vni
            id = names.new_id()
            network = Network(
                id=id,
                name=id if name is None else name,
                vni=proposed,
                project=self.project,
                transport=transport,
                mtu_bytes=mtu_bytes,
            )
            everything = records.of_network(network)
            made: tuple[Subnet, ...] = ()
            for prefix in subnets:
                subnet = make_subnet(network, prefix, name=None, gateway=FIRST_ADDRESS)
                check_overlap(subnet, network, made)
                made += (subnet,)
                everything |= records.of_subnet(subnet)
            compares, writes = born(everything)
            if vni is None:
                writes.append(search.cursor())
            return Plan(network, tuple(compares), tuple(writes))

        return await carry_out(self.store, make, f"network {name or ''}".strip())

    async def get(self, ref: str) -> Network:
        """By name or id. Raises NotFound."""
        return (await names.resolve(self.store, Network, self.project, ref))[0]

    async def list(self) -> list[Network]:
        """All of the project, by name."""
        found = (await self.store.snapshot(keys.NETWORKS)).items
        networks = [decode(Network, item.value) for key, item in found.items() if key.endswith("/info")]
        return sorted((each for each in networks if each.project == self.project), key=lambda each: each.name)

    async def set(
        self,
        ref: str,
        *,
        name: str | UnsetType = UNSET,
        mtu_bytes: int | UnsetType | None = UNSET,
        transport: Transport | UnsetType = UNSET,
    ) -> Network:
        """Change what is given. Raises NotFound, Taken, Invalid."""
        wanted: dict[str, Any] = {"name": name, "mtu_bytes": mtu_bytes, "transport": transport}
        changes = {field: value for field, value in wanted.items() if value is not UNSET}

        async def make(failed: Failed) -> Plan[Network]:
            before, revision = await names.resolve(self.store, Network, self.project, ref)
            after = msgspec.structs.replace(before, **changes)
            if before.name != after.name:
                await names.refuse_taken(self.store, Network, self.project, after.name, failed)
            compares, writes = changed(
                records.of_network(before),
                records.of_network(after),
                key=keys.network(before.id),
                revision=revision,
            )
            return Plan(after, tuple(compares), tuple(writes))

        return await carry_out(self.store, make, f"network {ref!r}")

    async def delete(self, ref: str, *, cascade: bool = False) -> Network:
        """Remove a network without ports and subnets; with `cascade` remove these before.

        Raises NotFound, InUse.
        """

        async def make(failed: Failed) -> Plan[Network]:
            network, revision = await names.resolve(self.store, Network, self.project, ref)
            at = await self._emptied(network, cascade=cascade)
            compares: tuple[Compare, ...] = (
                KeyAt(keys.network(network.id), revision),
                PrefixUnchanged(keys.subnet_prefix(network.id), at),
                PrefixUnchanged(keys.port_prefix(network.id), at),
            )
            return Plan(network, compares, tuple(gone(records.of_network(network))))

        return await carry_out(self.store, make, f"network {ref!r}")

    async def _emptied(self, network: Network, *, cascade: bool) -> Revision:
        """A revision at which the network had neither ports nor subnets."""
        ports = await self.store.snapshot(keys.port_prefix(network.id))
        if ports.items and cascade:
            await self.ports.delete_all([decode(Port, item.value) for item in ports.items.values()])
            return await self._emptied(network, cascade=cascade)
        subnets = await self.store.snapshot(keys.subnet_prefix(network.id))
        found = [decode(Subnet, item.value) for item in subnets.items.values()]
        if ports.items:
            called = [decode(Port, item.value).name for item in ports.items.values()]
            raise InUse(
                f"network {network.name!r} has {some('port', called)}",
                "delete them first, or all at once with --force",
            )
        if found and not cascade:
            raise InUse(
                f"network {network.name!r} has {some('subnet', [each.prefix for each in found])}",
                "delete them first, or all at once with --force",
            )
        if found:
            for subnet in found:
                await self.subnets.delete(subnet.id, missing_is_fine=True)
            return await self._emptied(network, cascade=cascade)
        return min(ports.revision, subnets.revision)

    def _vni_search(self) -> Search:
        return Search(self.store, self.vnis, name="vni", claims=keys.VNIS, key=keys.vni, number=int)

    async def _next_vni(self, search: Search, collided: int | None) -> int:
        try:
            if collided is not None:
                await search.collided(collided)
            return await search.propose()
        except SpaceExhausted as error:
            raise Full(
                f"no VNI is free, all {error.size} from {self.vnis.first} to {self.vnis.last} are in use",
                "delete networks, widen the range, or choose a --vni outside of it",
            ) from None

    async def _refuse_taken(self, name: str | None, vni: int | None, failed: Failed) -> None:
        if name is not None:
            await names.refuse_taken(self.store, Network, self.project, name, failed)
        if vni is not None and keys.vni(vni) in failed:
            holder = (await self.store.get([keys.vni(vni)])).items.get(keys.vni(vni))
            if holder is not None:
                raise Taken(
                    f"VNI {vni} is taken by network {holder.value.decode()}", "choose another or leave it out"
                )
