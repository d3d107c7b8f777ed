"""Echo requests from a namespace at a fixed pace, told from each other: what was lost, the longest gap.

Source: RFC 792 (echo), RFC 4443 section 4.1 (ICMPv6 echo), raw(7). Times are of the monotonic clock.
"""

import ipaddress
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from plait.lab import netns
from plait.wire import internet

_HEADER = struct.Struct("!BBHHH")
_BODY = struct.Struct("!QQ")
_SO_RCVBUFFORCE = 33
_RECEIVE_BUFFER_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class PingReport:
    """What came of a run. `worst_gap_s` is the longest time without any reply, from the first request on.

    `lost_at_s` are the times, from the first request, at which requests left that nobody answered.
    """

    sent: int
    received: int
    duplicates: int
    worst_gap_s: float
    rtts_s: tuple[float, ...]
    lost_at_s: tuple[float, ...]

    @property
    def lost(self) -> int:
        return self.sent - self.received

    def __str__(self) -> str:
        if not self.rtts_s:
            return f"{self.sent} sent, none answered"
        median_ms = 1000 * sorted(self.rtts_s)[len(self.rtts_s) // 2]
        gap_ms = 1000 * self.worst_gap_s
        return f"{self.sent} sent, {self.lost} lost, median {median_ms:.2f} ms, worst gap {gap_ms:.0f} ms"


class Pinger:
    """Pings `targets` in turn, one request every `interval_s`, from a thread; `size_bytes` is the payload."""

    def __init__(
        self, namespace: str, targets: Sequence[str], *, interval_s: float = 0.001, size_bytes: int = 56
    ) -> None:
        self._targets = [(ipaddress.ip_address(target).version, (target, 0)) for target in targets]
        versions = {version for version, _ in self._targets}
        self._sockets = netns.inside(namespace, lambda: {version: _socket(version) for version in versions})
        self._interval_s = interval_s
        # Sixteen bytes tell whose reply it is and to which request.
        self._key = int.from_bytes(os.urandom(8), "big")
        self._identifier = self._key & 0xFFFF
        self._padding = bytes(max(0, size_bytes - _BODY.size))
        self._sent_at: list[float] = []
        self._got_at: dict[int, float] = {}
        self._duplicates = 0
        self._stopping = threading.Event()
        self._answered = threading.Condition()
        self._thread = threading.Thread(target=self._go, name="pinger", daemon=True)
        self._limit: int | None = None

    def start(self) -> "Pinger":
        self._thread.start()
        return self

    def wait_answered(self, count: int = 1, *, timeout_s: float = 10) -> bool:
        """True once `count` further requests have been answered."""
        with self._answered:
            wanted = len(self._got_at) + count
            return self._answered.wait_for(lambda: len(self._got_at) >= wanted, timeout_s)

    @property
    def first_answered_at(self) -> float | None:
        """When the first reply came; None while none has."""
        return min(self._got_at.values(), default=None)

    def stop(self, *, wait_s: float = 1) -> PingReport:
        """Send no more, wait up to `wait_s` for replies under way, and report."""
        self._stopping.set()
        self._thread.join()
        self._drain(wait_s)
        for each in self._sockets.values():
            each.close()
        return self._report()

    def run(self, *, count: int, wait_s: float = 1) -> PingReport:
        """Send `count` requests, wait up to `wait_s` for the last replies, and report."""
        self._limit = count
        self.start()
        self._thread.join()
        return self.stop(wait_s=wait_s)

    def _go(self) -> None:
        due = time.monotonic()
        while not self._stopping.is_set() and len(self._sent_at) != self._limit:
            self._send()
            # After a stall the pace goes on from now: a burst to catch up would measure queues.
            due = max(due + self._interval_s, time.monotonic())
            while (left_s := due - time.monotonic()) > 0 and not self._stopping.is_set():
                self._receive(left_s)

    def _send(self) -> None:
        number = len(self._sent_at)
        version, target = self._targets[number % len(self._targets)]
        kind = 8 if version == 4 else 128
        packet = (
            _HEADER.pack(kind, 0, 0, self._identifier, number & 0xFFFF)
            + _BODY.pack(self._key, number)
            + self._padding
        )
        if version == 4:
            # ICMPv6 sockets have the kernel compute it (raw(7), RFC 3542 section 3.1).
            packet = packet[:2] + internet.checksum(packet).to_bytes(2, "big") + packet[4:]
        self._sent_at.append(time.monotonic())
        try:
            self._sockets[version].sendto(packet, target)
        except OSError:
            # No route, no neighbour, no buffer: a request that nobody will answer.
            return

    def _receive(self, timeout_s: float) -> None:
        readable, _, _ = select.select(list(self._sockets.values()), [], [], timeout_s)
        for each in readable:
            self._read_all(each)

    def _read_all(self, each: socket.socket) -> None:
        while True:
            try:
                packet = each.recv(65535)
            except BlockingIOError:
                return
            except OSError:
                continue
            if each.family == socket.AF_INET:
                packet = packet[(packet[0] & 15) * 4 :]
            self._take(packet, time.monotonic())

    def _take(self, packet: bytes, now: float) -> None:
        if len(packet) < _HEADER.size + _BODY.size or packet[0] not in (0, 129):
            return
        key, number = _BODY.unpack_from(packet, _HEADER.size)
        if key != self._key or number >= len(self._sent_at):
            return
        if number in self._got_at:
            self._duplicates += 1
            return
        with self._answered:
            self._got_at[number] = now
            self._answered.notify_all()

    def _drain(self, wait_s: float) -> None:
        deadline = time.monotonic() + wait_s
        while len(self._got_at) < len(self._sent_at) and (left_s := deadline - time.monotonic()) > 0:
            self._receive(left_s)

    def _report(self) -> PingReport:
        times = sorted(self._got_at.values())
        started = self._sent_at[0] if self._sent_at else 0.0
        gaps = [later - earlier for earlier, later in zip([started, *times], times, strict=False)]
        return PingReport(
            sent=len(self._sent_at),
            received=len(times),
            duplicates=self._duplicates,
            worst_gap_s=max(gaps, default=0.0),
            rtts_s=tuple(at - self._sent_at[number] for number, at in sorted(self._got_at.items())),
            lost_at_s=tuple(
                at - started for number, at in enumerate(self._sent_at) if number not in self._got_at
            ),
        )


def _socket(version: int) -> socket.socket:
    family, protocol = (
        (socket.AF_INET, socket.IPPROTO_ICMP) if version == 4 else (socket.AF_INET6, socket.IPPROTO_ICMPV6)
    )
    raw = socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol)
    raw.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER_BYTES)
    return raw
