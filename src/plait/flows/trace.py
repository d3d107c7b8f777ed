"""What a switch does with one packet: the flows it meets, table by table, and where its copies end.

Pure, from the same bytes that the switch gets; tests hold it equal to `ofproto/trace` of a real Open vSwitch.

Rule 1: of the flows that match in a table, the one with the highest priority counts; without any, it drops.
Rule 2: a packet is not sent back out of the port that it came in by, unless a flow says so (IN_PORT).
Rule 3: what a bucket of a group does to a packet is not seen by what follows the group.
Rule 4: what `ct` sends to a table comes there after all else is done, with its fields and registers, and with
the state that its connection is said to have; nobody else sees that state.
Rule 5: which of several links a packet takes depends on a hash; whoever sends it says which one it shall be.
Source: OpenFlow 1.4.0, 5; ovs-actions(7).
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from plait.flows import reasons
from plait.flows.bits import read, whole, write
from plait.flows.connection import FIRST, State
from plait.flows.flow import Flow, Group
from plait.flows.lookup import FlowTable
from plait.flows.packet import Packet
from plait.wire.errors import MalformedMessage
from plait.wire.internet import ETH_IPV4, ETH_IPV6
from plait.wire.openflow import parsed
from plait.wire.openflow.decode import decode_actions, decode_instructions
from plait.wire.openflow.mods import BUCKET, GroupType
from plait.wire.openflow.ports import IN_PORT

DEPTH_MAX: Final = 64
STEPS_MAX: Final = 4096
"""Where Open vSwitch gives up on a packet: resubmits inside each other, and lookups in all."""

_SAME_TABLE: Final = 0xFF
_IN_PORT_16: Final = IN_PORT & 0xFFFF
_OF_CONNECTION: Final = ("ct_state", "ct_zone", "ct_mark", "ct_label")
_LEFT_BEHIND: Final = frozenset(
    {
        "in_port",
        "tun_id",
        "tun_src",
        "tun_dst",
        "tun_ipv6_src",
        "tun_ipv6_dst",
        "metadata",
        *_OF_CONNECTION,
        *(f"reg{i}" for i in range(16)),
    }
)
"""What belongs to a packet's stay in one switch, and is not on the wire."""


class Step(msgspec.Struct, frozen=True):
    """A table that the packet went through, and the flow that it met there (None: no flow matched)."""

    table: int
    flow: Flow | None


class Delivered(msgspec.Struct, frozen=True):
    """Out of a port of the switch; `packet` as it leaves."""

    ofport: int
    packet: Packet


class Sent(msgspec.Struct, frozen=True):
    """Into a tunnel: to the host with this underlay address (a number; 0 if no flow set one)."""

    ofport: int
    tun_id: int
    vtep: int
    is_v6: bool
    packet: Packet


class Answered(msgspec.Struct, frozen=True):
    """Back out of the port that it came in by."""

    packet: Packet


class Punted(msgspec.Struct, frozen=True):
    """To the controller."""

    userdata: bytes
    packet: Packet


class Dropped(msgspec.Struct, frozen=True):
    """`table` is the last one that the packet was in."""

    table: int
    reason: str


End = Delivered | Sent | Answered | Punted | Dropped


class Tracked(msgspec.Struct, frozen=True):
    """A look at connection tracking. `is_committed`: the connection is known from then on."""

    zone: int
    is_committed: bool


class Trace(msgspec.Struct, frozen=True):
    """The way of a packet through one switch. A packet that is copied has several ends.

    `links`: between how many ways a hash decided, each time that one did.
    """

    steps: tuple[Step, ...]
    ends: tuple[End, ...]
    tracked: tuple[Tracked, ...] = ()
    links: tuple[int, ...] = ()

    @property
    def arrivals(self) -> tuple[End, ...]:
        """Where copies went on to; empty when the packet is lost."""
        return tuple(end for end in self.ends if not isinstance(end, Dropped))

    @property
    def drop(self) -> Dropped | None:
        """Why the packet is lost; None while a copy of it goes on."""
        if self.arrivals:
            return None
        return next(end for end in reversed(self.ends) if isinstance(end, Dropped))


class NotSimulated(Exception):
    """A flow does something that no flow of Plait does; the message says what."""


class Switch:
    """The flows and groups of one switch. `tunnels`: its ports into tunnels (`remote_ip=flow`)."""

    def __init__(self, flows: Iterable[Flow], groups: Iterable[Group], tunnels: Iterable[int] = ()) -> None:
        by_table: dict[int, list[Flow]] = {}
        for flow in flows:
            by_table.setdefault(flow.table, []).append(flow)
        self._tables = {table: FlowTable(rows) for table, rows in by_table.items()}
        self._groups = {group.id: group for group in groups}
        self._tunnels = frozenset(tunnels)

    def trace(
        self, packet: Packet, in_port: int, *, tun_id: int = 0, state: State = FIRST, link: int = 0
    ) -> Trace:
        """Send `packet` in by a port; what comes from a tunnel has a `tun_id`. Raises NotSimulated.

        `state`: what every look at connection tracking says of it. `link`: which of several it takes, modulo
        how many there are.
        """
        walk = _Walk(self._tables, self._groups, self._tunnels, packet.size_bytes, state, link)
        fields = {**_as_matched(packet.fields), "in_port": in_port}
        if tun_id:
            fields["tun_id"] = tun_id
        walk.go(fields)
        return Trace(tuple(walk.steps), tuple(walk.ends), tuple(walk.tracked), tuple(walk.links))


_Act = parsed.Action | parsed.GotoTable


class _Walk:
    """One packet on its way: fields and registers change as it goes."""

    def __init__(
        self,
        tables: Mapping[int, FlowTable],
        groups: Mapping[int, Group],
        tunnels: frozenset[int],
        size_bytes: int | None,
        state: State,
        link: int,
    ) -> None:
        self._tables = tables
        self._groups = groups
        self._tunnels = tunnels
        self._size_bytes = size_bytes
        self._state = state
        self._link = link
        self._depth = 0
        self._waiting: deque[tuple[int, dict[str, int]]] = deque()
        self.steps: list[Step] = []
        self.ends: list[End] = []
        self.tracked: list[Tracked] = []
        self.links: list[int] = []

    def go(self, fields: dict[str, int]) -> None:
        """From the first table on, and then on with what came back from connection tracking."""
        self._waiting.append((0, fields))
        while self._waiting:
            self.look_up(*self._waiting.popleft())

    def look_up(self, table: int, fields: dict[str, int]) -> None:
        """Find the flow of a table and do what it says."""
        if self._depth > DEPTH_MAX or len(self.steps) >= STEPS_MAX:
            raise NotSimulated(f"table {table} is reached again and again: the flows lead in a circle")
        flows = self._tables.get(table)
        flow = None if flows is None else flows.lookup(fields)
        self.steps.append(Step(table, flow))
        before = self._onward()
        if flow is not None:
            self._apply(_acts(flow.instructions), table, fields)
        if self._onward() == before:
            self.ends.append(Dropped(table, reasons.of_drop(table, flow)))

    def _onward(self) -> tuple[int, int, int]:
        """What grows whenever something becomes of the packet."""
        return len(self.steps), len(self.ends), len(self._waiting)

    def _apply(self, actions: Sequence[_Act], table: int, fields: dict[str, int]) -> None:
        """Do these actions."""
        for index, action in enumerate(actions):
            match action:
                case parsed.GotoTable(following):
                    self.look_up(following, fields)
                case parsed.SetField(name, value):
                    write(fields, whole(name), value)
                case parsed.Load(target, value):
                    write(fields, target, value)
                case parsed.Move(source, target):
                    write(fields, target, read(fields, source))
                case parsed.CheckPktLarger(size_bytes, target):
                    if self._size_bytes is None:
                        for is_larger in (True, False):
                            either = dict(fields)
                            write(either, target, is_larger)
                            self._apply(actions[index + 1 :], table, either)
                        return
                    write(fields, target, self._size_bytes > size_bytes)
                case parsed.Output(port):
                    self._output(port, table, fields)
                case parsed.OutputReg(source):
                    self._output(read(fields, source), table, fields)
                case parsed.Group(number):
                    self._group(number, table, fields)
                case parsed.Resubmit():
                    self._resubmit(action, table, fields)
                case parsed.Clone(inner):
                    self._apply(inner, table, dict(fields))
                case parsed.Controller():
                    self.ends.append(Punted(action.userdata, self._on_the_wire(fields)))
                case parsed.Ct():
                    self._track(action, table, fields)
                case parsed.CtClear():
                    _forget_connection(fields)
                case parsed.DecTtl() if fields.get("eth_type") not in (ETH_IPV4, ETH_IPV6):
                    pass
                case parsed.DecTtl():
                    if fields.get("nw_ttl", 0) <= 1:
                        self.ends.append(Punted(b"", self._on_the_wire(fields)))
                        return
                    fields["nw_ttl"] -= 1
                case parsed.Multipath(n_links=n_links, target=target):
                    self.links.append(n_links)
                    write(fields, target, self._link % n_links)
                case parsed.Note():
                    pass
                case _:
                    raise NotSimulated(f"{type(action).__name__} is not simulated")

    def _track(self, action: parsed.Ct, table: int, fields: dict[str, int]) -> None:
        """A copy comes back in the table that the action names; this one forgets its connection."""
        zone = action.zone if isinstance(action.zone, int) else read(fields, action.zone)
        self.tracked.append(Tracked(zone, action.commit))
        back = {**fields, "ct_state": int(self._state), "ct_zone": zone}
        self._apply(action.actions, table, back)
        if action.table is not None:
            self._waiting.append((action.table, back))
        _forget_connection(fields)

    def _output(self, port: int, table: int, fields: dict[str, int]) -> None:
        packet = self._on_the_wire(fields)
        match port:
            case 0xFFFFFFF8 | 0xFFF8:
                self.ends.append(Answered(packet))
            case 0xFFFFFFFD | 0xFFFD:
                self.ends.append(Punted(b"", packet))
            case _ if port == fields["in_port"]:
                self.ends.append(Dropped(table, "it would leave by the port that it came in by"))
            case _ if port in self._tunnels:
                vtep, vtep_v6 = fields.get("tun_dst", 0), fields.get("tun_ipv6_dst", 0)
                self.ends.append(Sent(port, fields.get("tun_id", 0), vtep or vtep_v6, not vtep, packet))
            case _:
                self.ends.append(Delivered(port, packet))

    def _group(self, number: int, table: int, fields: dict[str, int]) -> None:
        group = self._groups.get(number)
        buckets = () if group is None else _buckets(group.buckets)
        if group is None or not buckets:
            self.ends.append(Dropped(table, f"group {number} has no buckets"))
            return
        # Which bucket of a select group it will be depends on a hash; any of them tells where packets go.
        for actions in buckets if group.type == GroupType.ALL else buckets[:1]:
            self._apply(actions, table, dict(fields))

    def _resubmit(self, action: parsed.Resubmit, table: int, fields: dict[str, int]) -> None:
        before = fields["in_port"]
        if action.in_port not in (None, _IN_PORT_16):
            fields["in_port"] = action.in_port
        self._depth += 1
        self.look_up(table if action.table == _SAME_TABLE else action.table, fields)
        self._depth -= 1
        fields["in_port"] = before

    def _on_the_wire(self, fields: Mapping[str, int]) -> Packet:
        kept = {name: value for name, value in fields.items() if name not in _LEFT_BEHIND and value}
        return Packet(kept, self._size_bytes)


def _forget_connection(fields: dict[str, int]) -> None:
    for name in _OF_CONNECTION:
        fields.pop(name, None)


def _as_matched(fields: Mapping[str, int]) -> Mapping[str, int]:
    """The transport header of a fragment that is not the first counts as zeros.

    Source: ovs-ofctl(8), set-frags nx-match.
    """
    if not fields.get("ip_frag", 0) & _LATER:
        return fields
    return {name: 0 if name.split("_")[0] in _TRANSPORTS else value for name, value in fields.items()}


_LATER: Final = 2
"""The bit of `ip_frag` that says: not the first (ovs-fields(7))."""
_TRANSPORTS: Final = frozenset({"tcp", "udp", "sctp", "icmpv4", "icmpv6"})


@lru_cache(maxsize=100_000)
def _acts(instructions: bytes) -> tuple[_Act, ...]:
    """What a flow does, one after the other. Raises NotSimulated."""
    acts: list[_Act] = []
    for instruction in decode_instructions(instructions):
        match instruction:
            case parsed.ApplyActions(actions):
                acts.extend(actions)
            case parsed.GotoTable():
                acts.append(instruction)
            case _:
                raise NotSimulated(f"{type(instruction).__name__} is not simulated")
    return tuple(acts)


@lru_cache(maxsize=10_000)
def _buckets(data: bytes) -> tuple[tuple[parsed.Action, ...], ...]:
    """The actions of every bucket. Raises MalformedMessage."""
    buckets, offset = [], 0
    while offset < len(data):
        length = int.from_bytes(data[offset : offset + 2], "big")
        if length < BUCKET.size or offset + length > len(data):
            raise MalformedMessage("bucket", offset, f"length {length} with {len(data) - offset} bytes left")
        buckets.append(decode_actions(data[offset + BUCKET.size : offset + length]))
        offset += length
    return tuple(buckets)
