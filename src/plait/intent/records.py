"""Everything that stands in the store because of one thing: its record, its projection and its claims.

Creating writes these records, changing writes the difference, deleting removes them, and the audit compares
them with what is there. So no claim can be forgotten in one place and remembered in another.
"""

import msgspec

from plait.model.codec import encode
from plait.model.entities import Host, Network, Port, Subnet
from plait.model.policy import AddressEntry, AddressGroup, Group, Rule
from plait.model.routers import Peering, Router, RouterInterface
from plait.store import keys

Records = dict[str, bytes]
"""Key -> value."""

ADDRESS_GROUP = "address-group"
"""As names claim it."""


def of_network(network: Network) -> Records:
    """The network, its name and its VNI."""
    owner = network.id.encode()
    return {
        keys.network(network.id): encode(network),
        keys.name("network", network.project, network.name): owner,
        keys.vni(network.vni): owner,
    }


def of_subnet(subnet: Subnet) -> Records:
    """The subnet and its name."""
    return {
        keys.subnet(subnet.network, subnet.id): encode(subnet),
        keys.name("subnet", subnet.project, subnet.name): subnet.id.encode(),
    }


def of_port(port: Port) -> Records:
    """The port, its name, MAC and addresses; its place in its groups; on a host also its projection there,
    and its device."""
    owner = port.id.encode()
    value = encode(port)
    records = {
        keys.port(port.network, port.id): value,
        keys.name("port", port.project, port.name): owner,
        keys.mac(port.network, port.mac): owner,
    }
    for fixed in port.addresses:
        records[keys.address(fixed.subnet, fixed.address)] = owner
    for group in port.groups:
        records[keys.member(group, port.id)] = port.name.encode()
    if port.address_pairs:
        records[keys.address_pairs(port.network, port.id)] = msgspec.json.encode(port.address_pairs)
    if port.host is not None:
        records[keys.bound(port.host, port.id)] = value
        if port.device is not None:
            records[keys.device(port.host, port.device)] = owner
    return records


def of_host(host: Host) -> Records:
    """The host."""
    return {keys.inventory(host.name): encode(host)}


def of_router(router: Router) -> Records:
    """The router with its routes, its name and its VNI."""
    owner = router.id.encode()
    return {
        keys.router(router.id): encode(router),
        keys.name("router", router.project, router.name): owner,
        keys.vni(router.vni): owner,
    }


def of_interface(interface: RouterInterface) -> Records:
    """The interface below its router and below its network, its MAC and its address."""
    owner = interface.router.encode()
    value = encode(interface)
    return {
        keys.router_interface(interface.router, interface.subnet): value,
        keys.router_on_network(interface.network, interface.router, interface.subnet): value,
        keys.mac(interface.network, interface.mac): owner,
        keys.address(interface.subnet, interface.address): owner,
    }


def of_peering(peering: Peering) -> Records:
    """One side's word, and that the other side was asked."""
    return {
        keys.peering(peering.router, peering.peer): encode(peering),
        keys.asked(peering.peer, peering.router): peering.router.encode(),
    }


def of_group(group: Group) -> Records:
    """The group and its name; a personal one is known by its port and claims none."""
    records = {keys.group(group.id): encode(group)}
    if not group.is_personal:
        records[keys.name("group", group.project, group.name)] = group.id.encode()
    return records


def of_rule(rule: Rule) -> Records:
    """The rule, its name within its group, and that it refers to another group or address group."""
    records = {
        keys.rule(rule.group, rule.id): encode(rule),
        keys.name("rule", rule.group, rule.name): rule.id.encode(),
    }
    if rule.remote_set is not None:
        records[keys.reference(rule.remote_set, rule.group, rule.id)] = rule.name.encode()
    return records


def of_address_group(group: AddressGroup) -> Records:
    """The address group, without its entries, and its name."""
    return {
        keys.address_group(group.id): encode(group),
        keys.name(ADDRESS_GROUP, group.project, group.name): group.id.encode(),
    }


def of_address_entry(entry: AddressEntry) -> Records:
    """The entry."""
    return {keys.address_entry(entry.group, entry.prefix): encode(entry)}
