"""Neighbours on the underlay, kept known to the userspace datapath.

Its tunnels resolve the far host by ARP or ND themselves and drop what waits for the answer; entries age after
15 minutes, in use or not (ovs-vswitchd(8), tnl/neigh). So that no tenant's packet is the one that asks, the
agent sends an empty datagram to the discard port (RFC 863) of every host that appears, and now and then to
all: the kernel asks, and Open vSwitch hears the answer. The kernel datapath needs none of this.
"""

import asyncio
import socket
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import urlsplit

from plait.agent.engine import Engine
from plait.model.entities import LiveHost
from plait.model.view import Key

DISCARD_PORT = 9
REFRESH_S = 240.0
"""Well below the 15 minutes, with room for probes that are lost."""


class Warmth:
    """Sends the datagrams from `address`; losing one costs nothing but the next tenant's first packet."""

    def __init__(self, engine: Engine, address: str) -> None:
        self._engine = engine
        self._address = address
        self._cold: set[str] = set()
        self._wake = asyncio.Event()
        self.is_needed = True
        engine.on_dirty(self._look)

    def _look(self, dirty: set[Key]) -> None:
        hosts = {key.id for key in dirty if key.kind == "host"}
        if hosts:
            self._cold |= hosts
            self._wake.set()

    async def run(self) -> None:
        """For ever."""
        family = socket.AF_INET6 if ":" in self._address else socket.AF_INET
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(REFRESH_S):
                    await self._wake.wait()
            is_refresh, cold = not self._wake.is_set(), self._cold
            self._wake.clear()
            self._cold = set()
            if not self.is_needed:
                continue
            hosts = [host for host in self._engine.view.all(LiveHost) if is_refresh or host.name in cold]
            # The address may be gone for a moment, while the switch restarts.
            with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
                sender.bind((self._address, 0))
                for host in hosts:
                    if host.name != self._engine.view.host:
                        self._send(sender, host.vtep)

    def _send(self, sender: socket.socket, vtep: str) -> None:
        # An unreachable host is no reason not to ask the next one.
        with suppress(OSError):
            sender.sendto(b"", (vtep, DISCARD_PORT))


def underlay_address(configured: str | None, store: str) -> str:
    """The address that other hosts send tunnels to: as configured, or the one from which the kernel reaches
    the store.

    A store on this machine leaves the default route. Raises OSError with the way out when there is none.
    """
    if configured is not None:
        return configured
    hosts = [
        _host_of(endpoint) for endpoint in urlsplit(store).netloc.rpartition("@")[2].split(",") if endpoint
    ]
    for target in (*hosts, "192.0.2.1", "2001:db8::1"):
        with suppress(OSError):
            family, _, _, _, address = socket.getaddrinfo(target, DISCARD_PORT, type=socket.SOCK_DGRAM)[0]
            # Connecting a datagram socket sends nothing; it only asks the routing table.
            with socket.socket(family, socket.SOCK_DGRAM) as asking:
                asking.connect(address)
                own = str(asking.getsockname()[0])
                if not ip_address(own).is_loopback:
                    return own
    way_out = "set underlay_address to the address for tunnels"
    raise OSError(f"no underlay address: this host has no route to others; {way_out}")


def _host_of(endpoint: str) -> str:
    if endpoint.startswith("["):
        return endpoint[1:].partition("]")[0]
    return endpoint.rpartition(":")[0] or endpoint
