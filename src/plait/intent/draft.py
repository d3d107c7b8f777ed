"""A port that is being made: what was asked for, and what has been chosen so far.

A draft outlives the attempts at committing it; only what collided is chosen again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from plait.intent import names
from plait.intent.allocation import Search, SpaceExhausted
from plait.intent.errors import Full, IntentError, NotFound
from plait.intent.network_view import NetworkView
from plait.intent.port_spec import PortSpec, check_counts
from plait.intent.transactions import Failed
from plait.model import addresses, checks
from plait.model.checks import Invalid
from plait.model.entities import FixedAddress, Network, Port, Subnet
from plait.store import keys

Searches = Mapping[Subnet, Search]
"""One for each subnet as it is now: with another gateway it is another space."""


@dataclass(slots=True)
class Draft:
    """One port on its way. `position` is its place in the request."""

    spec: PortSpec
    position: int
    id: str = ""
    mac_attempt: int = 0
    chosen: dict[int, tuple[Subnet, int]] = field(default_factory=dict)
    """Wish -> address, as a number of the subnet's space."""

    async def port(self, view: NetworkView, searches: Searches) -> Port:
        """The port as it would be now. Raises Full, NotFound (subnet), Invalid."""
        spec, network = self.spec, view.network
        check_counts(len(spec.addresses) + len(spec.subnets), len(spec.multicast))
        if not self.id.startswith(network.id):
            self.id = names.new_id(network.id)
        fixed = explicit_addresses(spec.addresses, view)
        for wish, candidates in enumerate(_wishes(spec, view)):
            subnet, number = await self._choice(wish, candidates, network, searches)
            fixed.append(FixedAddress(subnet.id, addresses.text(subnet, number)))
        return Port(
            id=self.id,
            name=self.id if spec.name is None else spec.name,
            network=network.id,
            mac=addresses.mac_of(self.id, self.mac_attempt) if spec.mac is None else checks.mac(spec.mac),
            project=network.project,
            addresses=tuple(fixed),
            host=spec.host,
            device=spec.device,
            security=spec.security,
            multicast=tuple(str(checks.multicast(group)) for group in spec.multicast),
        )

    async def learn(self, port: Port, failed: Failed, searches: Searches) -> None:
        """Choose again what somebody else was faster with; `port` is what `failed` was said of."""
        own_name = keys.name(Port.kind, port.project, port.id)
        if keys.port(port.network, port.id) in failed or own_name in failed:
            self.id = ""
        elif keys.mac(port.network, port.mac) in failed and self.spec.mac is None:
            self.mac_attempt += 1
        for wish, (subnet, number) in list(self.chosen.items()):
            if keys.address(subnet.id, addresses.text(subnet, number)) in failed:
                del self.chosen[wish]
                await searches[subnet].collided(number)

    async def _choice(
        self, wish: int, candidates: tuple[Subnet, ...], network: Network, searches: Searches
    ) -> tuple[Subnet, int]:
        kept = self.chosen.get(wish)
        if kept is not None and kept[0] in candidates:
            return kept
        for subnet in candidates:
            try:
                self.chosen[wish] = subnet, await searches[subnet].propose()
                return self.chosen[wish]
            except SpaceExhausted:
                continue
        raise _full(candidates, network)


def explicit_addresses(asked: tuple[str, ...], view: NetworkView) -> list[FixedAddress]:
    """The addresses that were asked for, with the subnets that they lie in. Raises IntentError, Invalid."""
    fixed: list[FixedAddress] = []
    for text in asked:
        address = checks.ip(text)
        subnet = next((each for each in view.subnets if address in checks.prefix(each.prefix)), None)
        if subnet is None:
            prefixes = ", ".join(each.prefix for each in view.subnets)
            raise IntentError(
                f"address {address} lies outside the subnets of network {view.network.name!r}"
                + (f" ({prefixes})" if prefixes else ", which has none"),
                "choose one inside, or create a subnet for it",
            )
        addresses.check_choice(subnet, address)
        if any(each.address == str(address) for each in fixed):
            raise Invalid(f"address {address} is given twice: once is enough")
        fixed.append(FixedAddress(subnet.id, str(address)))
    return fixed


def _wishes(spec: PortSpec, view: NetworkView) -> list[tuple[Subnet, ...]]:
    """For every address that is to be chosen: the subnets that may give it, best first."""
    if spec.subnets:
        return [(_subnet(ref, view),) for ref in spec.subnets]
    if spec.addresses:
        return []
    versions = (tuple(each for each in view.subnets if each.version == version) for version in (4, 6))
    return [candidates for candidates in versions if candidates]


def _subnet(ref: str, view: NetworkView) -> Subnet:
    for subnet in view.subnets:
        if ref in (subnet.id, subnet.name, subnet.prefix):
            return subnet
    known = ", ".join(each.name if each.name != each.id else each.prefix for each in view.subnets)
    raise NotFound(
        f"network {view.network.name!r} has no subnet {ref!r}",
        f"it has {known}"
        if known
        else f"'plait subnet create PREFIX --network {view.network.name}' makes one",
    )


def _full(candidates: tuple[Subnet, ...], network: Network) -> Full:
    spaces = [addresses.space(each) for each in candidates]
    which = ", ".join(
        f"subnet {each.prefix} is full: {space.size} of {space.size} addresses in use"
        for each, space in zip(candidates, spaces, strict=True)
    )
    return Full(which, f"delete ports, or 'plait subnet create PREFIX --network {network.name}'")
