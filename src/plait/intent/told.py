"""What endpoints of a subnet are told: by DHCP, DHCPv6 and router advertisements."""

from typing import Any, TypedDict

from plait.intent.dhcp_options import check_options
from plait.model import checks
from plait.model.checks import Invalid
from plait.model.entities import DhcpOption, HostRoute, Ipv6Mode, Subnet

MAX_SERVERS = 8
MAX_SEARCH = 16
MAX_ROUTES = 24
"""So that all of it fits into a packet."""


class Told(TypedDict, total=False):
    """Those fields of a subnet that are to be as given; see `Subnet`."""

    dhcp: bool
    ipv6_mode: Ipv6Mode
    lease_s: int
    dns: tuple[str, ...]
    ntp: tuple[str, ...]
    domain: str | None
    search: tuple[str, ...]
    routes: tuple[HostRoute, ...]
    dhcp_options: tuple[DhcpOption, ...]


def fields(told: Told) -> dict[str, Any]:
    """In canonical form. Raises Invalid."""
    found: dict[str, Any] = dict(told)
    for name in ("dns", "ntp"):
        if name in found:
            found[name] = tuple(str(checks.ip(each, "server")) for each in found[name])
    if "routes" in found:
        found["routes"] = tuple(
            HostRoute(str(checks.prefix(each.destination)), str(checks.ip(each.next_hop, "next hop")))
            for each in found["routes"]
        )
    if "dhcp_options" in found:
        found["dhcp_options"] = check_options(found["dhcp_options"])
    return found


def check(subnet: Subnet) -> None:
    """Raises Invalid for what its endpoints could not be told, being of the subnet's family."""
    for count, most, what in (
        (len(subnet.dns), MAX_SERVERS, "DNS servers"),
        (len(subnet.ntp), MAX_SERVERS, "NTP servers"),
        (len(subnet.search), MAX_SEARCH, "search domains"),
        (len(subnet.routes), MAX_ROUTES, "routes"),
    ):
        if count > most:
            raise Invalid(f"subnet {subnet.prefix} would have {count} {what}: {most} is the most")
    way_out = f"name it in a subnet of IPv{10 - subnet.version}"
    for address in (*subnet.dns, *subnet.ntp):
        if checks.ip(address).version != subnet.version:
            raise Invalid(f"server {address} is not of the family of subnet {subnet.prefix}: {way_out}")
    for route in subnet.routes:
        if checks.ip(route.next_hop).version != subnet.version:
            raise Invalid(f"route {route.destination} is not of the family of {subnet.prefix}: {way_out}")
        if checks.ip(route.next_hop) not in checks.prefix(subnet.prefix):
            raise Invalid(
                f"next hop {route.next_hop} of route {route.destination} lies outside {subnet.prefix}: "
                "choose an address that endpoints reach without a gateway"
            )
    for option in subnet.dhcp_options:
        if option.version != subnet.version:
            raise Invalid(
                f"DHCP option {option.code} of version {option.version} means nothing in {subnet.prefix}: "
                f"{way_out}"
            )


def parse_route(text: str) -> HostRoute:
    """`PREFIX=NEXTHOP`. Raises Invalid."""
    destination, equals, next_hop = text.partition("=")
    if not equals:
        raise Invalid(f"route {text!r} can't be read: write it like 10.9.0.0/16=10.0.0.254")
    return HostRoute(str(checks.prefix(destination)), str(checks.ip(next_hop, "next hop")))
