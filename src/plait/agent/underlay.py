"""The underlay: which address tunnels leave from, and neighbours that the userspace datapath has to know.

Its tunnels resolve the far host, or the router on the way, themselves, and drop what waits for the answer;
entries age after 15 minutes, in use or not (ovs-vswitchd(8), tnl/neigh). So that no tenant's packet is the
one that asks, the agent has the kernel ask, for every host that appears and now and then for all; Open
vSwitch hears the answers. The kernel datapath needs none of this.
"""

import asyncio
import socket
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import urlsplit

import msgspec
import structlog

from plait.agent.engine import Engine
from plait.model.entities import LiveHost
from plait.model.facets import Key

log = structlog.get_logger("plait.underlay")

DISCARD_PORT = 9
REFRESH_S = 240.0
"""Well below the 15 minutes, with room for probes that are lost."""


class _Neighbour(msgspec.Struct):
    """One entry of `ip -j neigh`."""

    dst: str
    lladdr: str | None = None


class Warmth:
    """Keeps neighbours known; what is not answered costs nothing but a tenant's first packet."""

    def __init__(self, engine: Engine, address: str) -> None:
        self._engine = engine
        self._address = address
        self._cold: set[str] = set()
        self._wake = asyncio.Event()
        self._device: str | None = None
        engine.on_dirty(self._look)

    def use(self, device: str | None) -> None:
        """Tunnels leave by this device of the userspace datapath; None: nothing is to be done."""
        self._device = device
        self._cold = {host.name for host in self._engine.view.all(LiveHost)}
        self._wake.set()

    def _look(self, dirty: set[Key]) -> None:
        hosts = {key.id for key in dirty if key.kind == "host"}
        if hosts:
            self._cold |= hosts
            self._wake.set()

    async def run(self) -> None:
        """For ever."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(REFRESH_S):
                    await self._wake.wait()
            is_refresh, cold = not self._wake.is_set(), self._cold
            self._wake.clear()
            self._cold = set()
            if self._device is None:
                continue
            vteps = [
                host.vtep
                for host in self._engine.view.all(LiveHost)
                if host.name != self._engine.view.host and (is_refresh or host.name in cold)
            ]
            if vteps:
                self._nudge(vteps)
                await self._probe(self._device)

    def _nudge(self, vteps: Iterable[str]) -> None:
        """An empty datagram to the discard port (RFC 863): the kernel finds out who is the next hop."""
        family = socket.AF_INET6 if ":" in self._address else socket.AF_INET
        # The address may be gone for a moment, while the switch restarts; a host may be unreachable.
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
            sender.bind((self._address, 0))
            for vtep in vteps:
                with suppress(OSError):
                    sender.sendto(b"", (vtep, DISCARD_PORT))

    async def _probe(self, device: str) -> None:
        """A kernel that knows a neighbour already does not ask: have it probe all of them
        (ip-neighbour(8)).
        """
        listed = await _ip("-j", "neigh", "show", "dev", device)
        try:
            neighbours = msgspec.json.decode(listed or b"[]", type=list[_Neighbour])
        except msgspec.DecodeError as error:
            log.warning("ip neigh says what is no list of neighbours", reason=str(error))
            return
        lines = [
            f"neigh replace {each.dst} lladdr {each.lladdr} dev {device} nud probe"
            for each in neighbours
            if each.lladdr is not None
        ]
        if lines:
            await _ip("-force", "-batch", "-", stdin="\n".join(lines).encode())


async def _ip(*arguments: str, stdin: bytes = b"") -> bytes:
    """What ip(8) prints; nothing where it fails, because warmth is a courtesy."""
    try:
        process = await asyncio.create_subprocess_exec(
            "ip",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError as error:
        log.warning("underlay neighbours can't be probed", reason=str(error), way_out="install iproute2")
        return b""
    stdout, _ = await process.communicate(stdin)
    return stdout


def underlay_address(configured: str | None, store: str) -> str:
    """Where other hosts send tunnels: the address as configured, or that by which the store is reached.

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
