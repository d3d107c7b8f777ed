"""The Open vSwitch of one host, by its database: make the bridge, plug devices in, hear what became of them.

Everything is state: what is asked for is compared with the replica and only the difference is written. The
replica, and with it `attachments()`, is current when a call returns. When the connection is lost `changes()`
ends; connect anew and ask for the same again.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Sequence

from plait.model.entities import Transport
from plait.net import netlink
from plait.net.ovsdb import ConnectionLost, OvsdbConnection
from plait.net.stream import DIAL_TIMEOUT_S, TlsFiles
from plait.net.vswitch.index import MONITORED, SwitchIndex
from plait.net.vswitch.plan import PlugPlan, plan_bridge, plan_plug, plan_records, plan_unplug
from plait.net.vswitch.report import Report
from plait.net.vswitch.types import (
    KERNEL,
    USERSPACE,
    Attachment,
    BridgeInfo,
    Interface,
    InterfaceProblem,
    Link,
    PlugFailure,
    PlugRequest,
    PortIo,
    SwitchChange,
    SwitchConfig,
    SwitchMisconfigured,
    SwitchNotResponding,
    Underlay,
)
from plait.net.vswitch.underlay import find_underlay
from plait.wire.ovsdb.operations import Operation, OvsdbError, mutate, select
from plait.wire.ovsdb.replica import RowChange
from plait.wire.ovsdb.values import optional

SETTLE_TIMEOUT_S = 10.0
"""How long ovs-vswitchd may take for a change of the bridge; with 1,000 ports it takes about 0.1 s."""

_ATTEMPTS = 3


class Vswitch:
    """One bridge of one Open vSwitch, reconciled. Build it by `connect`."""

    def __init__(self, database: OvsdbConnection, db_target: str) -> None:
        self._database = database
        self._db_target = db_target
        self._index = SwitchIndex()
        self._report = Report(self._index, "")
        self._writing = asyncio.Lock()
        self._is_woken = asyncio.Event()
        self._untended: set[str] = set()
        self._waiters: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    @classmethod
    async def connect(
        cls,
        db_target: str,
        tls: TlsFiles | None = None,
        *,
        bridge: str | None = None,
        timeout_s: float = DIAL_TIMEOUT_S,
    ) -> "Vswitch":
        """Connect to the database and read it. `bridge`: look at it without ensuring it first.

        Raises Unreachable, ConnectionLost, OvsdbError (the database is no Open_vSwitch).
        """
        database = await OvsdbConnection.connect(db_target, tls, timeout_s=timeout_s)
        vswitch = cls(database, db_target)
        try:
            await database.monitor(MONITORED, listener=vswitch._take)
        except BaseException:
            await database.close()
            raise
        database.when_lost(vswitch._lose)
        if bridge is not None:
            vswitch._look_at(bridge)
        return vswitch

    @property
    def lost_reason(self) -> str | None:
        """Why the connection ended; None while it lives."""
        return self._database.lost_reason

    async def ensure_bridge(self, config: SwitchConfig) -> BridgeInfo:
        """Make bridge and tunnels as `config` wants them; returns at once if they are.

        Without a `datapath_type` a bridge that runs keeps its own; otherwise the kernel's is taken where it
        works, else the userspace one. Raises SwitchMisconfigured, SwitchNotResponding, OvsdbError,
        ConnectionLost.
        """
        self._look_at(config.bridge)
        tried = await self._datapath_types(config)
        for datapath_type in tried:
            async with self._writing:
                hwaddr = "02:" + secrets.token_bytes(5).hex(":")
                operations = plan_bridge(self._index, config, datapath_type=datapath_type, hwaddr=hwaddr)
                if operations or self._index.bridge_info(config.bridge) is None:
                    await self._settle(operations)
            info = self._index.bridge_info(config.bridge)
            if info is not None and info.datapath_type == datapath_type:
                return info
        raise SwitchMisconfigured(
            f"bridge {config.bridge!r} does not come up on datapath {' or '.join(tried)}: see the log of ovs-"
            "vswitchd (system: modprobe openvswitch and restart ovs-vswitchd; netdev: it needs /dev/net/tun "
            "and no second ovs-vswitchd in its network namespace)"
        )

    async def plug(self, requests: Sequence[PlugRequest]) -> tuple[PlugFailure, ...]:
        """Attach devices, all in one transaction; returns those that can't be, with the reason.

        What is attached already gets another MTU, and is read in another way, if that is asked for. The port
        numbers come by `changes()` a few milliseconds later. Raises OvsdbError, ConnectionLost.
        """
        plan = PlugPlan((), ())

        def operations() -> Sequence[Operation]:
            nonlocal plan
            plan = plan_plug(self._index, self._bridge(), requests)
            return plan.operations

        await self._write(operations)
        return plan.failures

    async def unplug(self, port_ids: Sequence[str]) -> None:
        """Remove the interfaces that Plait added for these ports, in one transaction; others stay."""
        await self._write(lambda: plan_unplug(self._index, self._bridge(), port_ids))

    def can_read_by(self, io: PortIo) -> bool:
        """Whether this Open vSwitch was built with what `io` needs."""
        return self._index.can_read_by(io)

    def bridge(self) -> BridgeInfo | None:
        """The bridge; None while it does not run."""
        return self._index.bridge_info(self._report.bridge)

    def attachments(self) -> dict[str, Attachment]:
        """Port id -> where it is: every interface of the bridge with external_ids:iface-id and a number."""
        return dict(self._report.attachments.current)

    def links(self) -> dict[str, Link]:
        """Port id -> MTU and state of its device."""
        return dict(self._report.links.current)

    def owned_port_ids(self) -> frozenset[str]:
        """The ports that Plait plugged in here, attached or not: what `unplug` can take away."""
        on_bridge = self._index.on_bridge(self._report.bridge)
        return frozenset(port.port_id for port in on_bridge if port.is_owned and port.port_id is not None)

    def problems(self) -> tuple[InterfaceProblem, ...]:
        """What Open vSwitch can't use now."""
        return tuple(self._report.problems.current.values())

    def tunnel_ofports(self) -> dict[Transport, int]:
        """Transport -> OpenFlow port number of its tunnel port."""
        return dict(self._report.tunnel_ofports)

    def underlay(self, address: str) -> Underlay:
        """The device with this local address, and its MTU. Raises UnderlayUnusable, SwitchMisconfigured."""
        info = self.bridge()
        if info is None:
            raise SwitchMisconfigured("the bridge does not run yet: ensure_bridge comes first")
        return find_underlay(self._index, info, address)

    async def changes(self) -> AsyncIterator[SwitchChange]:
        """First all that is, then what changes, coalesced; ends with the connection. For one reader.

        Between two steps our own ports are tended: one whose device was exchanged for a new one of the same
        name is made anew, for the userspace datapath would go on with the deleted device.
        """
        self._is_woken.set()
        while True:
            await self._is_woken.wait()
            self._is_woken.clear()
            change = self._report.next_change()
            if change is not None:
                yield change
            if self.lost_reason is not None:
                return
            with contextlib.suppress(ConnectionLost):  # the next round ends then
                await self._tend()

    async def close(self) -> None:
        """Close the connection; the switch goes on as it is."""
        await self._database.close()

    def _bridge(self) -> str:
        if self._report.bridge not in self._index.bridges:
            raise SwitchMisconfigured(f"no bridge {self._report.bridge!r}: ensure_bridge comes first")
        return self._report.bridge

    def _look_at(self, bridge: str) -> None:
        if self._report.bridge != bridge:
            self._report = Report(self._index, bridge)
            self._untended.update(port.name for port in self._index.on_bridge(bridge) if port.is_owned)
            self._is_woken.set()

    async def _datapath_types(self, config: SwitchConfig) -> tuple[str, ...]:
        """The datapath types to try, best first."""
        if config.datapath_type is not None:
            return (config.datapath_type,)
        running = self._index.bridge_info(config.bridge)
        if running is not None:
            return (running.datapath_type,)
        is_local = self._db_target.startswith("unix:")
        if is_local and not await asyncio.to_thread(netlink.has_kernel_datapath):
            return (USERSPACE,)
        # The kernel has it; whether ovs-vswitchd can use it (privileges, or it began before the module was
        # there) shows only when the bridge comes up.
        return (KERNEL, USERSPACE)

    async def _tend(self) -> None:
        names, self._untended = self._untended, set()
        bridge = self.bridge()
        if bridge is None or bridge.datapath_type != USERSPACE:
            return  # the kernel removes a deleted device's port by itself, and ovs-vswitchd makes the new one
        ours = [self._index.interfaces[name] for name in sorted(names) if name in self._index.interfaces]
        await self._write(lambda: plan_records(ours))
        exchanged = [interface for interface in ours if interface.is_exchanged]
        if exchanged:
            await self._plug_anew(exchanged)

    async def _plug_anew(self, interfaces: Sequence[Interface]) -> None:
        """Remove ports and add them again, with a pause: within one transaction it would be no change."""
        requests = [
            PlugRequest(interface.port_id, interface.name, interface.mtu_request, interface.io)
            for interface in interfaces
            if interface.port_id is not None
        ]
        async with self._writing:
            gone = plan_unplug(self._index, self._bridge(), [request.port_id for request in requests])
            with contextlib.suppress(SwitchNotResponding):  # when it comes back it makes all ports anew
                await self._settle(gone)
        await self.plug(requests)

    async def _write(self, plan: Callable[[], Sequence[Operation]]) -> None:
        """Plan and write; somebody who took a name in between makes us plan anew, on what they made."""
        async with self._writing:
            for attempt in range(_ATTEMPTS):
                operations = plan()
                if not operations:
                    return
                try:
                    await self._database.transact(*operations)
                except OvsdbError as error:
                    if error.error != "constraint violation" or attempt == _ATTEMPTS - 1:
                        raise
                else:
                    return

    async def _settle(self, operations: Sequence[Operation]) -> None:
        """Write, and wait until ovs-vswitchd has carried it out (ovs-vswitchd.conf.db(5), cur_cfg)."""
        bump = mutate("Open_vSwitch", [], [("next_cfg", "+=", 1)])
        read = select("Open_vSwitch", [], ["next_cfg"])
        *_, result = await self._database.transact(*operations, bump, read)
        wanted = optional(result.rows[0].get("next_cfg")) if result.rows else None
        if not isinstance(wanted, int):
            raise SwitchMisconfigured("the database has no Open_vSwitch row: ovs-vsctl --no-wait init")
        try:
            async with asyncio.timeout(SETTLE_TIMEOUT_S):
                await self._until(lambda: self._current_config() >= wanted)
        except TimeoutError:
            raise SwitchNotResponding(
                f"ovs-vswitchd did not take a change of the bridge within {SETTLE_TIMEOUT_S:g} s: "
                "is it running? (systemctl status openvswitch-switch)"
            ) from None

    def _current_config(self) -> int:
        found = optional(self._index.root[1].get("cur_cfg")) if self._index.root else None
        return found if isinstance(found, int) else 0

    async def _until(self, condition: Callable[[], bool]) -> None:
        if condition():
            return
        if self.lost_reason is not None:
            raise ConnectionLost(self._db_target, self.lost_reason)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = condition, future
        self._waiters.append(waiter)
        try:
            await future
        finally:
            self._waiters.remove(waiter)

    def _take(self, changes: Sequence[RowChange]) -> None:
        differences = self._index.apply(changes)
        self._report.take(differences)
        for before, after in differences:
            if after is not None and after.bridge == self._report.bridge and after.is_owned:
                self._untended.add(after.name)
            elif before is not None:
                self._untended.discard(before.name)
        self._is_woken.set()
        for condition, future in self._waiters:
            if not future.done() and condition():
                future.set_result(None)

    def _lose(self) -> None:
        self._is_woken.set()
        for _, future in self._waiters:
            if not future.done():
                future.set_exception(ConnectionLost(self._db_target, self.lost_reason or "closed"))
