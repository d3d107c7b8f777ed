"""As whom a host answers in a network: the same on every host, so that ports may move while they ask."""

from plait.model.addresses import mac_of
from plait.wire.dhcpv6 import link_layer_duid

FALLBACK_SERVER = bytes((169, 254, 0, 67))
"""Whom DHCP answers come from in a subnet without gateway: an address that no endpoint is given."""


def service_mac(network: str) -> bytes:
    """The MAC that answers in a network come from when no router stands for them."""
    return bytes.fromhex(mac_of(f"services of {network}").replace(":", ""))


def link_local(mac: bytes) -> bytes:
    """fe80::/64 with the modified EUI-64 of the MAC address (RFC 4291, appendix A)."""
    return b"\xfe\x80" + bytes(6) + bytes((mac[0] ^ 2,)) + mac[1:3] + b"\xff\xfe" + mac[3:]


def server_duid(network: str) -> bytes:
    """The DHCPv6 server's identifier in a network."""
    return link_layer_duid(service_mac(network))
