"""Packets that go no further: their sender is told why.

A routed packet's sender is told by its own gateway: the router's interface on its network, on whichever host
the packet would have ended. Inside a network nobody is between; there the receiver has to speak.
"""

from functools import partial
from ipaddress import ip_address

from plait.agent.engine import Engine
from plait.agent.services.punted import Punted, Service
from plait.flows.address_numbers import ipv4_number, mac_number
from plait.model.entities import Network, Port
from plait.model.routers import Router, RouterInterface
from plait.model.topology import span
from plait.wire.icmp import IcmpError, Offender, icmp_error, offender, too_big


class IcmpErrors:
    """See the module's docstring."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def telling(self, error: IcmpError) -> Service:
        """The service for packets with which this is wrong."""
        return partial(self._answer, error)

    def _answer(self, error: IcmpError, punted: Punted) -> bytes | None:
        if error is not IcmpError.TOO_BIG:
            return self._by_the_gateway(error, punted, 0)
        view = self._engine.view
        network = next((network for network in view.all(Network) if network.vni == punted.vni), None)
        mtu_bytes = None if network is None else view.mtu_bytes(network)
        if mtu_bytes is None:
            return None
        if punted.router:
            return self._by_the_gateway(error, punted, mtu_bytes)
        return too_big(punted.frame, mtu_bytes)

    def _by_the_gateway(self, error: IcmpError, punted: Punted, mtu_bytes: int) -> bytes | None:
        about = offender(punted.frame)
        id = self._engine.view.port_at(punted.ofport)
        port = None if id is None else self._engine.view.get(Port, id)
        gateway = None if port is None or about is None else self._gateway(port, punted.router, about)
        if about is None or port is None or gateway is None or self._is_for_all(about, gateway):
            return None
        # Who is spoken to answers as it was spoken to: all of the router's addresses are its own.
        is_receiver = error is IcmpError.NO_PORT
        return icmp_error(
            error,
            about,
            source_mac=mac_number(gateway.mac).to_bytes(6, "big"),
            source=about.destination if is_receiver else ip_address(gateway.address).packed,
            to_mac=mac_number(port.mac).to_bytes(6, "big"),
            mtu_bytes=mtu_bytes,
        )

    def _gateway(self, port: Port, router: int, about: Offender) -> RouterInterface | None:
        """The router's interface on the port's network; of several the one on the sender's subnet."""
        view = self._engine.view
        version = 4 if len(about.source) == 4 else 6
        interfaces = [
            interface
            for interface in view.topology.interfaces_on(port.network)
            if interface.version == version
            and (owner := view.get(Router, interface.router)) is not None
            and owner.vni == router
        ]
        source = span(str(ip_address(about.source)))
        of_subnet = (each for each in interfaces if span(each.prefix).covers(source))
        return next(of_subnet, interfaces[0] if interfaces else None)

    def _is_for_all(self, about: Offender, gateway: RouterInterface) -> bool:
        """Whether it is for all of a subnet (RFC 1122, 3.2.2: no error about those)."""
        if gateway.version == 6:
            return False
        destination = int.from_bytes(about.destination, "big")
        prefixes = (each.prefix for each in self._engine.view.topology.answers_for(gateway.router))
        return any(_last_address(prefix) == destination for prefix in prefixes if ":" not in prefix)


def _last_address(prefix: str) -> int | None:
    """The directed broadcast address; None in a prefix too long to have one (RFC 3021)."""
    bits = span(prefix).bits
    return ipv4_number(prefix.partition("/")[0]) | (1 << 32 - bits) - 1 if bits < 31 else None
