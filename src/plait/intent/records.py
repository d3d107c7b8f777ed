"""Everything that stands in the store because of one thing: its record, its projection and its claims.

Creating writes these records, changing writes the difference, deleting removes them, and the audit compares
them with what is there. So no claim can be forgotten in one place and remembered in another.
"""

from plait.model.codec import encode
from plait.model.entities import Host, Network, Port, Subnet
from plait.store import keys

Records = dict[str, bytes]
"""Key -> value."""


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
    """The port, its name, MAC and addresses; on a host also its projection there, and its device."""
    owner = port.id.encode()
    value = encode(port)
    records = {
        keys.port(port.network, port.id): value,
        keys.name("port", port.project, port.name): owner,
        keys.mac(port.network, port.mac): owner,
    }
    for fixed in port.addresses:
        records[keys.address(fixed.subnet, fixed.address)] = owner
    if port.host is not None:
        records[keys.bound(port.host, port.id)] = value
        if port.device is not None:
            records[keys.device(port.host, port.device)] = owner
    return records


def of_host(host: Host) -> Records:
    """The host."""
    return {keys.inventory(host.name): encode(host)}
