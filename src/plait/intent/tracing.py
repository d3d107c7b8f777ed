"""Would a packet get there, and if not, why not? Asked by names, answered from the store alone.

As an endpoint does it: first the question for the other's MAC, then the packet itself. Whatever speaks
against it outside of flows (not bound, not up, host not alive, another network) is named first.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from ipaddress import ip_address

import msgspec

from plait.flows import packet as packets
from plait.flows.address_numbers import mac_number, multicast_mac
from plait.flows.packet import Packet
from plait.intent import names
from plait.intent.errors import NotFound
from plait.intent.path import Path, Site, trace_path
from plait.intent.stored_view import Stored, read
from plait.model import checks
from plait.model.checks import Invalid
from plait.model.codec import decode
from plait.model.entities import Port, PortState, PortStatus, Subnet
from plait.store import keys
from plait.store.api import Store

MIN_SIZE_BYTES, MAX_SIZE_BYTES = 60, 65535


class Kind(StrEnum):
    """What is sent."""

    PING = "ping"
    TCP = "tcp"
    UDP = "udp"
    ARP = "arp"
    """Only the question for the MAC: ARP, or a neighbour solicitation."""


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """What to send: `number` is TCP's or UDP's port; `size_bytes` counts from the IP header."""

    kind: Kind = Kind.PING
    number: int = 0
    size_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.kind in (Kind.TCP, Kind.UDP) and not 1 <= self.number <= 65535:
            raise Invalid(f"{self.kind} port {self.number} is out of range: choose 1 to 65535")
        if self.size_bytes is not None and not MIN_SIZE_BYTES <= self.size_bytes <= MAX_SIZE_BYTES:
            raise Invalid(
                f"size {self.size_bytes} is out of range: choose {MIN_SIZE_BYTES} to {MAX_SIZE_BYTES} bytes"
            )


class Passage(msgspec.Struct, frozen=True):
    """One packet's way; `what` says in words which packet."""

    what: str
    packet: Packet
    path: Path


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The answer. `reason` says why not; `notes` what is remarkable anyway; `sites` are the hosts passed."""

    source: Port
    target: Port | None
    address: str
    is_delivered: bool
    reason: str
    notes: tuple[str, ...]
    passages: tuple[Passage, ...]
    sites: Mapping[str, Site]
    stored: Stored


async def trace(store: Store, project: str, source: str, target: str, probe: Probe) -> Verdict:
    """Send `probe` from port `source` to `target` (port or address). Raises NotFound, Invalid, StoreError."""
    sender = (await names.resolve(store, Port, project, source))[0]
    receiver, address = await _resolve(store, project, target)
    networks = {sender.network, sender.network if receiver is None else receiver.network}
    stored = await read(store, networks)
    if receiver is None:
        receiver = next(
            (p for p in stored.ports.values() if p.network == sender.network and address in p.ips), None
        )
    wanted = [port for port in (sender, receiver) if port is not None and port.host is not None]
    asked = [keys.status(port.host or "", port.id) for port in wanted]
    statuses = {key: decode(PortStatus, item.value) for key, item in (await store.get(asked)).items.items()}
    subnets = await _subnets_of(store, sender)
    return _Tracing(stored, statuses, subnets, sender, receiver, address, probe).verdict()


async def _resolve(store: Store, project: str, target: str) -> tuple[Port | None, str]:
    """A port by name or id, or else an address (canonical)."""
    try:
        address = str(ip_address(target))
    except ValueError:
        address = ""
    try:
        return (await names.resolve(store, Port, project, target))[0], ""
    except (NotFound, Invalid):
        if address:
            return None, address
        raise


async def _subnets_of(store: Store, port: Port) -> tuple[Subnet, ...]:
    """Those that the port has addresses of."""
    wanted = [keys.subnet(port.network, fixed.subnet) for fixed in port.addresses]
    return tuple(decode(Subnet, item.value) for item in (await store.get(wanted)).items.values())


class _Tracing:
    """One question, with all that was read for it. Pure."""

    def __init__(
        self,
        stored: Stored,
        statuses: Mapping[str, PortStatus],
        subnets: tuple[Subnet, ...],
        source: Port,
        target: Port | None,
        address: str,
        probe: Probe,
    ) -> None:
        self._stored = stored
        self._statuses = statuses
        self._subnets = subnets
        self._source = source
        self._target = target
        self._address = address
        self._probe = probe
        self._sites: dict[str, Site] = {}
        self._passages: list[Passage] = []

    def verdict(self) -> Verdict:
        """Look at everything that speaks against it, then send."""
        reason = self._not_ready(self._source) or self._choose_address() or self._send()
        return Verdict(
            source=self._source,
            target=self._target,
            address=self._address,
            is_delivered=not reason,
            reason=reason,
            notes=tuple(self._notes()),
            passages=tuple(self._passages),
            sites=self._sites,
            stored=self._stored,
        )

    def _site(self, host: str) -> Site:
        if host not in self._sites:
            self._sites[host] = Site(self._stored.view(host))
        return self._sites[host]

    def _pass(self, what: str, packet: Packet) -> Path:
        path = trace_path(self._site, self._source.host or "", self._source.id, packet)
        self._passages.append(Passage(what, packet, path))
        return path

    # -- what stands outside of flows

    def _not_ready(self, port: Port) -> str:
        """Why nothing can come from or to a port; "" when it is up."""
        if port.host is None:
            return (
                f"port {port.name!r} is on no host: 'plait port set {port.name} --host HOST' puts it on one"
            )
        if port.host not in self._stored.hosts:
            return f"host {port.host!r} of port {port.name!r} is not alive: start its agent"
        status = self._statuses.get(keys.status(port.host, port.id))
        if status is None or status.sequence != port.sequence:
            return f"port {port.name!r} is not up: its host {port.host!r} has said nothing of it yet"
        if status.state is not PortState.UP:
            return f"port {port.name!r} is {status.state} on host {port.host!r}: {status.reason}"
        return ""

    def _is_elsewhere(self) -> bool:
        return self._target is not None and self._target.network != self._source.network

    def _isolation(self) -> str:
        assert self._target is not None
        pair = (self._source, self._target)
        places = ", ".join(f"{port.name!r} is in {self._network(port.network)!r}" for port in pair)
        return f"networks are isolated: {places}, and nothing joins them"

    def _network(self, id: str) -> str:
        network = self._stored.networks.get(id)
        return id if network is None else network.name

    def _notes(self) -> Iterator[str]:
        target = ip_address(self._address) if self._address else None
        if target is None or target.is_multicast or target.is_link_local or self._is_elsewhere():
            return
        same = [subnet.prefix for subnet in self._subnets if subnet.version == target.version]
        if same and not any(target in checks.prefix(prefix) for prefix in same):
            yield f"{target} lies outside {', '.join(same)}: the sender needs a route of its own there"

    # -- the packets

    def _choose_address(self) -> str:
        """The target's address, of a version that both have; a reason if there is none."""
        if self._address:
            return ""
        assert self._target is not None
        versions = {":" in address for address in self._source.ips}
        common = [address for address in self._target.ips if (":" in address) in versions]
        if not common:
            pair = f"{self._source.name!r} and {self._target.name!r}"
            return f"ports {pair} have no addresses of the same IP version"
        self._address = common[0]
        return ""

    def _send(self) -> str:
        address, source = ip_address(self._address), self._source
        sender = next((each for each in source.ips if ip_address(each).version == address.version), None)
        if sender is None:
            return f"port {source.name!r} has no IPv{address.version} address: give it one"
        if address.is_multicast:
            return self._send_to(multicast_mac(self._address), sender)
        if self._is_elsewhere() and self._target is not None:
            self._send_to(mac_number(self._target.mac), sender)
            return self._isolation()
        answer = self._ask(sender)
        if answer is None:
            return self._unanswered()
        return "" if self._probe.kind is Kind.ARP else self._send_to(answer, sender)

    def _ask(self, sender: str) -> int | None:
        """The MAC that the sender learns, if any."""
        question = packets.request(self._source.mac, sender, self._address)
        name = "neighbour solicitation" if ":" in self._address else "ARP request"
        path = self._pass(f"{name}: who has {self._address}?", question)
        if path.answer is None:
            return None
        fields = path.answer.fields
        return fields.get("arp_sha") or fields.get("nd_tll")

    def _unanswered(self) -> str:
        if self._target is not None and self._target.id == self._source.id:
            return f"{self._address} is the sender's own address: it never leaves the endpoint"
        if self._target is not None and (why := self._not_ready(self._target)):
            return why
        (loss, *_) = self._passages[-1].path.losses
        if self._target is not None:
            return str(loss)
        return f"no port in network {self._network(self._source.network)!r} has the address {self._address}"

    def _send_to(self, mac: int, sender: str) -> str:
        """Send the packet itself; a reason if it does not arrive where it should."""
        path = self._pass(f"{self._probe.kind} {sender} to {self._address}", self._packet(mac, sender))
        wanted = None if self._target is None else self._target.id
        if any(wanted in (None, arrival.port) for arrival in path.arrivals):
            return ""
        if path.arrivals:
            return f"it reaches {', '.join(self._port(arrival.port) for arrival in path.arrivals)} instead"
        if self._target is not None and (why := self._not_ready(self._target)):
            return why
        return str(path.losses[-1])

    def _port(self, id: str) -> str:
        port = self._stored.ports.get(id)
        return repr(id if port is None else port.name)

    def _packet(self, mac: int, sender: str) -> Packet:
        own, probe = mac_number(self._source.mac), self._probe
        match probe.kind:
            case Kind.TCP:
                return packets.tcp(own, mac, sender, self._address, probe.number, size_bytes=probe.size_bytes)
            case Kind.UDP:
                return packets.udp(own, mac, sender, self._address, probe.number, size_bytes=probe.size_bytes)
            case _:
                return packets.echo_request(own, mac, sender, self._address, size_bytes=probe.size_bytes)
