"""Would a packet get there, and its answer back, and if not, why not? Asked by names, by the store alone.

As an endpoint does it: first the question for the next hop's MAC, then the packet itself; and so does who
answers. What speaks against it outside of flows (not bound, not up, host not alive, no way) is named first.
"""

from collections.abc import Mapping
from enum import StrEnum
from ipaddress import ip_address

import msgspec

from plait.flows import packet as packets
from plait.flows.address_numbers import mac_number, multicast_mac
from plait.flows.connection import ANSWER, FIRST, State
from plait.flows.packet import Packet
from plait.intent import names
from plait.intent.explaining import Remark, explain
from plait.intent.looking import Looking, resolve_target, same_family
from plait.intent.path import Path, Site, trace_path
from plait.intent.stored_view import Stored
from plait.intent.weighing import Weighing
from plait.model.checks import Invalid
from plait.model.entities import Port
from plait.model.way import FirstHop, Way
from plait.store.api import Store

MIN_SIZE_BYTES, MAX_SIZE_BYTES = 60, 65535


class Kind(StrEnum):
    """What is sent."""

    PING = "ping"
    TCP = "tcp"
    UDP = "udp"
    SCTP = "sctp"
    ARP = "arp"
    """Only the question for the MAC: ARP, or a neighbour solicitation."""

    @property
    def has_ports(self) -> bool:
        return self in (Kind.TCP, Kind.UDP, Kind.SCTP)


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """What to send: `number` is the port of what has ports; `size_bytes` counts from the IP header."""

    kind: Kind = Kind.PING
    number: int = 0
    size_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.kind.has_ports and not 1 <= self.number <= 65535:
            raise Invalid(f"{self.kind} port {self.number} is out of range: choose 1 to 65535")
        if self.size_bytes is not None and not MIN_SIZE_BYTES <= self.size_bytes <= MAX_SIZE_BYTES:
            raise Invalid(
                f"size {self.size_bytes} is out of range: choose {MIN_SIZE_BYTES} to {MAX_SIZE_BYTES} bytes"
            )


class Passage(msgspec.Struct, frozen=True):
    """One packet's way; `what` says in words which packet, `remarks` what was decided about it.

    `sender` is the id of the port that it came from, `state` what it was in its connection.
    """

    what: str
    packet: Packet
    path: Path
    sender: str
    state: State
    remarks: tuple[Remark, ...]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The answer. `reason` says why not; `notes` what is remarkable anyway; `sites` are the hosts passed.

    `is_answered`: whether an answer would come back; None: none is to be expected, or it is not known from
    whom.
    """

    source: Port
    target: Port | None
    address: str
    is_delivered: bool
    is_answered: bool | None
    reason: str
    notes: tuple[str, ...]
    passages: tuple[Passage, ...]
    sites: Mapping[str, Site]
    stored: Stored

    @property
    def is_well(self) -> bool:
        """Whether everything gets to where it should."""
        return self.is_delivered and self.is_answered is not False


async def trace(store: Store, project: str, source: str, target: str, probe: Probe) -> Verdict:
    """Send `probe` from port `source` to `target` (port or address). Raises NotFound, Invalid, StoreError."""
    sender = (await names.resolve(store, Port, project, source))[0]
    receiver, address = await resolve_target(store, project, target)
    looking = Looking(store)
    await looking.at([sender] if receiver is None else [sender, receiver])
    if receiver is not None:
        address = next((each for each in receiver.ips if same_family(sender, each) is not None), "")
    own = same_family(sender, address) if address else None
    if own is not None and ip_address(address).is_multicast:
        await looking.reading.endpoints([sender.network])
    elif own is not None:
        holders = await looking.between(sender, own, address)
        receiver = receiver or next(iter(holders), None)
    unready = await looking.unready()
    return _Tracing(looking.reading.stored(), unready, sender, receiver, address, probe).verdict()


class _Tracing:
    """One question, with all that was read for it. Pure."""

    def __init__(
        self,
        stored: Stored,
        unready: Mapping[str, str],
        source: Port,
        target: Port | None,
        address: str,
        probe: Probe,
    ) -> None:
        self._stored = stored
        self._unready = unready
        self._weighing = Weighing(stored, {})
        self._source = source
        self._target = target
        self._address = address
        self._probe = probe
        self._sites: dict[str, Site] = {}
        self._passages: list[Passage] = []
        self._notes: list[str] = []
        self._is_delivered = False
        self._is_answered: bool | None = None

    def verdict(self) -> Verdict:
        """Look at everything that speaks against it, then send, then answer."""
        reason = self._not_ready(self._source) or self._no_address() or self._send()
        return Verdict(
            source=self._source,
            target=self._target,
            address=self._address,
            is_delivered=self._is_delivered,
            is_answered=self._is_answered,
            reason=reason,
            notes=tuple(dict.fromkeys(self._notes)),
            passages=tuple(self._passages),
            sites=self._sites,
            stored=self._stored,
        )

    def _not_ready(self, port: Port) -> str:
        return self._unready.get(port.id, "")

    def _site(self, host: str) -> Site:
        if host not in self._sites:
            self._sites[host] = Site(self._stored.view(host))
        return self._sites[host]

    def _pass(self, sender: Port, what: str, packet: Packet, state: State = FIRST) -> Path:
        path = trace_path(self._site, sender.host or "", sender.id, packet, state=state)
        remarks = explain(path, self._site, self._stored, sender.id)
        self._passages.append(Passage(what, packet, path, sender.id, state, remarks))
        return path

    # -- there

    def _no_address(self) -> str:
        """Why there is no address to send to; "" where there is one."""
        if self._address or self._target is None:
            return ""
        pair = f"{self._source.name!r} and {self._target.name!r}"
        return f"ports {pair} have no addresses of the same IP version"

    def _send(self) -> str:
        own = same_family(self._source, self._address)
        if own is None:
            version = ip_address(self._address).version
            return f"port {self._source.name!r} has no IPv{version} address: give it one"
        if ip_address(self._address).is_multicast:
            return self._send_to(multicast_mac(self._address), own)
        hop, way = self._weighing.places(self._source, own, self._address)
        if hop.reason or (hop.gateway is None and self._is_elsewhere()):
            # Seen as a packet, too, so that it is sure that nothing gets through.
            if self._target is not None:
                self._send_to(mac_number(self._target.mac), own)
            return self._no_first_hop(hop)
        self._remark(hop, way)
        mac = self._ask(self._source, own, hop, self._address)
        if mac is None:
            return self._unanswered(hop)
        if self._probe.kind is Kind.ARP:
            self._is_delivered = True
            return ""
        return self._send_to(mac, own) or self._send_back(own)

    def _is_elsewhere(self) -> bool:
        return self._target is not None and self._target.network != self._source.network

    def _no_first_hop(self, hop: FirstHop) -> str:
        here = self._source.network
        if any(each.network == here for each in self._stored.interfaces):
            return hop.reason or f"{self._address} means another endpoint in network {self._network(here)!r}"
        if self._target is None:
            return f"no port in network {self._network(here)!r} has the address {self._address}"
        places = ", ".join(
            f"{port.name!r} is in {self._network(port.network)!r}" for port in (self._source, self._target)
        )
        return f"networks are isolated: {places}, and nothing joins them"

    def _network(self, id: str) -> str:
        return self._stored.name_of("network", id)

    def _remark(self, hop: FirstHop, way: Way) -> None:
        if hop.note:
            self._notes.append(hop.note)
        if len(way.hops) > 1:
            hops = ", ".join(address for _, address in way.hops)
            self._notes.append(
                f"one of several next hops ({hops}), chosen by a hash: the way of one is shown"
            )

    def _ask(self, asker: Port, own: str, hop: FirstHop, address: str) -> int | None:
        """The MAC that an endpoint learns of its first hop, if any."""
        asked = address if hop.gateway is None else hop.gateway.address
        question = packets.request(asker.mac, own, asked)
        name = "neighbour solicitation" if ":" in asked else "ARP request"
        path = self._pass(asker, f"{name}: who has {asked}?", question)
        if path.answer is None:
            return None
        return path.answer.fields.get("arp_sha") or path.answer.fields.get("nd_tll")

    def _unanswered(self, hop: FirstHop) -> str:
        if self._target is not None and self._target.id == self._source.id:
            return f"{self._address} is the sender's own address: it never leaves the endpoint"
        if hop.gateway is not None:
            return (
                f"nobody answers for the gateway {hop.gateway.address}: {self._passages[-1].path.losses[0]}"
            )
        if self._target is not None:
            return self._not_ready(self._target) or str(self._passages[-1].path.losses[0])
        return f"no port in network {self._network(self._source.network)!r} has the address {self._address}"

    def _send_to(self, mac: int, own: str) -> str:
        """Send the packet itself; a reason if it does not arrive where it should."""
        path = self._pass(
            self._source, f"{self._probe.kind} {own} to {self._address}", self._packet(mac, own)
        )
        wanted = None if self._target is None else self._target.id
        if path.answer is not None or any(wanted in (None, arrival.port) for arrival in path.arrivals):
            self._is_delivered = True
            return ""
        if path.arrivals:
            others = ", ".join(repr(self._stored.name_of("station", each.port)) for each in path.arrivals)
            return f"it reaches {others} instead"
        if self._target is not None and (why := self._not_ready(self._target)):
            return why
        return self._loss()

    def _loss(self) -> str:
        """Where the last packet was lost: by the rule that denied it, if one did."""
        passage = self._passages[-1]
        denials = [f"{each.text}, on {each.host}" for each in passage.remarks if each.is_denied]
        return denials[-1] if denials else str(passage.path.losses[-1])

    def _packet(self, mac: int, own: str) -> Packet:
        ends, probe = (mac_number(self._source.mac), mac, own, self._address), self._probe
        match probe.kind:
            case Kind.TCP:
                return packets.tcp(*ends, probe.number, size_bytes=probe.size_bytes)
            case Kind.UDP:
                return packets.udp(*ends, probe.number, size_bytes=probe.size_bytes)
            case Kind.SCTP:
                return packets.sctp(*ends, probe.number, size_bytes=probe.size_bytes)
            case _:
                return packets.echo_request(*ends, size_bytes=probe.size_bytes)

    # -- and back

    def _send_back(self, own: str) -> str:
        """Send what the target answers; a reason if that gets lost."""
        sent = self._passages[-1]
        if sent.path.answer is not None:
            self._is_answered = True
            return ""
        answerer = self._target
        if answerer is None or self._address not in answerer.ips:
            self._notes.append("it is handed on from there; what comes back is not known")
            return ""
        self._is_answered = False
        hop, way = self._weighing.places(answerer, self._address, own)
        if hop.reason:
            return f"its answer does not come back: {hop.reason}"
        self._remark(hop, way)
        mac = self._ask(answerer, self._address, hop, own)
        if mac is None:
            return f"its answer does not come back: {self._passages[-1].path.losses[0]}"
        answer = packets.answer(sent.packet, mac_number(answerer.mac), mac)
        path = self._pass(answerer, f"answer {self._address} to {own}", answer, ANSWER)
        if any(arrival.port == self._source.id for arrival in path.arrivals):
            self._is_answered = True
            return ""
        return f"its answer does not come back: {self._loss() if path.losses else 'it reaches another port'}"
