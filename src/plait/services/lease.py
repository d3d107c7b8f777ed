"""What a port is told by DHCP of one of its IPv4 addresses."""

import ipaddress
from collections.abc import Iterable
from ipaddress import IPv4Network

import msgspec

from plait.model.entities import Network, Port, Subnet
from plait.model.routers import RouterInterface
from plait.services.identity import FALLBACK_SERVER, service_mac
from plait.wire.dhcp import Option, classless_routes, encode_options
from plait.wire.domain_names import encode_compressed_names

MAX_PACKET_BYTES = 1500

_OF_THE_PROTOCOL = frozenset(
    {
        Option.REQUESTED_ADDRESS,
        Option.LEASE_TIME,
        Option.OVERLOAD,
        Option.MESSAGE_TYPE,
        Option.SERVER_ID,
        Option.PARAMETERS,
        Option.MAX_SIZE,
        Option.CLIENT_ID,
    }
)
"""Options that a subnet or a port can't choose: without them a client and a server don't understand each
other."""
_TIMES = frozenset({Option.LEASE_TIME, Option.RENEWAL_TIME, Option.REBINDING_TIME})


class Lease(msgspec.Struct, frozen=True, gc=False):
    """An address, who gives it, and what comes with it; packed.

    `options` are in the order of their weight: where room is short, the last ones go first. `offered` are
    all of them, encoded; `informed` those for a client that has its address from somewhere else.
    """

    address: bytes
    server: bytes
    options: dict[int, bytes]
    offered: bytes
    informed: bytes


class Leases(msgspec.Struct, frozen=True):
    """All leases of a port, the first of which a client gets that asks for none in particular.

    No answer is a packet of more than `largest_bytes`, whatever its client takes.
    """

    mac: bytes
    server_mac: bytes
    largest_bytes: int
    leases: tuple[Lease, ...]


def leases_of(
    port: Port,
    network: Network,
    subnets: Iterable[Subnet],
    interfaces: Iterable[RouterInterface],
    mtu_bytes: int | None,
) -> Leases | None:
    """What a port may be given, from its network's subnets and routers; None when DHCP has nothing for it."""
    of_id = {subnet.id: subnet for subnet in subnets if subnet.dhcp and subnet.version == 4}
    interfaces = tuple(interfaces)
    leases = tuple(
        _lease(fixed.address, port, subnet, default_router(subnet, interfaces), mtu_bytes)
        for fixed in port.addresses
        if (subnet := of_id.get(fixed.subnet)) is not None
    )
    if not leases:
        return None
    mac = bytes.fromhex(port.mac.replace(":", ""))
    return Leases(mac, service_mac(network.id), min(mtu_bytes or MAX_PACKET_BYTES, MAX_PACKET_BYTES), leases)


def default_router(subnet: Subnet, interfaces: Iterable[RouterInterface]) -> str | None:
    """Whom endpoints of a subnet send to what is for elsewhere: the router at its gateway, else the first
    one, else the gateway, behind which nobody is yet."""
    addresses = [interface.address for interface in interfaces if interface.subnet == subnet.id]
    if not addresses or subnet.gateway in addresses:
        return subnet.gateway
    return min(addresses)


def _lease(address: str, port: Port, subnet: Subnet, router: str | None, mtu_bytes: int | None) -> Lease:
    server = FALLBACK_SERVER if router is None else _packed(router)
    options = _chosen(port, subnet, router, mtu_bytes)
    encoded = encode_options(options)
    informed = encode_options({code: value for code, value in options.items() if code not in _TIMES})
    identified = encode_options({Option.SERVER_ID: server})
    return Lease(_packed(address), server, options, identified + encoded, identified + informed)


def _chosen(port: Port, subnet: Subnet, router: str | None, mtu_bytes: int | None) -> dict[int, bytes]:
    """The options, by weight; those that a port or a subnet says freely replace ours."""
    prefix = IPv4Network(subnet.prefix)
    lease_s = subnet.lease_s
    options: dict[int, bytes] = {
        Option.LEASE_TIME: lease_s.to_bytes(4, "big"),
        # RFC 2131, section 4.4.5: half of the time, and seven eighths.
        Option.RENEWAL_TIME: (lease_s // 2).to_bytes(4, "big"),
        Option.REBINDING_TIME: (lease_s * 7 // 8).to_bytes(4, "big"),
        Option.SUBNET_MASK: prefix.netmask.packed,
    }
    if router is not None:
        options[Option.ROUTER] = _packed(router)
    if dns := _all_packed(subnet.dns):
        options[Option.DNS_SERVERS] = dns
    if mtu_bytes is not None:
        options[Option.MTU] = mtu_bytes.to_bytes(2, "big")
    if subnet.routes:
        options[Option.CLASSLESS_ROUTES] = _routes(subnet, router)
    if subnet.domain is not None:
        options[Option.DOMAIN_NAME] = subnet.domain.encode()
    options[Option.HOST_NAME] = (port.hostname or port.name).encode()
    if prefix.prefixlen < 31:
        options[Option.BROADCAST_ADDRESS] = prefix.broadcast_address.packed
    if ntp := _all_packed(subnet.ntp):
        options[Option.NTP_SERVERS] = ntp
    if subnet.search:
        options[Option.DOMAIN_SEARCH] = encode_compressed_names(subnet.search)
    for free in (*subnet.dhcp_options, *port.dhcp_options):
        if free.version == 4 and free.code not in _OF_THE_PROTOCOL:
            options[free.code] = bytes.fromhex(free.data)
    return options


def _routes(subnet: Subnet, router: str | None) -> bytes:
    routes = [(IPv4Network(route.destination), _packed(route.next_hop)) for route in subnet.routes]
    default = IPv4Network("0.0.0.0/0")
    if router is not None and all(destination != default for destination, _ in routes):
        routes.append((default, _packed(router)))
    return classless_routes(routes)


def _all_packed(addresses: Iterable[str]) -> bytes:
    """The IPv4 ones, one after the other."""
    return b"".join(_packed(address) for address in addresses if ":" not in address)


def _packed(address: str) -> bytes:
    return ipaddress.IPv4Address(address).packed
