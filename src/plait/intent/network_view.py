"""A network and its subnets, as they stood together at one revision."""

from collections.abc import Mapping
from dataclasses import dataclass

from plait.intent import names
from plait.intent.errors import Stale
from plait.model.codec import decode
from plait.model.entities import Network, Subnet
from plait.store import keys
from plait.store.api import KeyAt, Revision, Store

_ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class NetworkView:
    """`unchanged` is the compare that holds as long as neither the network nor any of its subnets changed."""

    network: Network
    subnets: tuple[Subnet, ...]
    unchanged: KeyAt
    revisions: Mapping[str, Revision]
    """Of the subnets' own records, by id."""


async def load(store: Store, project: str, ref: str) -> NetworkView:
    """By name or id, in three reads at most. Raises NotFound."""
    for _ in range(_ATTEMPTS):
        network, _revision = await names.resolve(store, Network, project, ref)
        found = (await store.snapshot(keys.network_prefix(network.id))).items
        info = found.get(keys.network(network.id))
        if info is None:
            continue
        prefix = keys.subnet_prefix(network.id)
        subnets = {key: decode(Subnet, item.value) for key, item in found.items() if key.startswith(prefix)}
        return NetworkView(
            network=decode(Network, info.value),
            subnets=tuple(sorted(subnets.values(), key=lambda each: (each.version, each.prefix))),
            unchanged=KeyAt(keys.network(network.id), info.revision),
            revisions={subnet.id: found[key].revision for key, subnet in subnets.items()},
        )
    raise Stale(f"network {ref!r} comes and goes", "try again")
