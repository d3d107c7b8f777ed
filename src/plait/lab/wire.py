"""A device of a namespace, frame by frame: sent as they are, seen as they arrive (packet(7))."""

import os
import select
import socket
import time
from collections.abc import Callable
from functools import partial
from types import TracebackType

from plait.lab import netns
from plait.lab.errors import LabError

_ETH_P_ALL = 3
_PACKET_OUTGOING = 4
_SO_RCVBUFFORCE = 33


class Wire:
    """An open device. Frames that arrive are kept from the moment of opening on."""

    def __init__(self, namespace: str, device: str = "eth0") -> None:
        self._name = f"{device} in {namespace}"
        self._socket = netns.inside(namespace, lambda: _open(device))

    def __enter__(self) -> "Wire":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, *frames: bytes) -> None:
        for frame in frames:
            self._socket.send(frame)

    def all_before(self, marker: Callable[[bytes], bytes], *, sender: "Wire") -> list[bytes]:
        """All frames that `sender` sent here before this call and that arrive at all, and two `marker`s.

        `marker` makes a frame for this place out of some data. A switch may let frames of one burst overtake
        each other (it forwards a batch flow by flow), but not one that was sent after the first marker.
        """
        seen = []
        for number in range(2):
            data = os.urandom(16) + b"marker %d" % number
            sender.send(marker(data))
            seen += self.until(partial(_holds, data))
        return seen

    def until(self, is_last: Callable[[bytes], bool], *, timeout_s: float = 10) -> list[bytes]:
        """All frames that arrived, up to the first for which `is_last` holds, which is the last of the list.

        Raises LabError after `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        seen = []
        while (left_s := deadline - time.monotonic()) > 0:
            if not select.select([self._socket], [], [], left_s)[0]:
                break
            frame, address = self._socket.recvfrom(65535)
            if address[2] == _PACKET_OUTGOING:
                continue
            seen.append(frame)
            if is_last(frame):
                return seen
        raise LabError(f"{self._name}: {len(seen)} frames in {timeout_s:g} s, but not the one waited for")


def _open(device: str) -> socket.socket:
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    raw.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 8 << 20)
    raw.bind((device, 0))
    return raw


def _holds(data: bytes, frame: bytes) -> bool:
    return data in frame
