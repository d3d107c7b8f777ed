"""Whether packets of one endpoint get to another one, asked with real ones."""

import contextlib
import ipaddress
import os
import socket
import struct
from collections.abc import Callable, Iterator

from plait.lab import crafted, netns
from plait.lab.endpoint import Endpoint
from plait.lab.streams import UdpEcho, udp_ask
from plait.lab.wire import Wire

PATIENCE_S = 0.4
"""How long an answer may take until it counts as none."""

PROTO_TCP, PROTO_SCTP, PROTO_ICMP, PROTO_ICMPV6, PROTO_GRE = 6, 132, 1, 58, 47


def address_of(end: Endpoint, family: int) -> str:
    return end.v4 if family == 4 else end.v6


def tcp(client: Endpoint, server: Endpoint, family: int, port: int = 80) -> bool:
    """Whether a connection opens."""
    address = address_of(server, family)
    listener = netns.inside(
        server.namespace, lambda: socket.create_server((address, port), family=_family(address))
    )
    with listener, netns.inside(client.namespace, lambda: socket.socket(_family(address))) as asking:
        asking.settimeout(PATIENCE_S)
        try:
            asking.connect((address, port))
        except OSError:
            return False
        return True


def udp(client: Endpoint, server: Endpoint, family: int, port: int = 53, size_bytes: int = 32) -> bool:
    """Whether a datagram is answered with itself."""
    address = address_of(server, family)
    with UdpEcho(server.namespace, address, port=port):
        data = os.urandom(size_bytes)
        return udp_ask(client.namespace, address, data, port=port, attempts=2, wait_s=PATIENCE_S)


def ping(client: Endpoint, server: Endpoint, family: int, port: int = 0) -> bool:
    """Whether echo requests are answered."""
    report = client.ping(address_of(server, family), count=2, interval_s=0.02, wait_s=PATIENCE_S)
    return report.received > 0


def raw(client: Endpoint, server: Endpoint, family: int, protocol: int, payload: bytes) -> bool:
    """Whether a packet of any protocol arrives; nobody answers it."""
    source = client.mac, address_of(client, family)
    frame = crafted.packet(source, (server.mac, address_of(server, family)), protocol, payload)
    return arrives(client, server, frame, payload)


def sctp(client: Endpoint, server: Endpoint, family: int, port: int = 3868) -> bool:
    """Whether what opens an association arrives (INIT, RFC 9260, 3.3.2): no kernel needs to know SCTP."""
    init = struct.pack("!BBHIIHHI", 1, 0, 20, 0x1234, 65535, 1, 1, int.from_bytes(os.urandom(4), "big"))
    return raw(client, server, family, PROTO_SCTP, struct.pack("!HHII", 40000, port, 0, 0) + init)


def arrives(client: Endpoint, server: Endpoint, frame: bytes, payload: bytes) -> bool:
    """Whether a frame comes out at the server, by what follows it by another way: from itself to itself."""
    with Wire(client.namespace) as out, Wire(server.namespace) as wire:
        out.send(frame, frame)
        with contextlib.suppress(Exception):
            wire.until(lambda seen: payload in seen, timeout_s=PATIENCE_S)
            return True
        return False


PROBES: dict[str, Callable[[Endpoint, Endpoint, int, int], bool]] = {
    "tcp": tcp,
    "udp": udp,
    "sctp": sctp,
    "icmp": ping,
}


@contextlib.contextmanager
def connected(client: Endpoint, server: Endpoint, family: int, port: int = 80) -> Iterator["Connection"]:
    """An open TCP connection."""
    address = address_of(server, family)
    listener = netns.inside(
        server.namespace, lambda: socket.create_server((address, port), family=_family(address))
    )
    with listener, netns.inside(client.namespace, lambda: socket.socket(_family(address))) as there:
        there.settimeout(5)
        there.connect((address, port))
        here, _ = listener.accept()
        with here:
            yield Connection(there, here)


class Connection:
    """Both ends: `there` is the client's, `here` the server's."""

    def __init__(self, there: socket.socket, here: socket.socket) -> None:
        self.there, self.here = there, here

    def carries(self) -> bool:
        """Whether some bytes sent by the client come to the server, and others come back."""
        return _passes(self.there, self.here) and _passes(self.here, self.there)


def _passes(source: socket.socket, sink: socket.socket) -> bool:
    data = os.urandom(16)
    sink.settimeout(PATIENCE_S)
    seen = b""
    try:
        source.send(data)
        while not seen.endswith(data):
            seen += sink.recv(4096)
    except OSError:
        return False
    return True


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
