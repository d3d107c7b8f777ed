"""Entities as rows: what commands show of them, in JSON and in tables. Names stand beside ids."""

from collections.abc import Mapping
from typing import Any

from plait.intent.hosts import HostState
from plait.model.entities import Network, Port, PortState, PortStatus, Subnet

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
    }


def port_row(port: Port, networks: Mapping[str, str], status: PortStatus | None) -> Row:
    """A port and what its host says of it; `networks` are names by id."""
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
    }


def state_of(port: Port, status: PortStatus | None) -> str:
    """What the port's host says of it; a word about an earlier host does not count."""
    if port.host is None:
        return PortState.DOWN.value
    return SILENT if status is None or status.sequence != port.sequence else status.state.value


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
