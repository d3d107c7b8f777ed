"""The switch's database: bridge, tunnels, and the devices of this host's ports, kept as the view wants them.

    view: own ports with a device --> wanted --> plug, unplug, MTU --> ovsdb
    ovsdb: port numbers, problems --> attachments, tunnels --> engine

Interfaces that somebody else attached with external_ids:iface-id (a hypervisor, say) are taken as they are.
"""

import asyncio
from collections.abc import Callable, Mapping

import structlog

from plait.agent.again import Again
from plait.agent.engine import Engine
from plait.agent.together import until_one_ends
from plait.agent.zones import Zones
from plait.model.entities import Network, Port, Transport
from plait.model.facets import Attachment, Change, Key, Tunnels
from plait.net.ovsdb import ConnectionLost
from plait.net.sealing import seal
from plait.net.stream import TlsFiles, Unreachable
from plait.net.vswitch import (
    BridgeInfo,
    InterfaceProblem,
    PlugRequest,
    PortIo,
    SwitchChange,
    SwitchConfig,
    SwitchMisconfigured,
    SwitchNotResponding,
    TunnelPort,
    Underlay,
    UnderlayUnusable,
    Vswitch,
)
from plait.net.vswitch.types import USERSPACE
from plait.wire.ovsdb.operations import OvsdbError

log = structlog.get_logger("plait.switch")

SOURCE = "ports of the switch"

SwitchTrouble = (
    Unreachable,
    ConnectionLost,
    OvsdbError,
    SwitchMisconfigured,
    SwitchNotResponding,
    UnderlayUnusable,
)


class Plugging:
    """Keeps the database as wanted, through its restarts; `on_state` hears "ok" or what is wrong."""

    def __init__(
        self,
        engine: Engine,
        *,
        target: str,
        tls: TlsFiles | None,
        bridge: str,
        datapath: str | None,
        underlay_address: str,
        transports: tuple[Transport, ...],
        port_io: PortIo,
        openflow: str,
        on_state: Callable[[str], None],
        on_underlay: Callable[[Underlay, BridgeInfo], None],
    ) -> None:
        self._engine = engine
        self._target = target
        self._tls = tls
        self._underlay_address = underlay_address
        tunnels = tuple(TunnelPort(transport, underlay_address) for transport in transports)
        self._config = SwitchConfig(bridge, datapath, tunnels)
        self._wished_io = port_io
        self._io = PortIo.PACKET
        self._on_state = on_state
        self._on_underlay = on_underlay
        self._wake = asyncio.Event()
        self._dirty: set[str] = set()
        self._all_dirty = True
        self._asked: dict[str, PlugRequest] = {}
        self._refused: dict[str, str] = {}
        self._unsealed: set[str] = set()
        self._is_userspace = False
        self._broken: dict[str, InterfaceProblem] = {}
        self._zones = Zones(engine, openflow, tls)
        self._outside: dict[str, Attachment] = {}
        self._not_flushed: dict[str, str] = {}
        self._has_outside = asyncio.Event()
        engine.gate.wait_for(SOURCE)
        engine.on_dirty(self._look)

    def _look(self, dirty: set[Key]) -> None:
        self._dirty.update(key.id for key in dirty if key.kind == "port")
        self._all_dirty |= any(key.kind in ("network", "room") for key in dirty)
        self._wake.set()

    def problem(self, port: Port) -> str | None:
        """Why the port's device could not be attached; None while nothing speaks against it."""
        broken = self._broken.get(port.device or "")
        if broken is not None and broken.port_id == port.id:
            return f"device {broken.device}: {broken.reason}"
        return self._refused.get(port.id) or self._not_flushed.get(port.id)

    async def run(self) -> None:
        """For ever: connect, tell what is there, carry out what is wanted."""
        again = Again()
        while True:
            try:
                vswitch = await Vswitch.connect(self._target, self._tls)
                try:
                    await self._serve(vswitch, again)
                finally:
                    await vswitch.close()
                reason = vswitch.lost_reason or "closed"
            except SwitchTrouble as error:
                reason = str(error)
            self._on_state(reason)
            log.warning("switch database lost, traffic goes on, connecting again", reason=reason)
            await again.wait()

    async def _serve(self, vswitch: Vswitch, again: Again) -> None:
        bridge = await vswitch.ensure_bridge(self._config)
        self._is_userspace = bridge.datapath_type == USERSPACE
        self._on_underlay(vswitch.underlay(self._underlay_address), bridge)
        self._on_state(self._choose_io(vswitch))
        again.connected()
        self._forget_others(vswitch)
        # Everything is asked for again: what stands already costs nothing.
        self._all_dirty = True
        self._wake.set()
        self._outside.clear()
        await until_one_ends(self._hear(vswitch), self._carry_out(vswitch), self._let_in())

    def _choose_io(self, vswitch: Vswitch) -> str:
        """How devices are read from now on: as was wished, where that can be. Returns the state to tell."""
        self._io = PortIo.PACKET
        if self._wished_io is PortIo.PACKET:
            return "ok"
        if not self._is_userspace:
            log.warning("port_io is ignored, the kernel reads the devices", port_io=self._wished_io)
            return "ok"
        if not vswitch.can_read_by(self._wished_io):
            missing = self._wished_io.interface_type
            return (
                f"port_io = {self._wished_io} is not possible, devices are read by packet sockets: this Open "
                f"vSwitch was built without interfaces of type {missing} (ovs-vsctl get open_vswitch . "
                "iface_types): choose port_io = packet, or install one with them"
            )
        self._io = self._wished_io
        return "ok"

    async def _hear(self, vswitch: Vswitch) -> None:
        """Until the connection, the bridge or a tunnel is gone."""
        tunnels: set[Transport] = set()
        async for change in vswitch.changes():
            await self._tell(change)
            if change.is_bridge_lost:
                log.warning("bridge is gone, making it again", bridge=self._config.bridge)
                return
            if change.tunnel_ofports is not None:
                if tunnels - change.tunnel_ofports.keys():
                    log.warning("tunnel is gone, making it again", bridge=self._config.bridge)
                    return
                tunnels = set(change.tunnel_ofports)

    def _forget_others(self, vswitch: Vswitch) -> None:
        """Attachments and problems that stood before we connected and are no longer there."""
        self._broken = {problem.device: problem for problem in vswitch.problems()}
        here = vswitch.attachments().keys()
        gone = [a.port for a in self._engine.view.all(Attachment) if a.port not in here]
        self._engine.change(Change(Attachment, port, None) for port in gone)

    async def _tell(self, change: SwitchChange) -> None:
        """Say what is new; whoever comes to a number of another's waits until its zone is flushed."""
        changes = [Change(Attachment, id, None) for id in change.detached]
        for id in change.detached:
            self._outside.pop(id, None)
            self._not_flushed.pop(id, None)
            # Whoever took it out, a port that is wanted goes in again; what we unplugged is not asked for.
            if self._asked.pop(id, None) is not None:
                self._dirty.add(id)
                self._wake.set()
        held = self._zones.are_held(Attachment(a.port_id, a.ofport) for a in change.attached)
        changes += [Change(Attachment, a.port, a) for a, is_own in held.items() if is_own]
        outside = {a.port: a for a, is_own in held.items() if not is_own}
        changes += [Change(Attachment, id, None) for id in outside if id not in change.detached]
        self._outside |= outside
        if change.attached:
            self._unsealed.update(a.device for a in change.attached)
            self._wake.set()
        if change.tunnel_ofports is not None:
            changes.append(Change(Tunnels, "", Tunnels(tuple(sorted(change.tunnel_ofports.items())))))
        if change.released and self._refused:
            # What a port could not have may be free now.
            self._dirty |= self._refused.keys()
            for id in self._refused:
                self._asked.pop(id, None)
            self._wake.set()
        for device in change.solved:
            self._broken.pop(device, None)
        for problem in change.problems:
            self._broken[problem.device] = problem
            if problem.port_id is not None:
                # Not a change of the view, but of what is to be reported.
                self._engine.look_again({Key("port", problem.port_id)})
            log.warning(
                "device can't be used", device=problem.device, port=problem.port_id, reason=problem.reason
            )
        self._engine.change(changes)
        await self._zones.let_go(set(change.detached) - {each.port for each in held})
        await self._let_in_now()
        self._engine.gate.told(SOURCE)

    async def _let_in(self) -> None:
        """For ever: what could not be flushed is tried again."""
        while True:
            await self._has_outside.wait()
            again = Again()
            while self._outside:
                await again.wait()
                await self._let_in_now()

    async def _let_in_now(self) -> None:
        """Ports that have a number come in, as far as the connections that others left there are gone."""
        self._has_outside.clear()
        if not self._outside:
            return
        for attachment, problem in (await self._zones.take_over(self._outside.values())).items():
            port = attachment.port
            if self._outside.get(port) != attachment:
                continue  # It left meanwhile, or has another number.
            if problem is not None:
                self._not_flushed[port] = problem
                self._engine.look_again({Key("port", port)})
                continue
            del self._outside[port]
            self._not_flushed.pop(port, None)
            self._engine.change([Change(Attachment, port, attachment)])
        if self._outside:
            self._has_outside.set()

    async def _carry_out(self, vswitch: Vswitch) -> None:
        """After every change: the difference between wanted and asked for, in one transaction a kind."""
        await self._engine.gate.opened()
        asked = self._asked = {}
        while True:
            await self._wake.wait()
            self._wake.clear()
            everything, self._all_dirty = self._all_dirty, False
            looked_at, self._dirty = self._dirty, set()
            if everything:
                ports = self._engine.view.all(Port)
                looked_at = {port.id for port in ports} | vswitch.owned_port_ids() | asked.keys()
            wanted = {id: request for id in looked_at if (request := self._wanted(id)) is not None}
            gone = sorted(looked_at - wanted.keys())
            for id in gone:
                asked.pop(id, None)
                self._refused.pop(id, None)
            if gone:
                await vswitch.unplug(gone)
            await self._seal()
            await self._plug(vswitch, wanted, asked)

    async def _plug(
        self, vswitch: Vswitch, wanted: Mapping[str, PlugRequest], asked: dict[str, PlugRequest]
    ) -> None:
        # A port whose MTU is not known yet waits: to change it later is another reconfiguration of the
        # switch, which loses packets of a port that was up for a moment.
        fresh = [
            request
            for id, request in wanted.items()
            if asked.get(id) != request and (request.mtu_bytes is not None or id in asked)
        ]
        if not fresh:
            return
        asked.update((request.port_id, request) for request in fresh)
        self._unsealed.update(request.device for request in fresh)
        await self._seal()
        failures = await vswitch.plug(fresh)
        for failure in failures:
            reason = f"device {failure.device}: {failure.reason}"
            log.warning(
                "port can't be plugged in", port=failure.port_id, device=failure.device, reason=failure.reason
            )
            self._refused[failure.port_id] = reason
        failed = {failure.port_id for failure in failures}
        for request in fresh:
            if request.port_id not in failed:
                self._refused.pop(request.port_id, None)
        if failed:
            self._engine.look_again({Key("port", id) for id in failed})

    async def _seal(self) -> None:
        """Before a device is plugged in, and when one has come by itself: the host's kernel takes nothing
        from it.
        """
        devices, self._unsealed = self._unsealed, set()
        if not devices or not self._is_userspace:
            return
        for device, reason in (await asyncio.to_thread(seal, devices)).items():
            log.error("device is not sealed, its endpoint may reach this host", device=device, reason=reason)

    def _wanted(self, id: str) -> PlugRequest | None:
        """An own port that names a device; its MTU waits until the network is known."""
        view = self._engine.view
        port = view.get(Port, id)
        if port is None or port.device is None:
            return None
        network = view.get(Network, port.network)
        mtu_bytes = None if network is None else view.mtu_bytes(network)
        return PlugRequest(id, port.device, mtu_bytes, self._io)
