"""TCP and UDP between two namespaces, counted at both ends."""

import ipaddress
import select
import socket
import threading
import time
from dataclasses import dataclass
from types import TracebackType

from plait.lab import netns
from plait.lab.errors import LabError


@dataclass(frozen=True, slots=True)
class StreamReport:
    """What came of a TCP stream.

    `worst_stall_s` is the longest time in which nothing arrived; `error` is what ended the stream at either
    end, empty if it ended in order.
    """

    sent_bytes: int
    received_bytes: int
    worst_stall_s: float
    error: str

    @property
    def whole(self) -> bool:
        return not self.error and self.sent_bytes == self.received_bytes


class TcpStream:
    """One connection to `address` that sends `chunk_bytes` every `interval_s` until it is stopped."""

    def __init__(
        self,
        source: str,
        sink: str,
        address: str,
        *,
        port: int = 5001,
        chunk_bytes: int = 16384,
        interval_s: float = 0.01,
        connect_timeout_s: float = 5,
    ) -> None:
        family = _family(address)
        self._interval_s = interval_s
        self._chunk = bytes(chunk_bytes)
        self._sent = self._received = 0
        self._worst_stall_s = 0.0
        self._errors: list[str] = []
        self._stopping = threading.Event()
        self._progress = threading.Condition()
        listener = netns.inside(sink, lambda: socket.create_server((address, port), family=family))
        with listener:
            listener.settimeout(connect_timeout_s)
            self._out = netns.inside(source, lambda: socket.socket(family, socket.SOCK_STREAM))
            try:
                self._out.settimeout(connect_timeout_s)
                self._out.connect((address, port))
                self._in, _ = listener.accept()
            except OSError as error:
                self._out.close()
                raise LabError(f"no TCP connection from {source} to {address} port {port}: {error}") from None
        # As long as TCP itself is willing to wait; a stall is measured, not cut off.
        self._out.settimeout(None)
        self._in.settimeout(None)
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._send, self._receive)]

    def start(self) -> "TcpStream":
        for thread in self._threads:
            thread.start()
        return self

    def wait_received(self, count_bytes: int, *, timeout_s: float = 10) -> bool:
        """True once `count_bytes` more have arrived."""
        with self._progress:
            wanted = self._received + count_bytes
            return self._progress.wait_for(
                lambda: self._received >= wanted or bool(self._errors), timeout_s
            ) and (self._received >= wanted)

    def stop(self, *, timeout_s: float = 30) -> StreamReport:
        """Send no more, wait until all has arrived, and report."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout_s)
        if any(thread.is_alive() for thread in self._threads):
            self._errors.append(f"not at its end {timeout_s:g} s after the last byte was sent")
        for each in (self._out, self._in):
            each.close()
        return StreamReport(self._sent, self._received, self._worst_stall_s, "; ".join(self._errors))

    def _send(self) -> None:
        try:
            while not self._stopping.wait(self._interval_s):
                self._out.sendall(self._chunk)
                self._sent += len(self._chunk)
            self._out.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._fail(f"sender: {error}")

    def _receive(self) -> None:
        last = time.monotonic()
        try:
            while data := self._in.recv(1 << 20):
                now = time.monotonic()
                self._worst_stall_s = max(self._worst_stall_s, now - last)
                last = now
                with self._progress:
                    self._received += len(data)
                    self._progress.notify_all()
        except OSError as error:
            self._fail(f"receiver: {error}")

    def _fail(self, error: str) -> None:
        with self._progress:
            self._errors.append(error)
            self._progress.notify_all()


class UdpEcho:
    """Answers every datagram to `address` with itself, while the block lasts."""

    def __init__(self, namespace: str, address: str, *, port: int = 5002) -> None:
        self._socket = netns.inside(namespace, lambda: _bound(address, port))
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._answer, name="udp echo", daemon=True)

    def __enter__(self) -> "UdpEcho":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._wake.close()
        self._thread.join()
        self._woken.close()
        self._socket.close()

    def _answer(self) -> None:
        while True:
            readable, _, _ = select.select([self._socket, self._woken], [], [])
            if self._woken in readable:
                return
            data, sender = self._socket.recvfrom(65535)
            self._socket.sendto(data, sender)


def udp_ask(
    namespace: str, address: str, data: bytes, *, port: int = 5002, attempts: int = 3, wait_s: float = 1
) -> bool:
    """Send `data` to an echo; True if exactly it comes back. UDP may lose, so there are `attempts`."""
    with netns.inside(namespace, lambda: socket.socket(_family(address), socket.SOCK_DGRAM)) as asking:
        asking.settimeout(wait_s)
        for _ in range(attempts):
            try:
                asking.sendto(data, (address, port))
                if asking.recv(65535) == data:
                    return True
            except OSError:
                continue
    return False


def _bound(address: str, port: int) -> socket.socket:
    bound = socket.socket(_family(address), socket.SOCK_DGRAM)
    bound.bind((address, port))
    return bound


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
