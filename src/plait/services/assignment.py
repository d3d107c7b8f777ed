"""What a port is told by DHCPv6: its addresses in stateful subnets, and options."""

import ipaddress
from collections.abc import Callable, Iterable
from ipaddress import IPv6Network

import msgspec

from plait.model.entities import Ipv6Mode, Network, Port, Subnet
from plait.services.identity import link_local, server_duid, service_mac
from plait.wire.dhcpv6 import Option, ntp_servers
from plait.wire.domain_names import encode_names

MAX_SERVERS = 8
MAX_NAMES_BYTES = 256
"""Of what is told beside addresses, so that it fits into a packet that every link carries (1,280 bytes)."""

_FIRST_FREE = 15
_OF_THE_PROTOCOL = frozenset({16, 17, 18, 19, 20, 25, 26, 32, 82, 83})
"""Options that a subnet or a port can't choose, besides the first ones."""


class Assigned(msgspec.Struct, frozen=True, gc=False):
    """An address and for how long it counts without asking again."""

    address: bytes
    lease_s: int


class Assignment(msgspec.Struct, frozen=True):
    """All that a port is told; `prefixes` are those of its link, `options` are values by their codes."""

    mac: bytes
    server_mac: bytes
    server: bytes
    duid: bytes
    addresses: tuple[Assigned, ...]
    prefixes: tuple[IPv6Network, ...]
    refresh_s: int
    options: dict[int, bytes]


def assignment_of(port: Port, network: Network, subnets: Iterable[Subnet]) -> Assignment | None:
    """What a port is told, from its network's subnets; None when none of its own is for DHCPv6."""
    on_link = tuple(subnet for subnet in subnets if subnet.version == 6)
    own = {fixed.subnet for fixed in port.addresses}
    serving = tuple(
        subnet
        for subnet in on_link
        if subnet.id in own and subnet.ipv6_mode in (Ipv6Mode.STATEFUL, Ipv6Mode.STATELESS)
    )
    if not serving:
        return None
    leases = {subnet.id: subnet.lease_s for subnet in serving if subnet.ipv6_mode is Ipv6Mode.STATEFUL}
    mac = service_mac(network.id)
    return Assignment(
        mac=bytes.fromhex(port.mac.replace(":", "")),
        server_mac=mac,
        server=link_local(mac),
        duid=server_duid(network.id),
        addresses=tuple(
            Assigned(packed(fixed.address), leases[fixed.subnet])
            for fixed in port.addresses
            if fixed.subnet in leases
        ),
        prefixes=tuple(IPv6Network(subnet.prefix) for subnet in on_link),
        refresh_s=min(subnet.lease_s for subnet in serving),
        options=_chosen(port, serving),
    )


def _chosen(port: Port, serving: tuple[Subnet, ...]) -> dict[int, bytes]:
    options: dict[int, bytes] = {}
    if dns := servers_of(serving, lambda subnet: subnet.dns):
        options[Option.DNS_SERVERS] = b"".join(dns)
    if names := search_of(serving):
        options[Option.DOMAIN_LIST] = encode_names(names)
    if ntp := servers_of(serving, lambda subnet: subnet.ntp):
        options[Option.SNTP_SERVERS] = b"".join(ntp)
        options[Option.NTP_SERVER] = ntp_servers(ntp)
    free = [option for subnet in serving for option in subnet.dhcp_options]
    for option in (*free, *port.dhcp_options):
        if option.version == 6 and option.code >= _FIRST_FREE and option.code not in _OF_THE_PROTOCOL:
            options[option.code] = bytes.fromhex(option.data)
    return options


def servers_of(subnets: Iterable[Subnet], named: Callable[[Subnet], tuple[str, ...]]) -> tuple[bytes, ...]:
    """The IPv6 servers that the subnets name, each once, the first `MAX_SERVERS`."""
    addresses = dict.fromkeys(server for subnet in subnets for server in named(subnet) if ":" in server)
    return tuple(packed(address) for address in list(addresses)[:MAX_SERVERS])


def search_of(subnets: Iterable[Subnet]) -> tuple[str, ...]:
    """The search lists of the subnets, or their domains where there is none; as many as fit."""
    names: list[str] = []
    for subnet in subnets:
        for name in subnet.search or ((subnet.domain,) if subnet.domain is not None else ()):
            if name not in names and len(encode_names((*names, name))) <= MAX_NAMES_BYTES:
                names.append(name)
    return tuple(names)


def packed(address: str) -> bytes:
    """An IPv6 address as 16 bytes."""
    return ipaddress.IPv6Address(address).packed
