"""The switch's rows by what they are looked up by: interfaces by name, port and bridge. Pure, incremental.

Fed with every row change; a change costs what it touches, not what the switch has. Rows of one transaction
come in any order, so first all changes are taken, then the interfaces they touch are made anew.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from plait.net.vswitch.types import BridgeInfo, Interface, PortIo
from plait.wire.ovsdb.replica import Row, RowChange
from plait.wire.ovsdb.values import Uuid, Value, as_map, as_set, optional

RECORDED_IFINDEX = "plait-ifindex"
"""The key in a Port's external_ids that holds the index of the device that was attached.

Of all external_ids only an Interface's wake ovs-vswitchd, so writing this costs it nothing.
"""

OWNED = ("plait", "owned")
"""The pair of external_ids that marks what Plait made and may remove."""

MONITORED: Mapping[str, Sequence[str]] = {
    "Open_vSwitch": ("bridges", "cur_cfg", "datapath_types", "iface_types"),
    "Bridge": (
        "name", "ports", "datapath_type", "datapath_id", "fail_mode", "protocols", "controller",
        "other_config", "external_ids",
    ),
    "Port": ("name", "interfaces", "external_ids"),
    "Interface": (
        "name", "type", "options", "ofport", "ofport_request", "external_ids", "error",
        "mtu", "mtu_request", "admin_state", "link_state", "ifindex",
    ),
}  # fmt: skip


class SwitchIndex:
    """All interfaces of the switch, current as of the last `apply`."""

    def __init__(self) -> None:
        self.bridges: dict[str, tuple[Uuid, Row]] = {}
        self.interfaces: dict[str, Interface] = {}
        self.root: tuple[Uuid, Row] | None = None
        self._bridge_names: dict[Uuid, str] = {}
        self._bridge_of: dict[Uuid, Uuid] = {}
        self._ports: dict[Uuid, Row] = {}
        self._port_of: dict[Uuid, Uuid] = {}
        self._port_names: dict[str, Uuid] = {}
        self._rows: dict[Uuid, Row] = {}
        self._on_bridge: dict[str, set[str]] = {}
        self._by_port_id: dict[str, set[str]] = {}

    def apply(self, changes: Sequence[RowChange]) -> list[tuple[Interface | None, Interface | None]]:
        """Take row changes; returns the interfaces that differ, before and after."""
        touched: set[Uuid] = set()
        for change in changes:
            match change.table:
                case "Open_vSwitch":
                    self.root = None if change.new is None else (change.uuid, change.new)
                case "Bridge":
                    touched.update(self._take_bridge(change))
                case "Port":
                    touched.update(self._take_port(change))
                case "Interface":
                    _put(self._rows, change.uuid, change.new)
                    touched.add(change.uuid)
        olds = {name for change in changes if change.table == "Interface" for name in _names(change.old)}
        uuids = {str(self._rows[uuid].get("name", "")): uuid for uuid in touched if uuid in self._rows}
        return list(self._renew(olds | uuids.keys(), uuids))

    def on_bridge(self, bridge: str) -> Iterator[Interface]:
        """The bridge's interfaces."""
        return (self.interfaces[name] for name in self._on_bridge.get(bridge, ()))

    def with_port_id(self, port_id: str, bridge: str) -> list[Interface]:
        """The bridge's interfaces that say they are this port: one, unless somebody made a mistake.

        The first counts: the one that was given a port number, by name.
        """
        found = [self.interfaces[name] for name in self._by_port_id.get(port_id, ())]
        return sorted(
            (interface for interface in found if interface.bridge == bridge),
            key=lambda interface: (not interface.is_attached, interface.name),
        )

    def bridge_of_port(self, name: str) -> str | None:
        """The bridge that has a Port of this name; None if there is none."""
        uuid = self._port_names.get(name)
        return None if uuid is None else self._bridge_name_of(uuid)

    def bridge_info(self, bridge: str) -> BridgeInfo | None:
        """The bridge as it runs; None if it does not: no datapath, or no local port in it."""
        if bridge not in self.bridges:
            return None
        row = self.bridges[bridge][1]
        datapath_id, local = optional(row.get("datapath_id")), self.interfaces.get(bridge)
        if datapath_id is None or local is None or not local.is_attached:
            return None
        return BridgeInfo(bridge, str(row.get("datapath_type") or "system"), str(datapath_id))

    def can_read_by(self, io: PortIo) -> bool:
        """Whether ovs-vswitchd was built with what `io` needs; it says so when it starts."""
        row = {} if self.root is None else self.root[1]
        return not io.interface_type or io.interface_type in as_set(row.get("iface_types"))

    def _take_bridge(self, change: RowChange) -> Iterator[Uuid]:
        old, new = _refs(change.old, "ports"), _refs(change.new, "ports")
        for name in _names(change.old):
            self.bridges.pop(name, None)
        for name in _names(change.new):
            assert change.new is not None
            self.bridges[name] = change.uuid, change.new
            self._bridge_names[change.uuid] = name
        for port in old - new:
            if self._bridge_of.get(port) == change.uuid:
                del self._bridge_of[port]
        for port in new - old:
            self._bridge_of[port] = change.uuid
        if change.new is None:
            self._bridge_names.pop(change.uuid, None)
        for port in old ^ new:
            yield from _refs(self._ports.get(port), "interfaces")

    def _take_port(self, change: RowChange) -> Iterator[Uuid]:
        old, new = _refs(change.old, "interfaces"), _refs(change.new, "interfaces")
        _put(self._ports, change.uuid, change.new)
        for name in _names(change.old):
            if self._port_names.get(name) == change.uuid:
                del self._port_names[name]
        for name in _names(change.new):
            self._port_names[name] = change.uuid
        for interface in old - new:
            if self._port_of.get(interface) == change.uuid:
                del self._port_of[interface]
        for interface in new - old:
            self._port_of[interface] = change.uuid
        yield from old | new

    def _renew(
        self, names: set[str], uuids: Mapping[str, Uuid]
    ) -> Iterator[tuple[Interface | None, Interface | None]]:
        for name in names:
            before = self.interfaces.get(name)
            uuid = uuids.get(name)
            after = None if uuid is None else self._interface(uuid)
            if before == after:
                continue
            self._forget(before)
            self._remember(after)
            yield before, after

    def _forget(self, interface: Interface | None) -> None:
        if interface is None:
            return
        del self.interfaces[interface.name]
        if interface.bridge is not None:
            _discard(self._on_bridge, interface.bridge, interface.name)
        if interface.port_id is not None:
            _discard(self._by_port_id, interface.port_id, interface.name)

    def _remember(self, interface: Interface | None) -> None:
        if interface is None:
            return
        self.interfaces[interface.name] = interface
        if interface.bridge is not None:
            self._on_bridge.setdefault(interface.bridge, set()).add(interface.name)
        if interface.port_id is not None:
            self._by_port_id.setdefault(interface.port_id, set()).add(interface.name)

    def _bridge_name_of(self, port: Uuid) -> str | None:
        return self._bridge_names.get(self._bridge_of.get(port, Uuid()))

    def _interface(self, uuid: Uuid) -> Interface:
        row, port = self._rows[uuid], self._port_of.get(uuid)
        external_ids = as_map(row.get("external_ids"))
        port_id = external_ids.get("iface-id")
        states = optional(row.get("admin_state")), optional(row.get("link_state"))
        return Interface(
            name=str(row.get("name", "")),
            type=str(row.get("type", "")),
            bridge=None if port is None else self._bridge_name_of(port),
            port_uuid=port,
            ofport=_int(row.get("ofport")),
            ofport_request=_int(row.get("ofport_request")),
            port_id=None if port_id is None else str(port_id),
            is_owned=is_owned(row),
            options={str(key): str(value) for key, value in as_map(row.get("options")).items()},
            error=None if (error := optional(row.get("error"))) is None else str(error),
            mtu_bytes=_int(row.get("mtu")),
            mtu_request=_int(row.get("mtu_request")),
            is_up=states == ("up", "up"),
            ifindex=_int(row.get("ifindex")),
            recorded_ifindex=_recorded_ifindex(None if port is None else self._ports.get(port)),
        )


def is_owned(row: Row) -> bool:
    """Whether Plait made this row."""
    key, value = OWNED
    return as_map(row.get("external_ids")).get(key) == value


def _recorded_ifindex(port: Row | None) -> int | None:
    text = str(as_map((port or {}).get("external_ids")).get(RECORDED_IFINDEX, ""))
    return int(text) if text.isdecimal() else None


def _names(row: Row | None) -> Iterator[str]:
    if row is not None and "name" in row:
        yield str(row["name"])


def _refs(row: Row | None, column: str) -> frozenset[Any]:
    return as_set(None if row is None else row.get(column))


def _int(value: Value | None) -> int | None:
    found = optional(value)
    return found if isinstance(found, int) else None


def _put(rows: dict[Uuid, Row], uuid: Uuid, row: Row | None) -> None:
    if row is None:
        rows.pop(uuid, None)
    else:
        rows[uuid] = row


def _discard(groups: dict[str, set[str]], key: str, name: str) -> None:
    groups[key].discard(name)
    if not groups[key]:
        del groups[key]
