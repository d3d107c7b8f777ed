"""Address pairs: what a port may send as, besides its own addresses.

They are part of what a network's record tells of: whoever changes them writes that record again. So no
address comes into being, of a port, a gateway or a router, that somebody else may send as.
"""

from collections.abc import Iterable, Sequence

from plait.intent import names
from plait.intent.errors import Taken
from plait.intent.network_view import NetworkView
from plait.model import checks
from plait.model.checks import Invalid, IPAddress, IPNetwork
from plait.model.entities import AddressPair, Port, Subnet
from plait.store import keys
from plait.store.api import ABSENT, Compare, KeyAt, PrefixUnchanged, Store

_MAX_COMPARES = 40
_FREE = "leave it out, or choose a prefix of addresses that nobody has"


def parse_pair(text: str) -> AddressPair:
    """`PREFIX` or `PREFIX,MAC`; an address counts as the prefix of it alone. Raises Invalid."""
    prefix, comma, mac = text.partition(",")
    return AddressPair(str(checks.prefix(prefix)), checks.mac(mac) if comma else None)


def canonical_pairs(pairs: Iterable[AddressPair], own_mac: str) -> tuple[AddressPair, ...]:
    """Each once, sorted; the port's own MAC needs no mention. Raises Invalid for what no station can have."""
    found = {AddressPair(each.prefix, None if each.mac == own_mac else each.mac) for each in pairs}
    for pair in found:
        prefix = checks.prefix(pair.prefix)
        if prefix.is_multicast or prefix.is_loopback:
            raise Invalid(f"address pair {pair.prefix} has addresses that no station can have: leave it out")
    return tuple(sorted(found, key=lambda each: (each.prefix, each.mac or "")))


async def refuse_covered(
    store: Store, view: NetworkView, address: IPAddress, what: str, *, but_for: str = ""
) -> None:
    """Raises Taken if a port, other than `but_for`, may send as `address`, which is `what`."""
    for port, pair in view.pairs:
        if port != but_for and address in checks.prefix(pair.prefix):
            holder = await names.describe_port(store, port.encode())
            raise Taken(
                f"{what} is one that {holder} may send as (address pair {pair.prefix})",
                "choose another, or take the address pair away",
            )


async def check_port(store: Store, view: NetworkView, port: Port) -> list[Compare]:
    """Raises Taken, Invalid if the port could send as another, or another as it; else what keeps it so.

    Reads nothing for a port without address pairs. The network's record has to be compared besides, and
    written if the pairs change.
    """
    for fixed in port.addresses:
        what = f"address {fixed.address}"
        await refuse_covered(store, view, checks.ip(fixed.address), what, but_for=port.id)
    for other, pair in view.pairs:
        if other != port.id and pair.mac == port.mac:
            holder = await names.describe_port(store, other.encode())
            raise Taken(f"MAC {port.mac} is one that {holder} may send as", "choose another or leave it out")
    compares: dict[str, Compare] = {}
    for pair in port.address_pairs:
        prefix = checks.prefix(pair.prefix)
        refuse_gateways(view, prefix)
        if pair.mac is not None:
            key = keys.mac(port.network, pair.mac)
            compares[key] = await _free(store, key, f"MAC {pair.mac} of an address pair")
        for subnet in view.subnets:
            theirs = checks.prefix(subnet.prefix)
            if theirs.version == prefix.version and theirs.overlaps(prefix):
                compares |= await _nobody_has(store, subnet, prefix, port)
    if len(compares) > _MAX_COMPARES:
        raise Invalid(
            f"port {port.name!r} would have address pairs in {len(compares)} places: leave some of them out"
        )
    return list(compares.values())


def check_among(ports: Sequence[Port]) -> None:
    """Raises Taken if of ports that are made together one could send as another."""
    for one in ports:
        for pair in one.address_pairs:
            prefix = checks.prefix(pair.prefix)
            for other in ports:
                if other is one or other.network != one.network:
                    continue
                if any(checks.ip(address) in prefix for address in other.ips) or pair.mac == other.mac:
                    raise Taken(
                        f"address pair {pair.prefix} of port {one.name!r} covers what {other.name!r} has",
                        _FREE,
                    )


def refuse_gateways(view: NetworkView, prefix: IPNetwork) -> None:
    """Raises Invalid if a prefix covers where endpoints send what is for others."""
    for subnet in view.subnets:
        if subnet.gateway is not None and checks.ip(subnet.gateway) in prefix:
            raise Invalid(
                f"address pair {prefix} covers {subnet.gateway}, the gateway of {subnet.prefix}: {_FREE}"
            )
    for interface in view.interfaces:
        if checks.ip(interface.address) in prefix:
            raise Invalid(
                f"address pair {prefix} covers {interface.address}, which a router has in "
                f"{interface.prefix}: {_FREE}"
            )


async def _nobody_has(store: Store, subnet: Subnet, prefix: IPNetwork, port: Port) -> dict[str, Compare]:
    """Raises Taken if another port has an address of `prefix`; else the compare that keeps it so, by key."""
    if prefix.num_addresses == 1:
        address = str(prefix.network_address)
        key = keys.address(subnet.id, address)
        own = address in port.ips
        return {} if own else {key: await _free(store, key, f"address {address} of an address pair")}
    space = keys.address_prefix(subnet.id)
    claims = await store.snapshot(space)
    for key, item in claims.items.items():
        if checks.ip(key.removeprefix(space)) in prefix and item.value.decode() != port.id:
            holder = await names.describe_port(store, item.value)
            raise Taken(f"address pair {prefix} covers {key.removeprefix(space)}, which {holder} has", _FREE)
    return {space: PrefixUnchanged(space, claims.revision)}


async def _free(store: Store, key: str, what: str) -> Compare:
    """Raises Taken if somebody claimed `key`; else the compare that keeps it so."""
    claim = (await store.get([key])).items.get(key)
    if claim is not None:
        raise Taken(f"{what} is taken by {await names.describe_port(store, claim.value)}", _FREE)
    return KeyAt(key, ABSENT)
