"""A packet's way between hosts: the flows of the sender's host, a tunnel, the flows of the far one. Pure."""

import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address

import msgspec

from plait.compile import Compiler, compile_all
from plait.flows import reasons
from plait.flows.connection import FIRST, State
from plait.flows.flow import Flow
from plait.flows.packet import Packet
from plait.flows.pipeline import table_name
from plait.flows.registers import OUT_PORT, TUNNEL_PORT
from plait.flows.trace import Answered, Delivered, Dropped, Punted, Sent, Step, Switch, Trace
from plait.model.entities import LiveHost, Transport
from plait.model.facets import Attachment, Tunnels
from plait.model.view import View
from plait.wire.openflow.text import instructions_text, match_text

_PORT_NUMBER = re.compile(
    r"(?:(?<=\bin_port=)|(?<=\boutput:))\d+\b"
    rf"|(?<=\bset_field:)0x[0-9a-f]+(?=->(?:{OUT_PORT.field}|{TUNNEL_PORT.field})\b)"
)
"""Where a flow's text has a port of the switch: matches, outputs, and the registers that hold one."""


class Site:
    """One host, as its view says: compiled, with its switch simulated, and port numbers known by ports."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.compiler: Compiler = compile_all(view)
        tunnels = view.get(Tunnels, "")
        self._tunnels = dict(tunnels.ofports) if tunnels is not None else {}
        self._transports = {ofport: transport for transport, ofport in self._tunnels.items()}
        self._ports = {each.ofport: each.port for each in view.all(Attachment)}
        self._switch = Switch(
            (Flow(key, entry.instructions) for key, entry in self.compiler.flows.items()),
            (entry.group for entry in self.compiler.groups.values()),
            self._transports,
        )

    def from_port(self, port: str, packet: Packet, *, state: State = FIRST, link: int = 0) -> Trace:
        """What becomes of a packet that the endpoint at `port` sends; see `Switch.trace`."""
        attachment = self.view.get(Attachment, port)
        ofport = 0 if attachment is None else attachment.ofport
        return self._switch.trace(packet, ofport, state=state, link=link)

    def from_tunnel(
        self, transport: Transport, vni: int, packet: Packet, *, state: State = FIRST, link: int = 0
    ) -> Trace:
        """What becomes of a packet that comes from another host."""
        ofport = self._tunnels.get(transport, 0)
        return self._switch.trace(packet, ofport, tun_id=vni, state=state, link=link)

    def texts(self, flow: Flow, name_of: Callable[[str], str]) -> tuple[str, str]:
        """Match and actions for people: port numbers, which are stand-ins, give way to what stands there.

        `name_of` names a port by its id.
        """

        def named(found: re.Match[str]) -> str:
            ofport = int(found[0], 0)
            port = self.port_at(ofport)
            return str(self._transports.get(ofport, found[0])) if port is None else name_of(port)

        texts = match_text(flow.match), instructions_text(flow.instructions)
        match, actions = (_PORT_NUMBER.sub(named, text) for text in texts)
        return match, actions

    def port_at(self, ofport: int) -> str | None:
        return self._ports.get(ofport)

    def transport_at(self, ofport: int) -> Transport:
        return self._transports[ofport]

    def host_at(self, vtep: IPv4Address | IPv6Address) -> str | None:
        """The living host that has an underlay address."""
        return next((host.name for host in self.view.all(LiveHost) if ip_address(host.vtep) == vtep), None)


class Crossing(msgspec.Struct, frozen=True):
    """From one host to another (None: nobody has that address) by a tunnel."""

    transport: Transport
    vni: int
    vtep: str
    host: str | None


class Leg(msgspec.Struct, frozen=True):
    """The way through one host; `crossing` is how the packet came there, if from another one.

    `links`: between how many ways a hash decided, each time that one did.
    """

    host: str
    steps: tuple[Step, ...]
    crossing: Crossing | None
    links: tuple[int, ...] = ()


class Arrival(msgspec.Struct, frozen=True):
    """A port that the packet was delivered to."""

    host: str
    port: str


class Loss(msgspec.Struct, frozen=True):
    """A copy of the packet that ended: on which host, in which table, and why."""

    host: str
    table: str
    reason: str

    def __str__(self) -> str:
        return f"dropped in {self.table.upper()} on {self.host}: {self.reason}"


class Path(msgspec.Struct, frozen=True):
    """The whole way. `answer` is what a switch sent back to the sender instead."""

    legs: tuple[Leg, ...]
    arrivals: tuple[Arrival, ...]
    losses: tuple[Loss, ...]
    answer: Packet | None


def trace_path(
    site_of: Callable[[str], Site],
    host: str,
    port: str,
    packet: Packet,
    *,
    state: State = FIRST,
    link: int = 0,
) -> Path:
    """Where a packet gets that the endpoint at `port` of `host` sends; `site_of` gives the hosts passed.

    `state` is what it is in its connection; `link` which way it takes where several are possible.
    """
    walk = _Walk(site_of, state, link)
    near = site_of(host)
    walk.take(near, near.from_port(port, packet, state=state, link=link), None)
    return Path(tuple(walk.legs), tuple(walk.arrivals), tuple(walk.losses), walk.answer)


class _Walk:
    def __init__(self, site_of: Callable[[str], Site], state: State, link: int) -> None:
        self._site_of = site_of
        self._state = state
        self._link = link
        self.legs: list[Leg] = []
        self.arrivals: list[Arrival] = []
        self.losses: list[Loss] = []
        self.answer: Packet | None = None

    def take(self, site: Site, trace: Trace, crossing: Crossing | None) -> None:
        """Note one host's part of the way, and go on to the hosts that the packet was sent to."""
        host = site.view.host
        self.legs.append(Leg(host, trace.steps, crossing, trace.links))
        last = table_name(trace.steps[-1].table)
        for end in trace.ends:
            match end:
                case Delivered(ofport):
                    port = site.port_at(ofport)
                    if port is None:
                        self.losses.append(Loss(host, last, f"no port is plugged in at {ofport}"))
                    else:
                        self.arrivals.append(Arrival(host, port))
                case Answered(packet):
                    self.answer = packet
                case Punted(userdata):
                    self.losses.append(Loss(host, last, reasons.of_punt(userdata)))
                case Dropped(table, reason):
                    self.losses.append(Loss(host, table_name(table), reason))
                case Sent():
                    self._cross(site, end)

    def _cross(self, site: Site, sent: Sent) -> None:
        vtep = (IPv6Address if sent.is_v6 else IPv4Address)(sent.vtep)
        crossing = Crossing(site.transport_at(sent.ofport), sent.tun_id, str(vtep), site.host_at(vtep))
        if crossing.host is None:
            self.losses.append(Loss(site.view.host, "encapsulate", f"no living host has the address {vtep}"))
            return
        far = self._site_of(crossing.host)
        trace = far.from_tunnel(
            crossing.transport, crossing.vni, sent.packet, state=self._state, link=self._link
        )
        self.take(far, trace, crossing)
