"""What the owner of a switch has been told, against what is: the difference is the next thing to tell. Pure.

Changes are collected by key and compared when they are taken, so a port that came and went is no change.
"""

from collections.abc import Sequence
from typing import Generic, TypeVar

from plait.model.entities import Transport
from plait.net.vswitch.index import SwitchIndex
from plait.net.vswitch.types import (
    Attachment,
    BridgeInfo,
    Interface,
    InterfaceProblem,
    Link,
    SwitchChange,
    tunnel_name,
)

Key = TypeVar("Key")
Value = TypeVar("Value")

_DELETED = "the device was deleted: make it anew, or unplug the port"
_TUNNELS = {tunnel_name(transport): transport for transport in Transport}


class Told(Generic[Key, Value]):
    """Values by key that remember which of them have been told, and as what."""

    def __init__(self) -> None:
        self.current: dict[Key, Value] = {}
        self._told: dict[Key, Value] = {}
        self._dirty: dict[Key, None] = {}

    def put(self, key: Key, value: Value | None) -> None:
        """The value is this now; None: there is none."""
        if value is not None:
            self.current[key] = value
        else:
            self.current.pop(key, None)
        if value is None and key not in self._told:  # came and went untold
            self._dirty.pop(key, None)
        else:
            self._dirty[key] = None

    def take(self) -> tuple[tuple[Value, ...], tuple[Key, ...]]:
        """Values that are new or different, and keys that are gone, since the last call."""
        dirty, self._dirty = self._dirty, {}
        changed: list[Value] = []
        gone: list[Key] = []
        for key in dirty:
            before, now = self._told.get(key), self.current.get(key)
            if before == now:
                continue
            if now is None:
                gone.append(key)
                del self._told[key]
            else:
                changed.append(now)
                self._told[key] = now
        return tuple(changed), tuple(gone)


class Report:
    """One bridge in the words of its owner: attachments, links, tunnels and problems."""

    def __init__(self, index: SwitchIndex, bridge: str) -> None:
        self.bridge = bridge
        self.attachments: Told[str, Attachment] = Told()
        self.links: Told[str, Link] = Told()
        self.problems: Told[str, InterfaceProblem] = Told()
        self.tunnel_ofports: dict[Transport, int] = {}
        self._index = index
        self._released: set[str] = set()
        self._told_tunnels: dict[Transport, int] = {}
        self._told_bridge: BridgeInfo | None = None
        self.take([(None, interface) for interface in index.on_bridge(bridge)])

    def take(self, changes: Sequence[tuple[Interface | None, Interface | None]]) -> None:
        """Interfaces differ: bring everything up to date."""
        self._released.update(
            before.name
            for before, after in changes
            if before is not None and (after is None or after.bridge != before.bridge)
        )
        here = [
            interface
            for change in changes
            for interface in change
            if interface is not None and interface.bridge == self.bridge
        ]
        devices = dict.fromkeys(interface.name for interface in here)
        port_ids = dict.fromkeys(interface.port_id for interface in here)
        for port_id in port_ids:
            if port_id is None:
                continue
            self._take_port(port_id)
            # Whether an interface is a problem depends on the others that say they are the same port.
            rivals = self._index.with_port_id(port_id, self.bridge)
            devices.update(dict.fromkeys(rival.name for rival in rivals))
        for name in devices:
            self._take_tunnel(name)
            self.problems.put(name, self._problem_of(name))

    def next_change(self) -> SwitchChange | None:
        """What differs from what was told before; None if nothing does."""
        attached, detached = self.attachments.take()
        links, _ = self.links.take()
        problems, solved = self.problems.take()
        bridge = self._index.bridge_info(self.bridge)
        tunnels = dict(self.tunnel_ofports)
        change = SwitchChange(
            attached=attached,
            detached=detached,
            links=links,
            problems=problems,
            solved=solved,
            released=tuple(sorted(self._released)),
            tunnel_ofports=None if tunnels == self._told_tunnels else tunnels,
            bridge=None if bridge == self._told_bridge else bridge,
            is_bridge_lost=bridge is None and self._told_bridge is not None,
        )
        self._released.clear()
        self._told_tunnels, self._told_bridge = tunnels, bridge
        return None if change == SwitchChange() else change

    def _take_port(self, port_id: str) -> None:
        first = next(iter(self._index.with_port_id(port_id, self.bridge)), None)
        if first is None or first.ofport is None or not first.is_attached:
            self.attachments.put(port_id, None)
            self.links.put(port_id, None)
        else:
            self.attachments.put(port_id, Attachment(port_id, first.name, first.ofport))
            self.links.put(port_id, Link(port_id, first.mtu_bytes, first.is_up))

    def _take_tunnel(self, name: str) -> None:
        if name not in _TUNNELS:
            return
        interface = self._index.interfaces.get(name)
        if interface is None or interface.bridge != self.bridge or not interface.is_attached:
            self.tunnel_ofports.pop(_TUNNELS[name], None)
        elif interface.ofport is not None:
            self.tunnel_ofports[_TUNNELS[name]] = interface.ofport

    def _problem_of(self, name: str) -> InterfaceProblem | None:
        interface = self._index.interfaces.get(name)
        if interface is None or interface.bridge != self.bridge:
            return None
        if interface.port_id is None and not interface.is_owned:
            return None
        if interface.error is not None:
            return InterfaceProblem(interface.port_id, name, interface.error)
        if interface.is_gone:
            return InterfaceProblem(interface.port_id, name, _DELETED)
        if interface.port_id is not None:
            first = self._index.with_port_id(interface.port_id, self.bridge)[0]
            if first.name != name:
                reason = f"{first.name!r} is port {interface.port_id!r} already: remove one of the two"
                return InterfaceProblem(interface.port_id, name, reason)
        return None
