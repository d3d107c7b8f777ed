"""Networks: one record, one name, one VNI each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET, UnsetType

from plait.intent import names, records
from plait.intent.catalogue import Catalogue
from plait.intent.errors import InUse, some
from plait.intent.ports import Ports
from plait.intent.subnets import FIRST_ADDRESS, Subnets, check_overlap, make_subnet
from plait.intent.transactions import Failed, Plan, born, carry_out, gone
from plait.intent.vnis import VniChoice
from plait.model.checks import Invalid
from plait.model.codec import decode
from plait.model.entities import Network, Port, Subnet, Transport
from plait.model.numbers import Space
from plait.model.routers import Router, RouterInterface
from plait.store import keys
from plait.store.api import Compare, KeyAt, PrefixUnchanged, Revision, Store

MAX_SUBNETS_AT_CREATION = 32
"""So that a network and its subnets fit into one commit (`MAX_COMMIT_OPS`)."""


_CATALOGUE = Catalogue(Network, keys.NETWORKS, keys.network, records.of_network)


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
        choice = VniChoice(self.store, self.vnis, vni)

        async def make(failed: Failed) -> Plan[Network]:
            if name is not None:
                await names.refuse_taken(self.store, Network, self.project, name, failed)
            number = await choice.number(failed)
            id = names.new_id()
            network = Network(
                id=id,
                name=id if name is None else name,
                vni=number,
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
            return Plan(network, tuple(compares), (*writes, *choice.cursor()))

        return await carry_out(self.store, make, f"network {name or ''}".strip())

    async def get(self, ref: str) -> Network:
        """By name or id. Raises NotFound."""
        return (await names.resolve(self.store, Network, self.project, ref))[0]

    async def list(self) -> list[Network]:
        """All of the project, by name."""
        return await _CATALOGUE.list(self.store, self.project)

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
        return await _CATALOGUE.change(self.store, self.project, ref, wanted)

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
        routers = await self.store.snapshot(keys.routers_on_network_prefix(network.id))
        if routers.items:
            joined = [decode(RouterInterface, item.value).router for item in routers.items.values()]
            found = await names.read_all(self.store, [keys.router(id) for id in dict.fromkeys(joined)])
            called = [decode(Router, item.value).name for item in found.values()]
            raise InUse(
                f"network {network.name!r} is joined to {some('router', called)}",
                "'plait router interface remove ROUTER SUBNET' comes first",
            )
        ports = await self.store.snapshot(keys.port_prefix(network.id))
        if ports.items and cascade:
            await self.ports.delete_all([decode(Port, item.value) for item in ports.items.values()])
            return await self._emptied(network, cascade=cascade)
        subnets = await self.store.snapshot(keys.subnet_prefix(network.id))
        prefixes = [decode(Subnet, item.value) for item in subnets.items.values()]
        if ports.items:
            holders = [decode(Port, item.value).name for item in ports.items.values()]
            raise InUse(
                f"network {network.name!r} has {some('port', holders)}",
                "delete them first, or all at once with --force",
            )
        if prefixes and not cascade:
            raise InUse(
                f"network {network.name!r} has {some('subnet', [each.prefix for each in prefixes])}",
                "delete them first, or all at once with --force",
            )
        if prefixes:
            for subnet in prefixes:
                await self.subnets.delete(subnet.id, missing_is_fine=True)
            return await self._emptied(network, cascade=cascade)
        return min(ports.revision, subnets.revision)
