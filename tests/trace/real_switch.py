"""A real Open vSwitch that holds compiled flows, and what its `ofproto/trace` says, in comparable form."""

import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import Protocol

import msgspec

from plait.agent.programming import actual, encoded
from plait.compile import Compiler
from plait.flows.agreement import SwitchStep, steps_of
from plait.flows.connection import FIRST, State, state_text
from plait.flows.flow import Flow, Group
from plait.flows.trace import Answered, Delivered, Dropped, End, Punted, Sent
from plait.model.entities import Transport
from plait.net.appctl import appctl
from plait.net.openflow import OpenFlowConnection
from plait.reconcile.switch import Mod, PutFlow, PutGroup
from plait.wire.openflow.mods import delete_all_flows

from .scene import TUNNELS, VTEPS

TRACKERS_MAX = 8
_TUNNEL = re.compile(r"ipv[46]\(src=[^,]+,dst=([^,]+),.*(?:vni|key)=(0x[0-9a-f]+)")
_PORT = re.compile(r"^ +(\S+) (\d+)/(\d+):", re.MULTILINE)


class OpenVSwitch(Protocol):
    """What is needed of the fixture `ovs`."""

    rundir: object

    def bridge(self) -> str: ...

    def openflow(self, bridge: str) -> str: ...

    def vsctl(self, *arguments: str) -> str: ...

    def ofctl(self, *arguments: str) -> str: ...

    def appctl(self, *arguments: str) -> str: ...

    def in_namespace(self, *command: str) -> str: ...


class RealTrace(msgspec.Struct, frozen=True):
    """`steps` are (table, priority, cookie); where a packet's size is checked, both ways one after the other.

    `ends` are ("port", ofport), ("tunnel", vtep, key), ("answer",), ("controller",); `final` are fields as
    the last flow that was met saw them, `rewritten` those that the datapath changes in the packet.
    """

    steps: tuple[SwitchStep, ...]
    ends: tuple[tuple[object, ...], ...]
    final: dict[str, str]
    rewritten: dict[str, int]


def comparable(end: End) -> tuple[object, ...]:
    """The end of a simulated packet, as `RealTrace.ends` says it."""
    match end:
        case Delivered(ofport):
            return "port", ofport
        case Sent(_, tun_id, vtep):
            return "tunnel", vtep, tun_id
        case Answered():
            return ("answer",)
        case Punted():
            return ("controller",)
        case Dropped():
            raise AssertionError("a drop is nowhere to be seen")


class RealSwitch:
    """A bridge with ports from 1 on and a tunnel port of each kind; another one has the underlay's addresses.

    `host` is the one whose addresses these are; `name` is what the ports' names begin with.
    """

    def __init__(
        self,
        ovs: OpenVSwitch,
        name: str,
        *,
        host: str = "h1",
        ports: int = 6,
        tunnels: Mapping[Transport, int] = TUNNELS,
    ) -> None:
        self._ovs = ovs
        self.bridge, self._underlay = ovs.bridge(), ovs.bridge()
        for number in range(1, ports + 1):
            self._add_port(self.bridge, f"{name}{number}", number, "type=internal")
        for transport, number in tunnels.items():
            options = [f"type={transport.value}", "options:remote_ip=flow", "options:key=flow"]
            self._add_port(self.bridge, f"{name}{transport.value}", number, *options)
        self._add_port(self._underlay, f"{name}wire", 1, "type=internal")
        ovs.ofctl("add-flow", self._underlay, "actions=output:1")
        number = host.removeprefix("h")
        for address in (f"172.16.0.{number}/24", f"fd01::{number}/64"):
            nodad = ["nodad"] if ":" in address else []
            ovs.in_namespace("ip", "address", "add", address, "dev", self._underlay, *nodad)
        ovs.in_namespace("ip", "link", "set", self._underlay, "up")
        for vtep in (each for name, each in VTEPS.items() if name != host):
            ovs.appctl("tnl/neigh/set", self._underlay, vtep, "02:ee:00:00:00:02")
        shown = ovs.appctl("dpif/show")
        of_bridge = shown.partition(f"  {self.bridge}:")[2].split("\n  br")[0]
        self._ofports = {int(dp): int(ofport) for _, ofport, dp in _PORT.findall(of_bridge)}

    def remove(self) -> None:
        self._ovs.vsctl("del-br", self.bridge, "--", "del-br", self._underlay)

    def _add_port(self, bridge: str, port: str, number: int, *settings: str) -> None:
        request = f"ofport_request={number}"
        self._ovs.vsctl("add-port", bridge, port, "--", "set", "interface", port, request, *settings)

    async def load(self, compiler: Compiler) -> None:
        """Have nothing but the compiler's flows and groups."""
        groups = [entry.group for entry in compiler.groups.values()]
        await self.load_flows(
            {Flow(key, e.instructions): e.cookie for key, e in compiler.flows.items()}, groups
        )

    async def load_flows(self, flows: Mapping[Flow, int], groups: Iterable[Group] = ()) -> None:
        """Have nothing but these flows, each with its cookie, and groups."""
        connection = await OpenFlowConnection.connect(self._ovs.openflow(self.bridge))
        try:
            mods: list[Mod] = [PutGroup(group) for group in groups]
            mods += [PutFlow(flow, cookie) for flow, cookie in flows.items()]
            refused = await connection.commit([delete_all_flows(), *map(encoded, mods)])
            assert not refused, refused
        finally:
            await connection.close()

    async def flows(self) -> dict[bytes, tuple[bytes, int]]:
        """Instructions and cookies, by the flows' keys."""
        connection = await OpenFlowConnection.connect(self._ovs.openflow(self.bridge))
        try:
            dumped = map(actual, await connection.dump_flows())
            return {flow.key: (flow.instructions, flow.cookie) for flow in dumped}
        finally:
            await connection.close()

    async def trace(self, flow: str, *, size_bytes: int, state: State = FIRST) -> RealTrace:
        """What becomes of a packet; `flow` in ovs-ofctl's words. All trackers say that it is in `state`."""
        saying = ("--ct-next", state_text(state)) * TRACKERS_MAX
        text = await appctl(str(self._ovs.rundir), "ofproto/trace", self.bridge, flow, *saying)
        in_port = int(re.findall(r"in_port=(\d+)", flow)[0])
        datapath = re.findall(r"^Datapath actions: (.*)$", text, re.MULTILINE)
        ends = [end for actions in datapath for end in self._ends(actions, in_port, size_bytes)]
        final = re.findall(r"^Final flow: (.*)$", text, re.MULTILINE)[-1]
        return RealTrace(
            steps_of(text),
            tuple(ends),
            dict(part.split("=", 1) for part in final.split(",") if "=" in part),
            dict(_rewritten("".join(datapath))),
        )

    def _ends(self, actions: str, in_port: int, size_bytes: int) -> Iterator[tuple[object, ...]]:
        """Where the datapath sends packets, in order."""
        for action in _split(actions):
            name, _, inner = action.partition("(")
            inner = inner.removesuffix(")")
            if name.isdigit():
                ofport = self._ofports[int(name)]
                yield ("answer",) if ofport == in_port else ("port", ofport)
            elif name == "clone":
                yield from self._ends(inner, in_port, size_bytes)
            elif name == "tnl_push":
                (vtep, key), *_ = _TUNNEL.findall(inner)
                yield "tunnel", int(ip_address(vtep)), int(key, 16)
                return
            elif name == "userspace":
                yield ("controller",)
            elif name == "check_pkt_len":
                limit, larger, fitting = _split(inner)
                branch = larger if size_bytes > int(limit.removeprefix("size=")) else fitting
                yield from self._ends(branch.partition("(")[2].removesuffix(")"), in_port, size_bytes)


def _rewritten(actions: str) -> Iterator[tuple[str, int]]:
    """What becomes of MACs and of the TTL, in order."""
    for header, fields in re.findall(r"set\((eth|ipv4|ipv6)\(([^)]*)\)\)", actions):
        for name, _, value in (field.partition("=") for field in fields.split(",")):
            if header == "eth":
                yield f"eth_{name}", int(value.replace(":", ""), 16)
            elif name in ("ttl", "hlimit"):
                yield "nw_ttl", int(value)


def _split(actions: str) -> list[str]:
    """At the commas outside of parentheses."""
    parts, depth, start = [], 0, 0
    for position, character in enumerate(actions):
        depth += (character == "(") - (character == ")")
        if character == "," and not depth:
            parts.append(actions[start:position])
            start = position + 1
    return [*parts, actions[start:]]
