"""The switch's flows and groups, kept as the compiler wants them.

    gate open? --> connect --> monitor --> dump --> differences --> portions, each one atomic bundle --> wait
    for work
                                  |                                                                         ^
                                  +--> changed by somebody else --------------------------------------------+

Rule 1: what is sent is a difference to what the switch has; after a restart with unchanged state that is
nothing.
Rule 2: a portion is confirmed by the switch before it counts.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog

from plait.agent.again import Again
from plait.agent.engine import Engine
from plait.agent.punts import Punts
from plait.agent.services.advertising import Advertising
from plait.agent.services.announcing import Announcing
from plait.agent.services.wiring import services
from plait.agent.together import until_one_ends
from plait.flows.flow import Flow, Group, flow_key
from plait.flows.pipeline import table_name
from plait.flows.punt import METERS
from plait.net.openflow import EventsLost, OpenFlowConnection, SwitchRefused, SwitchUnavailable
from plait.net.stream import TlsFiles
from plait.reconcile.switch import ActualFlow, DeleteFlow, DeleteGroup, Mod, PutFlow, PutGroup
from plait.wire.openflow.messages import ForeignGroupChange
from plait.wire.openflow.mods import FlowCommand, FlowMod, GroupCommand, GroupMod, MeterCommand, MeterMod
from plait.wire.openflow.monitor import ForeignFlowChange, MonitorResumed
from plait.wire.openflow.multipart import FlowStats, MeterConfig
from plait.wire.openflow.packets import PacketIn

log = structlog.get_logger("plait.flows")

SHOWN = 3


class Programming:
    """`on_state` hears "ok" or what is wrong, `on_confirmed` of every confirmed portion."""

    def __init__(
        self,
        engine: Engine,
        *,
        target: str,
        tls: TlsFiles | None,
        portion: int,
        on_state: Callable[[str], None],
        on_confirmed: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._target = target
        self._tls = tls
        self._portion = portion
        self._on_state = on_state
        self._on_confirmed = on_confirmed
        self._dump_wanted = False
        self.advertising = Advertising(engine, self._put_out)
        self.announcing = Announcing(engine, self._put_out)
        self.punts = Punts(services(engine, self.advertising))
        self._foreign: list[tuple[str, Flow]] = []
        self._since_dump: list[ForeignFlowChange] | None = None
        self.connection: OpenFlowConnection | None = None
        self.sent = 0
        self.repaired = 0

    async def run(self) -> None:
        """For ever, through restarts of the switch."""
        again = Again()
        await self._engine.gate.opened()
        while True:
            try:
                connection = await OpenFlowConnection.connect(self._target, ssl=self._tls)
                try:
                    again.connected()
                    await self._serve(connection)
                finally:
                    self.connection = None
                    self._engine.switch.failed()
                    await connection.close()
                reason = "the switch closed the connection"
            except (SwitchUnavailable, SwitchRefused) as error:
                reason = str(error)
            self._on_state(reason)
            log.warning("switch lost, connecting again", reason=reason)
            await again.wait()

    async def _put_out(self, frame: bytes, actions: bytes) -> None:
        """Send a packet that nobody asked for; without a switch it is not sent."""
        if self.connection is not None:
            with suppress(SwitchUnavailable):
                await self.connection.packet_out(frame, actions)

    async def _serve(self, connection: OpenFlowConnection) -> None:
        await connection.monitor()
        self._dump_wanted = True
        await until_one_ends(self._listen(connection), self._program(connection))

    async def _program(self, connection: OpenFlowConnection) -> None:
        while True:
            self._say_foreign()
            if self._dump_wanted:
                self._dump_wanted = False
                await self._compare(connection)
            while mods := self._engine.switch.take(self._portion):
                await self._commit(connection, mods)
            self._on_state(self._refusals() or "ok")
            self._on_confirmed()
            await self._engine.work.wait()
            self._engine.work.clear()

    async def _compare(self, connection: OpenFlowConnection) -> None:
        """What the switch has against what is desired."""
        await self._settle_meters(connection)
        # What others change while the switch answers may not be in the answer, which replaces all that was
        # known: it is heard again afterwards.
        self._since_dump = []
        try:
            expected = len(self._engine.compiler.flows)
            flows = [actual(stats) for stats in await connection.dump_many_flows(expected)]
            groups = [
                Group(group.group_id, group.type, group.buckets) for group in await connection.dump_groups()
            ]
            differences = self._engine.switch.dumped(flows, groups)
        finally:
            heard, self._since_dump = self._since_dump, None
        for event in heard:
            self._repair_flow(event)
        if self.connection is None:
            self.connection = connection
            self.advertising.say_again()
        log.info(
            "switch connected",
            flows=len(flows),
            groups=len(groups),
            differences=len(differences.flows) + len(differences.groups),
        )

    async def _settle_meters(self, connection: OpenFlowConnection) -> None:
        """Meters are few, the same on every host, and no part of bundles."""
        wanted = {meter.id: MeterConfig(meter.id, meter.flags, meter.bands) for meter in METERS}
        has = {meter.meter_id: meter for meter in await connection.dump_meters()}
        mods = [MeterMod(MeterCommand.DELETE, id) for id in has.keys() - wanted.keys()]
        for id, meter in wanted.items():
            if has.get(id) != meter:
                command = MeterCommand.MODIFY if id in has else MeterCommand.ADD
                mods.append(MeterMod(command, id, meter.flags, meter.bands))
        for error in await connection.send(mods) if mods else ():
            log.warning("switch refuses a meter, packets for the agent are not bounded", reason=error.text)

    async def _commit(self, connection: OpenFlowConnection, mods: Sequence[Mod]) -> None:
        errors = await connection.commit([encoded(mod) for mod in mods])
        if not errors:
            self.sent += len(mods)
            self._engine.switch.committed()
            log.debug("flows applied", mods=len(mods))
            self._on_confirmed()
            return
        reasons = {error.index: error.text for error in errors if error.index is not None}
        for index, reason in list(reasons.items())[:SHOWN]:
            log.error("switch refuses a flow", flow=self._text(mods[index]), reason=reason)
        if reasons:
            self._engine.switch.refused(reasons)
        else:
            self._engine.switch.failed()
            raise SwitchUnavailable(self._target, f"a bundle failed without naming a flow: {errors[0].text}")

    async def _listen(self, connection: OpenFlowConnection) -> None:
        """What somebody else does to our flows is said, and undone."""
        async for event in connection.events():
            match event:
                case ForeignFlowChange():
                    self._repair_flow(event)
                case ForeignGroupChange():
                    log.warning(
                        "groups or meters changed by somebody else, comparing everything", number=event.number
                    )
                    self.repaired += 1
                    self._compare_again()
                case PacketIn():
                    await self.punts.take(connection, event)
                case MonitorResumed() | EventsLost():
                    log.warning("changes by others came faster than they were heard, comparing everything")
                    self._compare_again()
                case _:
                    pass

    def _compare_again(self) -> None:
        self._dump_wanted = True
        self._engine.work.set()

    def _repair_flow(self, event: ForeignFlowChange) -> None:
        if self._since_dump is not None:
            self._since_dump.append(event)
            return
        key = flow_key(event.table, event.priority, event.match)
        now = None if event.kind == "removed" else ActualFlow(key, event.instructions, event.cookie)
        if self._engine.switch.changed_by_others(key, now):
            self.repaired += 1
            self._foreign.append((event.kind, Flow(key, event.instructions)))
            self._engine.work.set()

    def _say_foreign(self) -> None:
        """One line for many: somebody who deletes everything must not fill the log."""
        if not self._foreign:
            return
        shown = [f"{kind} in {table_name(flow.table)}: {flow}" for kind, flow in self._foreign[:SHOWN]]
        log.warning("flows changed by somebody else, repairing", count=len(self._foreign), first=shown)
        self._foreign.clear()

    def _refusals(self) -> str:
        refusals = self._engine.switch.refusals
        if not refusals:
            return ""
        return f"the switch refuses {len(refusals)} flows: {next(iter(refusals.values())).reason}"

    def _text(self, mod: Mod) -> str:
        match mod:
            case PutFlow(flow):
                return str(flow)
            case PutGroup(group):
                return str(group)
            case DeleteFlow(key):
                return f"delete {Flow(key, b'')}"
            case DeleteGroup(id):
                return f"delete group {id}"


def actual(stats: FlowStats) -> ActualFlow:
    """A flow as the switch printed it, by its key."""
    return ActualFlow(flow_key(stats.table, stats.priority, stats.match), stats.instructions, stats.cookie)


def encoded(mod: Mod) -> FlowMod | GroupMod:
    """A modification as OpenFlow says it; every one of them may be repeated."""
    match mod:
        case PutFlow(flow, cookie):
            return FlowMod(
                FlowCommand.ADD,
                flow.table,
                flow.priority,
                cookie,
                match=flow.match,
                instructions=flow.instructions,
            )
        case DeleteFlow(key):
            gone = Flow(key, b"")
            return FlowMod(FlowCommand.DELETE_STRICT, gone.table, gone.priority, match=gone.match)
        case PutGroup(group):
            return GroupMod(GroupCommand.ADD_OR_MODIFY, group.id, group.type, group.buckets)
        case DeleteGroup(id):
            return GroupMod(GroupCommand.DELETE, id)
