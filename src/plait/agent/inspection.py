"""What the agent tells of itself over its socket: how it stands, its flows, and whether all agrees."""

import asyncio
from collections.abc import Mapping
from typing import Any

from plait.agent.api import Handler, NotNow
from plait.agent.engine import PORTION, Engine
from plait.agent.presence import Presence
from plait.agent.programming import Programming, actual
from plait.agent.reporting import Reporting
from plait.apps import APP_NAMES, RULES
from plait.compile import Compiler, FlowEntry, app_of, compile_all, cookies_of
from plait.flows.connection import FIRST, state_text
from plait.flows.flow import Flow, Group
from plait.flows.pipeline import table_name
from plait.model.entities import Endpoint, LiveHost, Network, Port
from plait.model.facets import Attachment
from plait.model.policy import Rule
from plait.net.appctl import AppctlError, appctl
from plait.net.stream import Unreachable
from plait.wire.openflow.text import instructions_text, match_text

_PATIENT_ATTEMPTS = 3
_TRACKERS_MAX = 8
"""Looks at connection tracking that a trace may come to: more than the pipeline has."""

Answer = dict[str, Any]


class Inspection:
    """The calls of the agent's socket. None of them changes anything."""

    def __init__(
        self,
        engine: Engine,
        programming: Programming,
        reporting: Reporting,
        presence: Presence,
        *,
        bridge: str,
        appctl_target: str,
    ) -> None:
        self._engine = engine
        self._programming = programming
        self._reporting = reporting
        self._presence = presence
        self._bridge = bridge
        self._appctl_target = appctl_target

    def handlers(self) -> Mapping[str, Handler]:
        return {
            "status": self.status,
            "flows": self.flows,
            "rule_counters": self.rule_counters,
            "audit": self.audit,
            "ofproto_trace": self.ofproto_trace,
        }

    async def status(self, request: Answer) -> Answer:
        """How it stands: parts, counts, what is awaited, what is pending or refused."""
        view, switch = self._engine.view, self._engine.switch
        return {
            "host": view.host,
            "components": self._presence.components,
            "awaited": sorted(self._engine.gate.awaited),
            "ports": self._reporting.counts(),
            "networks": view.count(Network),
            "hosts": view.count(LiveHost),
            "endpoints": view.count(Endpoint),
            "own_ports": view.count(Port),
            "flows": len(self._engine.compiler.flows),
            "groups": len(self._engine.compiler.groups),
            "pending": switch.pending + self._engine.behind,
            "refused": len(switch.refusals),
            "sent": self._programming.sent,
            "repaired": self._programming.repaired,
            "packets_answered": self._programming.punts.answered,
            "packets_refused": self._programming.punts.refused,
            "conflicts": [
                {
                    "flow": str(Flow(key, b"")) if isinstance(key, bytes) else f"group {key}",
                    "owners": [o.id for o in owners],
                }
                for key, owners in self._engine.compiler.conflicts().items()
            ],
        }

    async def flows(self, request: Answer) -> Answer:
        """Every desired flow with its table's name, app and owner, and the counters of the switch."""
        connection = self._programming.connection
        counters = {}
        if connection is not None:
            for stats in await connection.dump_many_flows(len(self._engine.compiler.flows)):
                counters[actual(stats).key] = (stats.n_packets, stats.n_bytes)
        rows = []
        for key, entry in sorted(self._engine.compiler.flows.items()):
            packets, octets = counters.get(key, (None, None))
            rows.append(
                {
                    **_described(key, entry),
                    "packets": packets,
                    "bytes": octets,
                    "in_step": self._engine.switch.in_step((key,)),
                }
            )
        groups = [
            {"group": str(entry.group), "owner_kind": entry.owner.kind, "owner": entry.owner.id}
            for entry in self._engine.compiler.groups.values()
        ]
        return {"host": self._engine.view.host, "flows": rows, "groups": groups}

    async def rule_counters(self, request: Answer) -> Answer:
        """What each rule decided on this host since its flows are there: packets and bytes, both ways."""
        connection = self._programming.connection
        if connection is None:
            raise NotNow("the switch is not connected: see `plait status`")
        counters: dict[str, dict[str, int]] = {
            rule.id: {"packets": 0, "bytes": 0} for rule in self._engine.view.all(Rule)
        }
        mark, mask = cookies_of(RULES.number)
        for stats in await connection.dump_flows(cookie=mark, cookie_mask=mask):
            entry = self._engine.compiler.flows.get(actual(stats).key)
            if entry is not None and (counter := counters.get(entry.owner.id)) is not None:
                counter["packets"] += stats.n_packets
                counter["bytes"] += stats.n_bytes
        return {"host": self._engine.view.host, "rules": counters}

    async def audit(self, request: Answer) -> Answer:
        """Three that must be equal: what is kept current, what a fresh compile says, what the switch has."""
        connection = self._programming.connection
        if connection is None:
            raise NotNow("the switch is not connected: see `plait status`")
        fresh = await self._compiled_afresh()
        stats = await connection.dump_many_flows(len(self._engine.compiler.flows))
        has = {flow.key: flow for flow in map(actual, stats)}
        has_groups = {
            group.group_id: Group(group.group_id, group.type, group.buckets)
            for group in await connection.dump_groups()
        }
        wanted = self._engine.compiler.flows
        differences = [
            *(
                f"not as a fresh compile: {Flow(key, b'')}"
                for key in _different(dict(wanted), dict(fresh.flows))
            ),
            *(
                f"not as a fresh compile: group {id}"
                for id in _different(dict(self._engine.compiler.groups), dict(fresh.groups))
            ),
            *(f"missing on the switch: {Flow(key, b'')}" for key in wanted.keys() - has.keys()),
            *(
                f"stale on the switch: {Flow(key, flow.instructions)}"
                for key, flow in has.items()
                if key not in wanted
            ),
            *(
                f"different on the switch: {Flow(key, has[key].instructions)}"
                for key in wanted.keys() & has.keys()
                if (wanted[key].instructions, wanted[key].cookie) != (has[key].instructions, has[key].cookie)
            ),
            *(
                f"different on the switch: group {id}"
                for id in _different(
                    {id: e.group for id, e in self._engine.compiler.groups.items()}, has_groups
                )
            ),
        ]
        return {
            "flows": len(has),
            "groups": len(has_groups),
            "pending": self._engine.switch.pending + self._engine.behind,
            "differences": differences,
        }

    async def _compiled_afresh(self) -> Compiler:
        """By portions, so that the agent goes on meanwhile; at once, where the view does not stand still."""
        view = self._engine.view
        for _ in range(_PATIENT_ATTEMPTS):
            changes = self._engine.changes
            fresh = Compiler(view)
            owners = fresh.owners()
            for start in range(0, len(owners), PORTION):
                fresh.run(owners[start : start + PORTION])
                await asyncio.sleep(0)
            if self._engine.changes == changes:
                return fresh
        return compile_all(view)

    async def ofproto_trace(self, request: Answer) -> Answer:
        """`ofproto/trace` of the switch for a flow in ovs-ofctl's syntax; from `port` (an id) if given.

        `state`: what connection tracking says of it, every time (default "trk,new").
        """
        flow = request.get("flow")
        if not isinstance(flow, str):
            raise NotNow("ofproto_trace needs 'flow': a flow in the syntax of ovs-ofctl(8), as text")
        if (port := request.get("port")) is not None:
            attachment = self._engine.view.get(Attachment, str(port))
            if attachment is None:
                raise NotNow(f"port {port} is not plugged in on host {self._engine.view.host}")
            flow = f"in_port={attachment.ofport},{flow}"
        try:
            saying = ("--ct-next", str(request.get("state", state_text(FIRST)))) * _TRACKERS_MAX
            return {"text": await appctl(self._appctl_target, "ofproto/trace", self._bridge, flow, *saying)}
        except (AppctlError, Unreachable) as error:
            raise NotNow(str(error)) from None


def _different(one: dict[Any, Any], other: dict[Any, Any]) -> set[Any]:
    return {key for key in one.keys() | other.keys() if one.get(key) != other.get(key)}


def _described(key: bytes, entry: FlowEntry) -> Answer:
    flow = Flow(key, entry.instructions)
    return {
        "table": flow.table,
        "table_name": table_name(flow.table),
        "priority": flow.priority,
        "match": match_text(flow.match),
        "actions": instructions_text(flow.instructions),
        "app": APP_NAMES.get(app_of(entry.cookie) or 0, "?"),
        "owner_kind": entry.owner.kind,
        "owner": entry.owner.id,
    }
