"""A network, its subnets and the routers on it, as they stood together at one revision; and, as of the same
record, what its ports may send as besides their own addresses."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from plait.intent import names
from plait.intent.errors import Stale
from plait.model.codec import decode
from plait.model.entities import AddressPair, Network, Subnet
from plait.model.routers import RouterInterface
from plait.store import keys
from plait.store.api import KeyAt, Revision, Store

_ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class NetworkView:
    """`unchanged` is the compare that holds as long as nothing of this changed.

    `pairs` are the address pairs of ports: (port id, pair).
    """

    network: Network
    subnets: tuple[Subnet, ...]
    interfaces: tuple[RouterInterface, ...]
    pairs: tuple[tuple[str, AddressPair], ...]
    unchanged: KeyAt
    revisions: Mapping[str, Revision]
    """Of the subnets' own records, by id."""


async def load(store: Store, project: str, ref: str) -> NetworkView:
    """By name or id, in four reads at most. Raises NotFound."""
    for _ in range(_ATTEMPTS):
        network, _revision = await names.resolve(store, Network, project, ref)
        found = (await store.snapshot(keys.network_prefix(network.id))).items
        # Read behind the network's record: if they have changed since, so has the record.
        pairs = (await store.snapshot(keys.address_pairs_prefix(network.id))).items
        info = found.get(keys.network(network.id))
        if info is None:
            continue
        prefix = keys.subnet_prefix(network.id)
        subnets = {key: decode(Subnet, item.value) for key, item in found.items() if key.startswith(prefix)}
        return NetworkView(
            network=decode(Network, info.value),
            subnets=tuple(sorted(subnets.values(), key=lambda each: (each.version, each.prefix))),
            interfaces=tuple(
                decode(RouterInterface, item.value)
                for key, item in found.items()
                if key.startswith(keys.routers_on_network_prefix(network.id))
            ),
            pairs=tuple(
                (key.rpartition("/")[2], pair)
                for key, item in pairs.items()
                for pair in msgspec.json.decode(item.value, type=tuple[AddressPair, ...])
            ),
            unchanged=KeyAt(keys.network(network.id), info.revision),
            revisions={subnet.id: found[key].revision for key, subnet in subnets.items()},
        )
    raise Stale(f"network {ref!r} comes and goes", "try again")
