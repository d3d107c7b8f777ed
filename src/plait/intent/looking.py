"""Finding what a question about two ends is concerned by, and nothing else, however large their networks are.

Read are two ports, whoever has their addresses or those of next hops between them, the groups of all of
these, and the routers around them.
"""

from collections.abc import Iterable
from ipaddress import ip_address

import msgspec

from plait.intent import names
from plait.intent.errors import NotFound
from plait.intent.readiness import not_ready, read_statuses
from plait.intent.reading import Reading, decoded
from plait.intent.weighing import Weighing
from plait.model.checks import Invalid
from plait.model.entities import Port
from plait.model.topology import span
from plait.store import keys
from plait.store.api import Store


async def resolve_target(store: Store, project: str, target: str) -> tuple[Port | None, str]:
    """A port by name or id, or else an address (canonical)."""
    try:
        address = str(ip_address(target))
    except ValueError:
        address = ""
    try:
        return (await names.resolve(store, Port, project, target))[0], ""
    except (NotFound, Invalid):
        if address:
            return None, address
        raise


def same_family(port: Port, address: str) -> str | None:
    """The first of the port's addresses that is of the same IP version."""
    return next((each for each in port.ips if (":" in each) == (":" in address)), None)


class Looking:
    """Reads one thing after the other, as far as the question leads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.reading = Reading(store)
        self._ports: dict[str, Port] = {}

    async def at(self, ports: Iterable[Port]) -> None:
        """Ports that are asked about, their groups, and routers around them."""
        new = [port for port in ports if port.id not in self._ports]
        self._ports |= {port.id: port for port in new}
        for port in new:
            await self.reading.endpoint(port)
        await self.reading.surroundings(new)
        await self.reading.groups({group for port in new for group in port.groups})

    async def between(self, sender: Port, source: str, target: str) -> list[Port]:
        """Whoever has these addresses, or those of next hops on the way; returned is where it ends."""
        await self._holders(self.reading.stored().networks, (source, target))
        _, way = Weighing(self.reading.stored(), {}).places(sender, source, target)
        for network, address in way.hops:
            await self._holders([network], (address,))
        return Weighing(self.reading.stored(), {}).holders(way.hops)

    async def unready(self) -> dict[str, str]:
        """Why those ports can't be reached that can't."""
        await self.reading.hosts()
        hosts = self.reading.stored().hosts
        statuses = await read_statuses(self._store, self._ports.values())
        reasons = {port.id: not_ready(port, hosts, statuses.get(port.id)) for port in self._ports.values()}
        return {id: reason for id, reason in reasons.items() if reason}

    async def _holders(self, networks: Iterable[str], addresses: Iterable[str]) -> None:
        """The ports that have addresses in networks: by the claims of addresses, and by address pairs."""
        stored, wanted = self.reading.stored(), set(networks)
        owners = [
            keys.address(subnet.id, address)
            for subnet in stored.subnets.values()
            if subnet.network in wanted
            for address in addresses
            if span(subnet.prefix).covers(span(address))
        ]
        found = await names.read_all(self._store, owners)
        ids = {item.value.decode() for item in found.values()}
        for network in wanted:
            ids |= await self._with_pairs(network, addresses)
        records = [key for id in ids if (key := names.record_key(Port, id)) is not None]
        await self.at(decoded(Port, await names.read_all(self._store, records)))

    async def _with_pairs(self, network: str, addresses: Iterable[str]) -> set[str]:
        """The ids of ports that may have one of these besides their own."""
        prefix = keys.address_pairs_prefix(network)
        found = (await self._store.snapshot(prefix)).items
        return {
            key.removeprefix(prefix)
            for key, item in found.items()
            for pair in msgspec.json.decode(item.value)
            if any(span(pair["prefix"]).covers(span(address)) for address in addresses)
        }
