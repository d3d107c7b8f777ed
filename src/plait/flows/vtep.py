"""The far end of a tunnel, as an action."""

from functools import lru_cache

from plait.flows.address_numbers import ipv4_number, ipv6_number
from plait.wire.openflow.actions import set_field


@lru_cache(maxsize=4096)
def tunnel_to(vtep: str) -> bytes:
    """Send to this underlay address, IPv4 or IPv6; the tunnel ports have `remote_ip=flow`."""
    if ":" in vtep:
        return set_field("tun_ipv6_dst", ipv6_number(vtep))
    return set_field("tun_dst", ipv4_number(vtep))
