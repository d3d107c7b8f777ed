"""Subnets: prefixes of a network that its ports' addresses come from.

Every change of a network's subnets writes the network's record again, as it is. So whoever works from a
network's subnets compares one revision, and two creators of overlapping subnets cannot both succeed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Unpack

import msgspec
from msgspec import UNSET, UnsetType

from plait.intent import names, records
from plait.intent.address_pairs import refuse_covered
from plait.intent.errors import InUse, NotFound, Taken, counted
from plait.intent.network_view import NetworkView, load
from plait.intent.told import Told, fields
from plait.intent.told import check as check_told
from plait.intent.transactions import Failed, Plan, born, carry_out, changed, gone
from plait.model import addresses, checks
from plait.model.checks import Invalid
from plait.model.codec import decode, encode
from plait.model.entities import Network, Port, Subnet
from plait.store import keys
from plait.store.api import ABSENT, Compare, KeyAt, PrefixUnchanged, Put, Store

FIRST_ADDRESS = "first"
"""As a gateway: the first address of the prefix, where it is large enough to spare one."""


@dataclass(frozen=True, slots=True)
class Subnets:
    """The subnets of one project."""

    store: Store
    project: str

    async def create(
        self,
        network: str,
        prefix: str,
        *,
        name: str | None = None,
        gateway: str | None = FIRST_ADDRESS,
        **told: Unpack[Told],
    ) -> Subnet:
        """A new subnet of `network` (name or id); `gateway` None reserves none. `told`: see `told.py`.

        Raises NotFound (network), Taken (overlap, name), Invalid.
        """

        async def make(failed: Failed) -> Plan[Subnet]:
            if name is not None:
                await names.refuse_taken(self.store, Subnet, self.project, name, failed)
            view = await load(self.store, self.project, network)
            subnet = make_subnet(view.network, prefix, name=name, gateway=gateway, **told)
            check_overlap(subnet, view.network, view.subnets)
            if subnet.gateway is not None:
                await refuse_covered(
                    self.store, view, checks.ip(subnet.gateway), f"the gateway {subnet.gateway}"
                )
            compares, writes = born(records.of_subnet(subnet))
            return Plan(subnet, (view.unchanged, *compares), (*writes, touched(view.network)))

        return await carry_out(self.store, make, f"subnet {prefix}")

    async def get(self, ref: str) -> Subnet:
        """By name or id. Raises NotFound."""
        return (await names.resolve(self.store, Subnet, self.project, ref))[0]

    async def list(self, network: str | None = None) -> list[Subnet]:
        """All of the project or of one network, by network and prefix."""
        if network is not None:
            return list((await load(self.store, self.project, network)).subnets)
        found = (await self.store.snapshot(keys.NETWORKS)).items
        subnets = [decode(Subnet, item.value) for key, item in found.items() if keys.is_subnet(key)]
        return sorted(
            (each for each in subnets if each.project == self.project),
            key=lambda each: (each.network, each.prefix),
        )

    async def set(
        self,
        ref: str,
        *,
        name: str | UnsetType = UNSET,
        gateway: str | UnsetType | None = UNSET,
        **told: Unpack[Told],
    ) -> Subnet:
        """Change what is given.

        Raises NotFound, Taken (name; a port has the gateway), InUse (a router has the gateway, or a port an
        address that the ipv6 mode would not give it), Invalid.
        """
        changes = fields(told)

        async def make(failed: Failed) -> Plan[Subnet]:
            before, view = await self._with_network(ref)
            after = before
            if name is not UNSET:
                after = msgspec.structs.replace(after, name=name)
            if gateway is not UNSET:
                chosen = _gateway(gateway, before.prefix)
                after = msgspec.structs.replace(after, gateway=chosen)
            after = msgspec.structs.replace(after, **changes)
            check_told(after)
            if after.name != before.name:
                await names.refuse_taken(self.store, Subnet, self.project, after.name, failed)
            key, revision = keys.subnet(before.network, before.id), view.revisions[before.id]
            compares, writes = changed(
                records.of_subnet(before), records.of_subnet(after), key=key, revision=revision
            )
            if after.gateway != before.gateway:
                compares.extend(await self._check_gateway(before, after, view))
            if after.is_autonomous and not before.is_autonomous:
                compares.append(await self._check_autonomous(after))
            return Plan(after, (view.unchanged, *compares), (*writes, touched(view.network)))

        return await carry_out(self.store, make, f"subnet {ref!r}")

    async def delete(self, ref: str, *, missing_is_fine: bool = False) -> Subnet | None:
        """Remove a subnet that no port has an address of.

        Raises InUse, and NotFound unless `missing_is_fine`.
        """

        async def make(failed: Failed) -> Plan[Subnet | None]:
            try:
                subnet, view = await self._with_network(ref)
            except NotFound:
                if missing_is_fine:
                    return Plan(None, (), ())
                raise
            interface = next((each for each in view.interfaces if each.subnet == subnet.id), None)
            if interface is not None:
                router = await self._router_at(subnet, interface.address, view)
                raise InUse(
                    f"subnet {subnet.prefix} is joined to {router}",
                    f"'plait router interface remove ROUTER {subnet.prefix}' comes first",
                )
            claims = await self.store.snapshot(keys.address_prefix(subnet.id))
            if claims.items:
                address, holder = next(
                    (key.rpartition("/")[2], item.value) for key, item in claims.items.items()
                )
                port = await names.describe_port(self.store, holder)
                count = counted(len(claims.items), "address")
                raise InUse(
                    f"subnet {subnet.prefix} has {count} in use ({address} by {port})",
                    "delete these ports first",
                )
            compares = (
                view.unchanged,
                KeyAt(keys.subnet(subnet.network, subnet.id), view.revisions[subnet.id]),
                PrefixUnchanged(keys.address_prefix(subnet.id), claims.revision),
            )
            removed = gone((*records.of_subnet(subnet), keys.cursor(subnet.id)))
            return Plan(subnet, compares, (*removed, touched(view.network)))

        return await carry_out(self.store, make, f"subnet {ref!r}")

    async def _with_network(self, ref: str) -> tuple[Subnet, NetworkView]:
        """A subnet and its network as they stood together."""
        found, _ = await names.resolve(self.store, Subnet, self.project, ref)
        view = await load(self.store, self.project, found.network)
        subnet = next((each for each in view.subnets if each.id == found.id), None)
        if subnet is None:
            raise names.not_found(Subnet.kind, self.project, ref)
        return subnet, view

    async def _check_gateway(self, before: Subnet, after: Subnet, view: NetworkView) -> Sequence[Compare]:
        """Raises InUse, Taken if a router or a port stands against another gateway; else what keeps it so."""
        interfaces = [each for each in view.interfaces if each.subnet == before.id]
        if any(each.address == before.gateway for each in interfaces):
            router = await self._router_at(before, before.gateway or "", view)
            raise InUse(
                f"{router} has the gateway {before.gateway} of subnet {before.prefix}",
                f"'plait router interface remove ROUTER {before.prefix}' comes first",
            )
        if after.gateway is None or any(each.address == after.gateway for each in interfaces):
            return []
        await refuse_covered(self.store, view, checks.ip(after.gateway), f"the gateway {after.gateway}")
        key = keys.address(after.id, after.gateway)
        holder = (await self.store.get([key])).items.get(key)
        if holder is not None:
            port = await names.describe_port(self.store, holder.value)
            raise Taken(
                f"address {after.gateway} is taken by {port}", "choose another gateway, or delete the port"
            )
        return [KeyAt(key, ABSENT)]

    async def _check_autonomous(self, subnet: Subnet) -> Compare:
        """Raises InUse if a port has another address than its MAC would give it; else what keeps it so."""
        space = keys.address_prefix(subnet.id)
        claims = await self.store.snapshot(space)
        found = (await self.store.snapshot(keys.port_prefix(subnet.network))).items
        for item in found.values():
            port = decode(Port, item.value)
            for fixed in port.addresses:
                if fixed.subnet == subnet.id and fixed.address != addresses.autonomous(subnet, port.mac):
                    raise InUse(
                        f"port {port.name!r} has the address {fixed.address}, which ipv6 mode "
                        f"{subnet.ipv6_mode} would not give it",
                        "take that address away first, or make another subnet",
                    )
        return PrefixUnchanged(space, claims.revision)

    async def _router_at(self, subnet: Subnet, address: str, view: NetworkView) -> str:
        holder = next(each for each in view.interfaces if (each.subnet, each.address) == (subnet.id, address))
        return await names.describe_port(self.store, holder.router.encode())


def make_subnet(
    network: Network, prefix: str, *, name: str | None, gateway: str | None, **told: Unpack[Told]
) -> Subnet:
    """A subnet of `network` with a new id, in canonical form. Raises Invalid."""
    id = names.new_id(network.id)
    parsed = checks.prefix(prefix)
    if parsed.network_address.is_unspecified:
        raise Invalid(f"prefix {parsed} has addresses that no station can have: choose one like 10.0.0.0/24")
    canonical = str(parsed)
    subnet = Subnet(
        id=id,
        name=id if name is None else name,
        network=network.id,
        prefix=canonical,
        gateway=_gateway(gateway, canonical),
        project=network.project,
        **fields(told),
    )
    check_told(subnet)
    return subnet


def _gateway(wish: str | None, prefix: str) -> str | None:
    """The canonical gateway. Raises Invalid for the ends of the prefix, which are nobody's."""
    if wish is None:
        return None
    parsed = checks.prefix(prefix)
    if wish == FIRST_ADDRESS:
        return addresses.default_gateway(parsed)
    gateway = checks.ip(wish, "gateway")
    if parsed.num_addresses > 2 and gateway == parsed.network_address:
        raise Invalid(
            f"gateway {gateway} is the network's own address of {prefix}: choose another, or leave it out"
        )
    if parsed.version == 4 and parsed.num_addresses > 2 and gateway == parsed.broadcast_address:
        raise Invalid(
            f"gateway {gateway} is the broadcast address of {prefix}: choose another, or leave it out"
        )
    return str(gateway)


def check_overlap(subnet: Subnet, network: Network, others: tuple[Subnet, ...]) -> None:
    """Raises Taken if another subnet of the same network shares an address (of another, that is normal)."""
    other = addresses.overlapping(checks.prefix(subnet.prefix), others)
    if other is not None:
        called = "" if other.name == other.id else f" {other.name!r}"
        raise Taken(
            f"subnet {subnet.prefix} overlaps subnet{called} {other.prefix} of network {network.name!r}",
            "choose another prefix, or another network",
        )


def touched(network: Network) -> Put:
    """The network's record again, so that its revision tells of its subnets too."""
    return Put(keys.network(network.id), encode(network))
