"""A stream of small UDP packets, to see to a fraction of a millisecond when a way opens and closes.

The kernel stamps what arrives (SO_TIMESTAMPNS, socket(7)), so that threads that wait for each other do not
show. Times are seconds since the epoch.
"""

import socket
import struct
import threading
import time
from types import TracebackType

from plait.lab import netns
from plait.lab.endpoint import Endpoint
from plait.lab.waiting import wait_until

PACKETS_PER_S = 2000
SILENCE_PACKETS = 1000
"""So many in a row that do not arrive are a way that is closed."""

_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("qq")
_NUMBER = struct.Struct("!Q")


class Probe:
    """Packets from `source` to UDP port `port` of `sink`, for as long as the block lasts."""

    def __init__(self, source: Endpoint, sink: Endpoint, port: int) -> None:
        self._target = sink.v4, port
        self._out = netns.inside(source.namespace, _udp)
        self._in = netns.inside(sink.namespace, _udp)
        self._in.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._in.bind(("", port))
        self._in.settimeout(0.05)
        self._stopping = threading.Event()
        self._sent_at: list[float] = []
        self._arrived: list[tuple[float, int]] = []
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._send, self._receive)]

    def __enter__(self) -> "Probe":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._out.close()
        self._in.close()

    def wait_sent(self, count: int) -> None:
        """Return once `count` more packets have left."""
        wanted = len(self._sent_at) + count
        wait_until(lambda: len(self._sent_at) >= wanted, f"{count} packets leave", timeout_s=30)

    def first_arrival(self, *, timeout_s: float = 60) -> float:
        """When the first packet arrived; waits for it."""
        return wait_until(lambda: self._arrived[:1], "a packet arrives", timeout_s=timeout_s)[0][0]

    def first_loss(self, *, timeout_s: float = 60) -> float:
        """When the packet after the last that arrived had left; waits until `SILENCE_PACKETS` are lost."""
        wait_until(
            lambda: len(self._sent_at) - self._arrived[-1][1] > SILENCE_PACKETS,
            "no more arrive",
            timeout_s=timeout_s,
        )
        return self._sent_at[self._arrived[-1][1] + 1]

    @property
    def count(self) -> int:
        """How many have arrived."""
        return len(self._arrived)

    def _send(self) -> None:
        due = time.monotonic()
        while not self._stopping.is_set():
            self._sent_at.append(time.time())
            self._out.sendto(_NUMBER.pack(len(self._sent_at) - 1), self._target)
            # After a stall the pace goes on from now: a burst to catch up would measure queues.
            due = max(due + 1 / PACKETS_PER_S, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))

    def _receive(self) -> None:
        while not self._stopping.is_set():
            try:
                data, marks, _, _ = self._in.recvmsg(64, 64)
            except TimeoutError:
                continue
            seconds, nanoseconds = _TIMESPEC.unpack_from(marks[0][2])
            self._arrived.append((seconds + nanoseconds / 1e9, _NUMBER.unpack(data)[0]))


def _udp() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
