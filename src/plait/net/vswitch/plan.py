"""What has to be done in OVSDB to come from what is to what is wanted. Pure; nothing to do is no operation.

Rule 1: interfaces without `external_ids:plait=owned` are never changed or removed.
Rule 2: a batch is one transaction, for ovs-vswitchd goes through all its ports for every change it sees.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from plait.model import checks
from plait.model.entities import Transport
from plait.model.numbers import Space
from plait.net.vswitch.index import OWNED, RECORDED_IFINDEX, SwitchIndex
from plait.net.vswitch.types import (
    AFXDP_MTU_BYTES,
    Interface,
    PlugFailure,
    PlugRequest,
    PortIo,
    SwitchConfig,
    SwitchMisconfigured,
    TunnelPort,
    tunnel_name,
)
from plait.wire.ovsdb.operations import Operation, insert, is_row, mutate, require, update
from plait.wire.ovsdb.replica import Row
from plait.wire.ovsdb.values import NamedUuid, Uuid, as_map, as_set, optional

PORT_NUMBERS = Space(1, 65000)
"""OpenFlow port numbers of endpoints. Open vSwitch allows requests up to 65279 (0xfeff)."""

TUNNEL_NUMBERS = {Transport.VXLAN: 65001, Transport.GENEVE: 65002, Transport.GRE: 65003}
"""Fixed, so that flows into tunnels stay the same when the bridge is made anew."""

_OWNED_IDS = dict([OWNED])
_OPENFLOW = "OpenFlow14"


@dataclass(frozen=True, slots=True)
class PlugPlan:
    """The transaction for those requests that can be carried out, and why the others can't."""

    operations: tuple[Operation, ...]
    failures: tuple[PlugFailure, ...]


def plan_bridge(
    index: SwitchIndex, config: SwitchConfig, *, datapath_type: str, hwaddr: str
) -> list[Operation]:
    """Make the bridge and its tunnels as `config` wants them, on this type of datapath.

    `hwaddr` is given to a bridge that is made here, for without a fixed one its datapath id changes whenever
    a port with a lower address joins. Raises SwitchMisconfigured.
    """
    if config.bridge not in index.bridges:
        _refuse_taken_name(index, config.bridge)
        return _new_bridge(index, config, datapath_type=datapath_type, hwaddr=hwaddr)
    uuid, row = index.bridges[config.bridge]
    _refuse_foreign_controller(config.bridge, row)
    operations = list(_bridge_corrections(uuid, row, datapath_type))
    kept = [tunnel for tunnel in config.tunnels if tunnel.name in index.interfaces]
    added = [tunnel for tunnel in config.tunnels if tunnel.name not in index.interfaces]
    for tunnel in kept:
        operations += _tunnel_corrections(index, config.bridge, tunnel)
    rows, ports = _new_ports([_tunnel_row(tunnel) for tunnel in added])
    removed = list(_unwanted_tunnels(index, config))
    return [*operations, *rows, *_moved_ports(uuid, added=ports, removed=removed)]


def plan_plug(index: SwitchIndex, bridge: str, requests: Sequence[PlugRequest]) -> PlugPlan:
    """Attach devices to the bridge, with port numbers that nobody on it has or asks for, lowest first.

    Of a device that is attached already as that port, the MTU and how it is read alone are made right: the
    latter opens the device anew, under the same port number.
    """
    uuid = index.bridges[bridge][0]
    taken = {number for port in index.on_bridge(bridge) for number in _numbers(port)}
    corrections: list[Operation] = []
    added: list[dict[str, Any]] = []
    removed: list[Uuid] = []
    failures: list[PlugFailure] = []
    number: int | None = None
    last: int | None = None
    seen: set[str] = set()
    for request in requests:
        reason = _refusal(index, bridge, request, seen)
        device = index.interfaces.get(request.device)
        if reason is None and device is None:
            number = PORT_NUMBERS.after(last, taken)
            if number is None:
                reason = f"all {PORT_NUMBERS.size} OpenFlow port numbers of bridge {bridge!r} are in use"
        if reason is not None:
            failures.append(PlugFailure(request.port_id, request.device, reason))
            continue
        seen |= {request.device, request.port_id}
        if device is not None:
            corrections += _device_correction(device, request)
            continue
        last = number
        added.append(_endpoint_row(request, number))
        removed += _port_uuids(index.with_port_id(request.port_id, bridge))
    rows, ports = _new_ports(added)
    moved = _moved_ports(uuid, added=ports, removed=removed)
    return PlugPlan((*corrections, *rows, *moved), tuple(failures))


def plan_unplug(index: SwitchIndex, bridge: str, port_ids: Sequence[str]) -> list[Operation]:
    """Take away the interfaces that we made for these ports; others' and unknown ones are left alone."""
    ours = [
        interface
        for port_id in dict.fromkeys(port_ids)
        for interface in index.with_port_id(port_id, bridge)
        if interface.is_owned
    ]
    if not ours:
        return []
    return _moved_ports(index.bridges[bridge][0], added=[], removed=list(_port_uuids(ours)))


def plan_records(interfaces: Sequence[Interface]) -> list[Operation]:
    """Note beside each port which device it has, to tell later whether a new one took its name."""
    return [
        mutate("Port", is_row(interface.port_uuid), [("external_ids", "insert", _record(interface))])
        for interface in interfaces
        if interface.port_uuid is not None and interface.is_unrecorded
    ]


def _record(interface: Interface) -> dict[str, str]:
    return {RECORDED_IFINDEX: str(interface.ifindex)}


def _refusal(index: SwitchIndex, bridge: str, request: PlugRequest, seen: set[str]) -> str | None:
    """Why this request can't be carried out; None if it can."""
    try:
        checks.device(request.device)
    except checks.Invalid as error:
        return str(error)
    if request.device in seen or request.port_id in seen:
        return f"device {request.device!r} or port {request.port_id!r} is in this batch twice"
    device = index.interfaces.get(request.device)
    if device is not None and not device.is_owned:
        return _refusal_of_interface(bridge, request, device)
    if request.io is PortIo.AFXDP and (request.mtu_bytes or 0) > AFXDP_MTU_BYTES:
        return (
            f"its MTU of {request.mtu_bytes} bytes is too large for AF_XDP, which carries {AFXDP_MTU_BYTES}: "
            f"choose port_io = packet, or a lower MTU of the underlay"
        )
    if device is not None:
        return _refusal_of_interface(bridge, request, device)
    other = index.bridge_of_port(request.device)
    if other is not None:
        return f"bridge {other!r} has a port (a bond?) named {request.device!r}: choose another device"
    for interface in index.with_port_id(request.port_id, bridge):
        if not interface.is_owned:
            return f"interface {interface.name!r}, not added by Plait, is this port already: remove it first"
    return None


def _refusal_of_interface(bridge: str, request: PlugRequest, device: Interface) -> str | None:
    name = device.name
    if device.bridge != bridge:
        bridge = str(device.bridge)
        return f"device {name!r} is on bridge {bridge!r}: take it away, ovs-vsctl del-port {bridge} {name}"
    if device.port_id == request.port_id:
        return None
    if not device.is_owned:
        return f"device {name!r} is on {bridge!r} for something else: ovs-vsctl del-port {bridge} {name}"
    return f"device {name!r} is port {device.port_id!r}: unplug that first"


def _refuse_taken_name(index: SwitchIndex, bridge: str) -> None:
    if bridge in index.interfaces or index.bridge_of_port(bridge) is not None:
        owner = index.bridge_of_port(bridge)
        raise SwitchMisconfigured(f"bridge {owner!r} has a port named {bridge!r}: choose another bridge name")


def _refuse_foreign_controller(bridge: str, row: Row) -> None:
    if as_set(row.get("controller")):
        raise SwitchMisconfigured(
            f"bridge {bridge!r} has a controller, which would undo what Plait does: "
            f"ovs-vsctl del-controller {bridge}, or choose another bridge"
        )


def _new_bridge(
    index: SwitchIndex, config: SwitchConfig, *, datapath_type: str, hwaddr: str
) -> list[Operation]:
    taken = [tunnel.name for tunnel in config.tunnels if tunnel.name in index.interfaces]
    if taken:
        raise SwitchMisconfigured(_taken_tunnel(index.interfaces[taken[0]]))
    local = {"name": config.bridge, "type": "internal"}
    rows, ports = _new_ports([local, *(_tunnel_row(tunnel) for tunnel in config.tunnels)])
    bridge = {
        "name": config.bridge,
        "datapath_type": datapath_type,
        "fail_mode": "secure",
        "ports": ports,
        "other_config": {"disable-in-band": "true", "hwaddr": hwaddr},
        "external_ids": _OWNED_IDS,
    }
    created = [*rows, insert("Bridge", bridge, named="bridge")]
    if index.root is None:
        # As `ovs-vsctl init` does; `require` keeps two that do so at once from making two.
        root = {"bridges": [NamedUuid("bridge")]}
        return [require("Open_vSwitch", [], []), *created, insert("Open_vSwitch", root)]
    return [*created, mutate("Open_vSwitch", [], [("bridges", "insert", [NamedUuid("bridge")])])]


def _bridge_corrections(uuid: Uuid, row: Row, datapath_type: str) -> Iterator[Operation]:
    columns: dict[str, Any] = {}
    if (row.get("datapath_type") or "system") != datapath_type:
        columns["datapath_type"] = datapath_type
    if optional(row.get("fail_mode")) != "secure":
        columns["fail_mode"] = "secure"
    protocols = as_set(row.get("protocols"))
    if protocols and _OPENFLOW not in protocols:
        columns["protocols"] = protocols | {_OPENFLOW}
    other_config = as_map(row.get("other_config"))
    if other_config.get("disable-in-band") != "true":
        columns["other_config"] = {**other_config, "disable-in-band": "true"}
    if columns:
        yield update("Bridge", is_row(uuid), columns)


def _tunnel_row(tunnel: TunnelPort) -> dict[str, Any]:
    return {
        "name": tunnel.name,
        "type": str(tunnel.transport),
        "options": tunnel.options,
        "ofport_request": TUNNEL_NUMBERS[tunnel.transport],
        "external_ids": _OWNED_IDS,
    }


def _tunnel_corrections(index: SwitchIndex, bridge: str, tunnel: TunnelPort) -> Iterator[Operation]:
    interface = index.interfaces[tunnel.name]
    if interface.bridge != bridge or not interface.is_owned:
        raise SwitchMisconfigured(_taken_tunnel(interface))
    row = _tunnel_row(tunnel)
    is_right = (interface.type, interface.options, interface.ofport_request) == (
        row["type"], row["options"], row["ofport_request"],
    )  # fmt: skip
    if not is_right:
        yield update("Interface", [("name", "==", tunnel.name)], row)


def _taken_tunnel(interface: Interface) -> str:
    where = f"bridge {interface.bridge!r} has an interface {interface.name!r} that Plait did not make there"
    return f"{where}: ovs-vsctl del-port {interface.bridge} {interface.name}"


def _unwanted_tunnels(index: SwitchIndex, config: SwitchConfig) -> Iterator[Uuid]:
    wanted = {tunnel.name for tunnel in config.tunnels}
    for transport in Transport:
        interface = index.interfaces.get(tunnel_name(transport))
        if interface is None or interface.name in wanted:
            continue
        if interface.is_owned and interface.bridge == config.bridge and interface.port_uuid is not None:
            yield interface.port_uuid


def _endpoint_row(request: PlugRequest, number: int | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": request.device,
        "ofport_request": number,
        "external_ids": {**_OWNED_IDS, "iface-id": request.port_id},
    }
    if request.io.interface_type:
        row["type"] = request.io.interface_type
    return row if request.mtu_bytes is None else {**row, "mtu_request": request.mtu_bytes}


def _device_correction(interface: Interface, request: PlugRequest) -> Iterator[Operation]:
    if not interface.is_owned:
        return
    columns: dict[str, Any] = {}
    if interface.is_device and interface.io is not request.io:
        columns["type"] = request.io.interface_type
    if request.mtu_bytes is not None and interface.mtu_request != request.mtu_bytes:
        columns["mtu_request"] = request.mtu_bytes
    if columns:
        yield update("Interface", [("name", "==", interface.name)], columns)


def _new_ports(interfaces: Sequence[dict[str, Any]]) -> tuple[list[Operation], list[NamedUuid]]:
    """Rows for ports of one interface each, and the ports' names within the transaction."""
    operations: list[Operation] = []
    for number, row in enumerate(interfaces):
        operations.append(insert("Interface", row, named=f"interface{number}"))
        port = {"name": row["name"], "interfaces": NamedUuid(f"interface{number}")}
        operations.append(insert("Port", {**port, "external_ids": _OWNED_IDS}, named=f"port{number}"))
    return operations, [NamedUuid(f"port{number}") for number in range(len(interfaces))]


def _moved_ports(bridge: Uuid, *, added: Sequence[NamedUuid], removed: Sequence[Uuid]) -> list[Operation]:
    """Ports into the bridge and out of it; what is out of every bridge is removed by ovsdb-server."""
    changes: list[tuple[str, Sequence[str]]] = [("delete", removed), ("insert", added)]
    mutations = [("ports", mutator, ports) for mutator, ports in changes if ports]
    return [mutate("Bridge", is_row(bridge), mutations)] if mutations else []


def _numbers(interface: Interface) -> Iterator[int]:
    return (number for number in (interface.ofport, interface.ofport_request) if number is not None)


def _port_uuids(interfaces: Sequence[Interface]) -> Iterator[Uuid]:
    return (interface.port_uuid for interface in interfaces if interface.port_uuid is not None)
