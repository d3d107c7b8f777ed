"""A port that is being made: what was asked for, and what has been chosen so far.

A draft outlives the attempts at committing it; only what collided is chosen again.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from plait.intent import names
from plait.intent.address_pairs import canonical_pairs
from plait.intent.allocation import Search, SpaceExhausted
from plait.intent.dhcp_options import check_options
from plait.intent.errors import Full, IntentError, NotFound
from plait.intent.network_view import NetworkView
from plait.intent.port_spec import PortSpec, check_counts, check_policy
from plait.intent.transactions import Failed
from plait.model import addresses, checks
from plait.model.checks import Invalid
from plait.model.entities import FixedAddress, Ipv6Mode, Network, Port, Subnet
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

    async def port(
        self, view: NetworkView, searches: Searches, groups: Mapping[str, str], kept_free: Iterable[str]
    ) -> Port:
        """The port as it would be now. Raises Full, NotFound (subnet), Invalid.

        `groups`: ids by what they were asked for as. `kept_free`: prefixes no address of which is chosen.
        """
        spec, network = self.spec, view.network
        check_counts(len(spec.addresses) + len(spec.subnets), len(spec.multicast))
        if not self.id.startswith(network.id):
            self.id = names.new_id(network.id)
        mac = addresses.mac_of(self.id, self.mac_attempt) if spec.mac is None else checks.mac(spec.mac)
        port = Port(
            id=self.id,
            name=self.id if spec.name is None else spec.name,
            network=network.id,
            mac=mac,
            project=network.project,
            addresses=tuple(await self.addresses(view, searches, mac, kept_free)),
            host=spec.host,
            device=spec.device,
            security=spec.security,
            multicast=tuple(str(checks.multicast(group)) for group in spec.multicast),
            groups=tuple(sorted({groups[group] for group in spec.groups})),
            address_pairs=canonical_pairs(spec.address_pairs, mac),
            hostname=None if spec.hostname is None else checks.domain(spec.hostname),
            dhcp_options=check_options(spec.dhcp_options),
        )
        check_policy(port)
        return port

    async def addresses(
        self, view: NetworkView, searches: Searches, mac: str, kept_free: Iterable[str]
    ) -> list[FixedAddress]:
        """Those that were asked for, and those that are chosen. Raises as `port`."""
        fixed = explicit_addresses(self.spec.addresses, view, mac)
        free = tuple(_Range.of(prefix) for prefix in kept_free)
        for wish, candidates in enumerate(_wishes(self.spec, view)):
            own = next((each for each in candidates[:1] if each.is_autonomous), None)
            if own is not None:
                fixed.append(FixedAddress(own.id, addresses.autonomous(own, mac)))
                continue
            subnet, number = await self._choice(wish, candidates, view.network, searches, free)
            fixed.append(FixedAddress(subnet.id, addresses.text(subnet, number)))
        if len(set(fixed)) != len(fixed):
            raise Invalid(f"an ipv6 mode like {Ipv6Mode.SLAAC} gives a port one address: ask for it once")
        return fixed

    async def learn(self, port: Port, failed: Failed, searches: Searches) -> None:
        """Choose again what somebody else was faster with; `port` is what `failed` was said of."""
        own_name = keys.name(Port.kind, port.project, port.id)
        if keys.port(port.network, port.id) in failed or own_name in failed:
            self.id = ""
        elif self.spec.mac is None and not failed.isdisjoint(self.of_mac(port)):
            self.mac_attempt += 1
        await self.choose_again(failed, searches)

    async def choose_again(self, taken: Container[str], searches: Searches) -> None:
        """Let go of chosen addresses whose claims are among `taken`."""
        for wish, (subnet, number) in list(self.chosen.items()):
            if keys.address(subnet.id, addresses.text(subnet, number)) in taken:
                del self.chosen[wish]
                await searches[subnet].collided(number)

    def of_mac(self, port: Port) -> set[str]:
        """The claims that follow from the port's MAC: itself, and the addresses that it makes."""
        others = {addresses.text(subnet, number) for subnet, number in self.chosen.values()}
        others.update(str(checks.ip(each)) for each in self.spec.addresses)
        own = {
            keys.address(fixed.subnet, fixed.address)
            for fixed in port.addresses
            if fixed.address not in others
        }
        return {keys.mac(port.network, port.mac), *own}

    async def _choice(
        self,
        wish: int,
        candidates: tuple[Subnet, ...],
        network: Network,
        searches: Searches,
        kept_free: Sequence["_Range"],
    ) -> tuple[Subnet, int]:
        kept = self.chosen.get(wish)
        if kept is not None and kept[0] in candidates and _inside(kept[0], kept[1], kept_free) is None:
            return kept
        for subnet in candidates:
            if subnet.is_autonomous:
                continue
            try:
                self.chosen[wish] = subnet, await _propose(subnet, searches[subnet], kept_free)
                return self.chosen[wish]
            except SpaceExhausted:
                continue
        raise _full(candidates, network)


class _Range(NamedTuple):
    """The addresses of a prefix as numbers."""

    version: int
    first: int
    last: int

    @classmethod
    def of(cls, prefix: str) -> "_Range":
        parsed = checks.prefix(prefix)
        return cls(parsed.version, int(parsed.network_address), int(parsed.broadcast_address))


def _inside(subnet: Subnet, number: int, ranges: Sequence[_Range]) -> _Range | None:
    """The first of `ranges` that an address of `subnet` lies in."""
    for each in ranges:
        if each.version == subnet.version and each.first <= number <= each.last:
            return each
    return None


async def _propose(subnet: Subnet, search: Search, kept_free: Sequence[_Range]) -> int:
    """A number that lies in none of the ranges. Raises SpaceExhausted."""
    for _ in range(2 * len(kept_free) + 1):
        number = await search.propose()
        reserved = _inside(subnet, number, kept_free)
        if reserved is None:
            return number
        search.step_over(reserved.last)
    raise SpaceExhausted(addresses.space(subnet).size)


def explicit_addresses(asked: tuple[str, ...], view: NetworkView, mac: str) -> list[FixedAddress]:
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
        if subnet.is_autonomous:
            addresses.check_autonomous(subnet, str(address), mac)
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
