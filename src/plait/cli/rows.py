"""Entities as rows: what commands show of them, in JSON and in tables. Names stand beside ids."""

from collections.abc import Mapping, Sequence
from typing import Any

from plait.intent import Intent
from plait.intent.dhcp_options import option_text
from plait.intent.hosts import HostState
from plait.intent.labels import labels
from plait.intent.peerings import Peer
from plait.intent.surroundings import called
from plait.model.entities import Network, Port, PortState, PortStatus, Subnet
from plait.model.policy import PERSONAL, Group, Rule
from plait.model.routers import Router, RouterInterface, StaticRoute

SILENT = "silent"
"""The state of a port whose host has said nothing of it."""

Row = dict[str, Any]


def network_row(network: Network, subnets: list[str]) -> Row:
    """A network with the prefixes of its subnets."""
    return {
        "name": network.name,
        "id": network.id,
        "project": network.project,
        "vni": network.vni,
        "transport": str(network.transport),
        "mtu": network.mtu_bytes,
        "subnets": subnets,
    }


def subnet_row(subnet: Subnet, networks: Mapping[str, str]) -> Row:
    """A subnet; `networks` are names by id."""
    return {
        "name": subnet.name,
        "id": subnet.id,
        "project": subnet.project,
        "network": networks.get(subnet.network, subnet.network),
        "network_id": subnet.network,
        "prefix": subnet.prefix,
        "gateway": subnet.gateway,
        "dhcp": subnet.dhcp if subnet.version == 4 else None,
        "ipv6_mode": str(subnet.ipv6_mode) if subnet.version == 6 else None,
        "lease_s": subnet.lease_s,
        "dns": list(subnet.dns),
        "ntp": list(subnet.ntp),
        "domain": subnet.domain,
        "search": list(subnet.search),
        "routes": [f"{route.destination}={route.next_hop}" for route in subnet.routes],
        "options": [option_text(each) for each in subnet.dhcp_options],
    }


def port_row(
    port: Port,
    networks: Mapping[str, str],
    status: PortStatus | None,
    groups: Mapping[str, str] | None = None,
) -> Row:
    """A port and what its host says of it; `networks` and `groups` are names by id."""
    return {
        "name": port.name,
        "id": port.id,
        "project": port.project,
        "network": networks.get(port.network, port.network),
        "network_id": port.network,
        "addresses": list(port.ips),
        "mac": port.mac,
        "host": port.host,
        "device": port.device,
        "state": state_of(port, status),
        "reason": (status.reason or None) if status is not None else None,
        "mtu": status.mtu_bytes if status is not None else None,
        "took_ms": status.took_ms if status is not None else None,
        "sequence": port.sequence,
        "port_security": port.security,
        "multicast": list(port.multicast),
        "groups": [(groups or {}).get(id, id) for id in port.groups if not id.startswith(PERSONAL)],
        "address_pairs": [
            pair.prefix if pair.mac is None else f"{pair.prefix},{pair.mac}" for pair in port.address_pairs
        ],
        "hostname": port.hostname,
        "options": [option_text(each) for each in port.dhcp_options],
    }


def state_of(port: Port, status: PortStatus | None) -> str:
    """What the port's host says of it; a word about an earlier host does not count."""
    if port.host is None:
        return PortState.DOWN.value
    return SILENT if status is None or status.sequence != port.sequence else status.state.value


def router_row(router: Router) -> Row:
    """A router with its routes."""
    return {
        "name": router.name,
        "id": router.id,
        "project": router.project,
        "vni": router.vni,
        "routes": [route_row(each, {}) for each in router.routes],
    }


def route_row(route: StaticRoute, routers: Mapping[str, str]) -> Row:
    """A static route; `routers` are names by id."""
    router = None if route.router is None else routers.get(route.router, route.router)
    return {"destination": route.destination, "next_hops": list(route.next_hops), "router": router}


def interface_row(interface: RouterInterface, networks: Mapping[str, str]) -> Row:
    """A router's place on a subnet; `networks` are names by id."""
    return {
        "address": interface.address,
        "subnet": interface.prefix,
        "subnet_id": interface.subnet,
        "network": networks.get(interface.network, interface.network),
        "mac": interface.mac,
    }


def peer_row(peer: Peer, project: str) -> Row:
    """A router that another is joined to, or is to be, as `project` calls it."""
    return {"name": called(peer.router, project=project), "id": peer.router.id, "state": str(peer.state)}


def group_row(group: Group) -> Row:
    """A group and what it does where no rule decides."""
    return {
        "name": group.name,
        "id": group.id,
        "project": group.project,
        "ingress": str(group.ingress),
        "egress": str(group.egress),
    }


RULE_COLUMNS = ("name", "direction", "action", "priority", "family", "protocol", "ports", "other_side", "log")


async def rule_rows(intent: Intent, rules: Sequence[Rule]) -> list[Row]:
    """Rules with the names of the groups that they speak of, in one read or two."""
    ids = {id for rule in rules for id in (rule.group, rule.remote_set) if id is not None}
    names = await labels(intent.store, ids)
    return [_rule_row(rule, names) for rule in rules]


def _rule_row(rule: Rule, names: Mapping[str, str]) -> Row:
    return {
        "name": rule.name,
        "id": rule.id,
        "group": names[rule.group],
        "direction": str(rule.direction),
        "action": str(rule.action),
        "priority": rule.priority,
        "family": rule.family,
        "protocol": str(rule.protocol),
        "ports": _ports(rule),
        "icmp_type": rule.icmp_type,
        "icmp_code": rule.icmp_code,
        "other_side": _other_side(rule, names),
        "cidr": rule.cidr,
        "remote_group": None if rule.remote_group is None else names[rule.remote_group],
        "address_group": None if rule.address_group is None else names[rule.address_group],
        "log": rule.log,
    }


def _ports(rule: Rule) -> str | None:
    """Like "443", "80-90", or "type 8" of ICMP."""
    if rule.icmp_type is not None:
        return f"type {rule.icmp_type}" + ("" if rule.icmp_code is None else f" code {rule.icmp_code}")
    if rule.ports is None:
        return None
    first, last = rule.ports
    return str(first) if first == last else f"{first}-{last}"


def _other_side(rule: Rule, names: Mapping[str, str]) -> str:
    if rule.remote_group is not None:
        return f"{'port' if rule.remote_group.startswith(PERSONAL) else 'group'} {names[rule.remote_group]}"
    if rule.address_group is not None:
        return f"addresses {names[rule.address_group]}"
    return rule.cidr or "everybody"


def host_row(state: HostState) -> Row:
    """A host and what its agent says of itself."""
    live, health = state.live, state.health
    return {
        "name": state.host.name,
        "state": "alive" if live is not None else "dead",
        "underlay": live.vtep if live is not None else None,
        "underlay_mtu": live.underlay_mtu_bytes if live is not None else None,
        "transports": [str(each) for each in live.transports] if live is not None else [],
        "datapath": live.datapath if live is not None else None,
        "version": (live.version or None) if live is not None else None,
        "health": dict(health.components) if health is not None else {},
        "labels": state.host.labels,
    }
