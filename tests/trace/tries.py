"""Packets to try in a world, and what the compiled flows make of them: in words of the oracle."""

import random
from collections.abc import Iterator
from functools import cache

from plait.flows import packet as packets
from plait.flows.address_numbers import mac_number
from plait.flows.connection import ANSWER, FIRST, LATER, State
from plait.flows.packet import Packet
from plait.intent.path import Path, Site, trace_path
from plait.intent.stored_view import Stored
from plait.model.entities import Port
from plait.model.policy import Protocol

from .oracle import Oracle, Try
from .worlds import NUMBERS, OUTSIDE, World

NOBODYS_MAC = 0x0200000000FE
OTHER_PROTOCOLS = (Protocol.UDP, Protocol.SCTP, Protocol.ICMP)
HASTE = 4
"""How often a packet is chosen anew that has nowhere to go."""
LINKS_MAX = 16
"""More than any route has ways."""


def random_tries(world: World, oracle: Oracle, chance: random.Random, count: int) -> Iterator[Try]:
    """From ports that are somewhere, to what others have, to nobody's addresses and outside."""
    senders = [port for port in world.ports.values() if port.host is not None and port.addresses]
    for _ in range(count if senders else 0):
        for _ in range(HASTE):
            attempt = _random_try(world, chance, chance.choice(senders))
            # Most of what is sent blindly gets nowhere; that is seen soon enough.
            if oracle.places(world.ports[attempt.sender], attempt.source, attempt.target):
                break
        yield attempt


def _random_try(world: World, chance: random.Random, sender: Port) -> Try:
    source = chance.choice(may_send_as(sender))
    version = 6 if ":" in source else 4
    others = [
        address
        for port in world.ports.values()
        if port.id != sender.id
        for address in may_send_as(port)
        if (":" in address) == (version == 6) and address not in may_send_as(sender)
    ]
    target = chance.choice(others) if others and chance.random() < 0.85 else OUTSIDE[version]
    protocol = chance.choice((Protocol.TCP, Protocol.TCP, *OTHER_PROTOCOLS))
    return Try(
        sender=sender.id,
        source=source,
        target=target,
        protocol=protocol,
        number=chance.choice(NUMBERS) if protocol.has_ports else 0,
        icmp_type=0 if protocol.has_ports else 8 if version == 4 else 128,
    )


def may_send_as(port: Port) -> tuple[str, ...]:
    """A port's addresses, with those of its address pairs."""
    return (*port.ips, *(pair.prefix.split("/")[0] for pair in port.address_pairs))


class Flows:
    """The flows of every host of a world, simulated."""

    def __init__(self, world: World, oracle: Oracle) -> None:
        self.world = world
        self._oracle = oracle
        self.stored: Stored = world.stored()
        self.site = cache(self._site)

    def _site(self, host: str) -> Site:
        return Site(self.stored.view(host))

    def fates(self, attempt: Try) -> frozenset[str]:
        """What may become of it: each of the ways that a hash may choose counts."""
        return self._fates(self.sender(attempt), self.packet(attempt), FIRST)

    def fates_later(self, attempt: Try) -> frozenset[str]:
        """The same of a packet that follows it on the same connection."""
        return self._fates(self.sender(attempt), self.packet(attempt), LATER)

    def fates_of_answer(self, answerer: Port, attempt: Try) -> frozenset[str]:
        """The same of what `answerer` sends back."""
        return self._fates(answerer, self.answer(answerer, attempt), ANSWER)

    def sender(self, attempt: Try) -> Port:
        return self.world.ports[attempt.sender]

    def packet(self, attempt: Try) -> Packet:
        """As the sender's endpoint sends it: to the target, to a gateway, or to nobody."""
        sender = self.sender(attempt)
        macs = mac_number(sender.mac), self._first_hop(sender, attempt.source, attempt.target)
        ends = attempt.source, attempt.target
        match attempt.protocol:
            case Protocol.TCP:
                return packets.tcp(*macs, *ends, attempt.number)
            case Protocol.UDP:
                return packets.udp(*macs, *ends, attempt.number)
            case Protocol.SCTP:
                return packets.sctp(*macs, *ends, attempt.number)
            case _:
                return packets.echo_request(*macs, *ends)

    def answer(self, answerer: Port, attempt: Try) -> Packet:
        """As the answerer's endpoint sends it."""
        hop = self._first_hop(answerer, attempt.target, attempt.source)
        return packets.answer(self.packet(attempt), mac_number(answerer.mac), hop)

    def _first_hop(self, sender: Port, source: str, target: str) -> int:
        gateway = self._oracle.gateway(sender, source, target)
        if gateway is not None:
            return mac_number(gateway.mac)
        holders = self._oracle.holders({sender.network}, target)
        return mac_number(holders[0].mac) if holders else NOBODYS_MAC

    def _fates(self, sender: Port, packet: Packet, state: State) -> frozenset[str]:
        path = self.path(sender, packet, state, 0)
        links = max((count for leg in path.legs for count in leg.links), default=1)
        assert links <= LINKS_MAX
        paths = [path, *(self.path(sender, packet, state, link) for link in range(1, links))]
        return frozenset(map(fate_of, paths))

    def path(self, sender: Port, packet: Packet, state: State, link: int) -> Path:
        """One way of a packet."""
        return trace_path(self.site, sender.host or "", sender.id, packet, state=state, link=link)


def fate_of(path: Path) -> str:
    """Where a packet got, or where it was lost, as the oracle says it."""
    if path.arrivals:
        (arrival,) = path.arrivals
        return f"to {arrival.port}"
    assert path.answer is None
    (loss,) = path.losses
    return {"egress_rules": "egress", "ingress_rules": "ingress", "deliver": "itself"}.get(loss.table, "way")
