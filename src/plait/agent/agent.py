"""One agent, wired: one root task group, and what happens at the start and at the end.

Start: the last view from disk, then the store. The gate opens when intent, reach and the switch's ports have
told all; a store that can't be reached is replaced by the last view. End: traffic goes on as it is.
"""

import asyncio
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import structlog

from plait import __version__
from plait.agent import plugging as plugging_module
from plait.agent.api import listening
from plait.agent.cache import DiskView
from plait.agent.config import Config, Datapath
from plait.agent.engine import Engine
from plait.agent.inspection import Inspection
from plait.agent.intent import IntentFeed
from plait.agent.lastview import from_disk, to_disk
from plait.agent.notify import Notifier
from plait.agent.plugging import Plugging
from plait.agent.presence import NAME, Presence
from plait.agent.programming import Programming
from plait.agent.reach import ReachFeed
from plait.agent.reporting import Reporting
from plait.agent.shutdown import host_is_shutting_down
from plait.agent.underlay import Warmth
from plait.model.entities import LiveHost, Port
from plait.model.facets import Change, Key
from plait.net.vswitch import BridgeInfo, Underlay
from plait.net.vswitch.types import USERSPACE
from plait.reach.api import Interest
from plait.reach.watch import WatchReach
from plait.store.api import Store
from plait.store.open import open_store

log = structlog.get_logger("plait.agent")


class Runs(Protocol):
    """A part that works until it is cancelled."""

    async def run(self) -> None: ...


class Agent:
    """Everything that runs on one host, for one switch."""

    def __init__(self, config: Config, store: Store, disk: DiskView, underlay_address: str) -> None:
        self._config = config
        self._store = store
        self._disk = disk
        self._stop = asyncio.Event()
        self._notifier = Notifier()
        self.engine = Engine(config.host, self._remember)
        self.presence = Presence(
            store,
            config.host,
            address=underlay_address,
            ttl_s=config.lease_ttl_s,
            stopped_ttl_s=config.stopped_ttl_s,
            on_name=self._name,
        )
        self.engine.gate.wait_for(NAME)
        self._has_last_view = self._recall()
        interest = Interest()
        tls = config.tls
        grace_s = config.reach_grace_s
        reach = WatchReach(store, config.host, grace_s=grace_s, believed=self.engine.view.all(LiveHost))
        self._intent = IntentFeed(store, self.engine, interest, self._store_state, grace_s=grace_s)
        self._reach = ReachFeed(reach, self.engine, interest)
        self._plugging = Plugging(
            self.engine,
            target=config.ovsdb,
            tls=tls,
            bridge=config.bridge,
            datapath=None if config.datapath is Datapath.AUTO else config.datapath,
            underlay_address=underlay_address,
            transports=config.transports,
            openflow=config.openflow,
            port_io=config.port_io,
            on_state=lambda state: self.presence.component("switch database", state),
            on_underlay=self._appear,
        )
        self._reporting = Reporting(self.engine, store, reach, self._plugging, self._intent.is_group_heard)
        self._programming = Programming(
            self.engine,
            target=config.openflow,
            tls=tls,
            portion=config.bundle_flows,
            on_state=self._switch_state,
            on_confirmed=self._confirmed,
        )
        self._warmth = Warmth(self.engine, underlay_address)
        self._inspection = Inspection(
            self.engine,
            self._programming,
            self._reporting,
            self.presence,
            bridge=config.bridge,
            appctl_target=str(config.ovs_rundir),
        )
        self.engine.gate.on_ready(self.engine.open_gate)
        self.engine.gate.on_open(self._opened)
        self.engine.on_dirty(self._look)
        self.presence.component("view", "waiting for " + ", ".join(sorted(self.engine.gate.awaited)))

    async def run(self) -> None:
        """Until SIGTERM or SIGINT."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        # The socket comes first: of two agents of one host the second ends here, before it did anything.
        async with listening(self._config.socket, self._inspection.handlers()), asyncio.TaskGroup() as root:
            tasks = [root.create_task(part.run()) for part in self._parts()]
            await self._stop.wait()
            log.info("stopping, traffic goes on", host=self._config.host)
            self._notifier.stopping()
            # Whoever still worked would write what `part` takes back, or take a lease that nobody ends.
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await self.presence.part(for_good=host_is_shutting_down())

    def _parts(self) -> tuple[Runs, ...]:
        return (
            self.engine,
            self._intent,
            self._reach,
            self._plugging,
            self._programming,
            self._programming.advertising,
            self._programming.announcing,
            self._reporting,
            self.presence,
            self._warmth,
            self._notifier,
        )

    # -- the last view

    def _recall(self) -> bool:
        """Bring the view to where the last run left it. True when it left something."""
        changes = list(from_disk(self._disk.load()))
        self.engine.change(changes)
        self._is_recalled = True
        if changes:
            log.info("last view read", facets=len(changes), ports=self.engine.view.count(Port))
        return bool(changes)

    _is_recalled = False
    _is_store_away = False

    def _remember(self, changes: Iterable[Change]) -> None:
        if self._is_recalled:
            self._disk.save(to_disk(changes))
            self.presence.component("disk", self._disk.problem or "ok")

    # -- what the parts say

    def _opened(self) -> None:
        self.presence.component("view", "ok")
        log.info("view complete", ports=self.engine.view.count(Port), flows=len(self.engine.compiler.flows))

    def _name(self, is_ours: bool) -> None:
        """An agent without its name changes nothing at the start, and later says nothing."""
        self._reporting.speak(is_ours)
        if is_ours:
            self.engine.gate.told(NAME)

    def _look(self, dirty: set[Key]) -> None:
        if Key("host", self._config.host) in dirty:
            self.presence.doubt()

    def _store_state(self, reason: str) -> None:
        self.presence.component("store", reason or "ok")
        was_away, self._is_store_away = self._is_store_away, bool(reason)
        if not reason:
            if was_away:
                self._reporting.assert_again()
                self.presence.doubt()
            return
        if not self.engine.gate.is_open and self._has_last_view:
            log.warning("store can't be reached, going on with the last view", reason=reason)
            self.engine.gate.told(*self.engine.gate.awaited - {plugging_module.SOURCE})
        else:
            log.warning("store can't be reached, traffic goes on", reason=reason)

    def _switch_state(self, state: str) -> None:
        self.presence.component("switch flows", state)
        self._reporting.switch_ready(self._programming.connection is not None)
        if state == "ok":
            self._notifier.ready(
                f"{len(self.engine.compiler.flows)} flows, {self.engine.view.count(Port)} ports"
            )

    def _confirmed(self) -> None:
        self._reporting.switch_ready(True)
        self._reporting.confirmed()

    def _appear(self, underlay: Underlay, bridge: BridgeInfo) -> None:
        self._warmth.use(underlay.device if bridge.datapath_type == USERSPACE else None)
        self.presence.appear(
            LiveHost(
                name=self._config.host,
                vtep=underlay.address,
                underlay_mtu_bytes=underlay.mtu_bytes,
                transports=self._config.transports,
                datapath=bridge.datapath_type,
                version=__version__,
            )
        )


async def run(config: Config, underlay_address: str) -> None:
    """The agent's whole life. Raises StoreError, OSError (state directory) with the way out."""
    store = open_store(config.store)
    try:
        disk = DiskView(Path(config.state_dir) / "view")
        try:
            await Agent(config, store, disk, underlay_address).run()
        finally:
            disk.close()
    finally:
        await store.close()
