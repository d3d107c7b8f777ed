"""DHCP and DHCPv6: the endpoint of a port is told what intent gave to it."""

import ipaddress

import structlog

from plait.agent.engine import Engine
from plait.agent.services.punted import Punted
from plait.agent.services.remembered import Remembered
from plait.model.lens import Lens
from plait.services import dhcp, dhcpv6
from plait.services.assignment import Assignment, assignment_of
from plait.services.lease import Leases, leases_of
from plait.wire.datagram import decode_datagram
from plait.wire.dhcp import decode_message
from plait.wire.dhcpv6 import decode_message as decode_message_v6

log = structlog.get_logger("plait.punts")


class Dhcp:
    """Both versions: what a port is told is worked out once, and again when the view differs."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._leases = Remembered(engine, _leases)
        self._assignments = Remembered(engine, _assignment)
        self._declined: set[tuple[int, bytes]] = set()

    def answer_v4(self, punted: Punted) -> bytes | None:
        leases = self._leases.of(punted.ofport)
        if leases is None:
            return None
        answered = dhcp.answer(leases, decode_message(decode_datagram(punted.frame).payload))
        if answered.declined is not None:
            self._declines(punted.ofport, answered.declined)
        return answered.frame

    def answer_v6(self, punted: Punted) -> bytes | None:
        assignment = self._assignments.of(punted.ofport)
        if assignment is None:
            return None
        datagram = decode_datagram(punted.frame)
        message = decode_message_v6(datagram.payload)
        answered = dhcpv6.answer(assignment, message, mac=datagram.source_mac, source=datagram.source)
        for address in answered.declined:
            self._declines(punted.ofport, address)
        return answered.frame

    def _declines(self, ofport: int, address: bytes) -> None:
        """Said once: an endpoint may decline as often as it likes."""
        if (ofport, address) not in self._declined:
            self._declined.add((ofport, address))
            log.warning(
                "endpoint declines its address, because it found somebody else with it",
                port=self._engine.view.port_at(ofport),
                address=str(ipaddress.ip_address(address)),
            )


def _leases(lens: Lens, ofport: int) -> Leases | None:
    id = lens.port_at(ofport)
    port = None if id is None else lens.port(id)
    network = None if port is None else lens.network(port.network)
    if port is None or network is None:
        return None
    on = network.id
    return leases_of(port, network, lens.subnets(on), lens.interfaces_on(on), lens.mtu_bytes(network))


def _assignment(lens: Lens, ofport: int) -> Assignment | None:
    id = lens.port_at(ofport)
    port = None if id is None else lens.port(id)
    network = None if port is None else lens.network(port.network)
    if port is None or network is None:
        return None
    return assignment_of(port, network, lens.subnets(network.id))
