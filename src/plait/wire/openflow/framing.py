"""The header of every message, and cutting a stream of bytes into messages.

    0  1  version (5)
    1  1  type
    2  2  length in bytes, of the whole message
    4  4  xid

Source: OpenFlow 1.4.0, 7.1.1.
"""

from enum import IntEnum
from struct import Struct
from typing import Final

from plait.wire.errors import MalformedMessage

VERSION: Final = 5
HEADER_BYTES: Final = 8
HEADER: Final = Struct("!BBHI")


class MessageType(IntEnum):
    """OFPT_*; OpenFlow 1.4.0, 7.1.1."""

    HELLO = 0
    ERROR = 1
    ECHO_REQUEST = 2
    ECHO_REPLY = 3
    EXPERIMENTER = 4
    FEATURES_REQUEST = 5
    FEATURES_REPLY = 6
    GET_CONFIG_REQUEST = 7
    GET_CONFIG_REPLY = 8
    SET_CONFIG = 9
    PACKET_IN = 10
    FLOW_REMOVED = 11
    PORT_STATUS = 12
    PACKET_OUT = 13
    FLOW_MOD = 14
    GROUP_MOD = 15
    PORT_MOD = 16
    TABLE_MOD = 17
    MULTIPART_REQUEST = 18
    MULTIPART_REPLY = 19
    BARRIER_REQUEST = 20
    BARRIER_REPLY = 21
    QUEUE_GET_CONFIG_REQUEST = 22
    QUEUE_GET_CONFIG_REPLY = 23
    ROLE_REQUEST = 24
    ROLE_REPLY = 25
    GET_ASYNC_REQUEST = 26
    GET_ASYNC_REPLY = 27
    SET_ASYNC = 28
    METER_MOD = 29
    ROLE_STATUS = 30
    TABLE_STATUS = 31
    REQUESTFORWARD = 32
    BUNDLE_CONTROL = 33
    BUNDLE_ADD = 34


Frame = tuple[int, int, bytes]
"""Type, xid and body of a message."""


class Framer:
    """Cuts what a stream delivers, in whatever pieces, into messages.

    A message has at most 65,535 bytes, so no more than one incomplete message is ever kept. Any version is
    let through for HELLO and ERROR, because versions are agreed on by these; every other message must be of
    OpenFlow 1.4. `peer_version` is the one that the last HELLO was sent in.
    """

    def __init__(self) -> None:
        self.peer_version = 0
        self._rest = b""
        self._consumed = 0

    def receive(self, data: bytes) -> list[Frame]:
        """The messages that are complete now; raises MalformedMessage, with the offset in the stream."""
        if self._rest:
            data = self._rest + data
        frames: list[Frame] = []
        offset, end = 0, len(data)
        unpack = HEADER.unpack_from
        while end - offset >= HEADER_BYTES:
            version, kind, length, xid = unpack(data, offset)
            if length < HEADER_BYTES:
                raise MalformedMessage(
                    "length", self._consumed + offset + 2, f"{length}: a message has 8 bytes or more"
                )
            if kind == MessageType.HELLO:
                self.peer_version = version
            elif version != VERSION and kind != MessageType.ERROR:
                raise MalformedMessage(
                    "version",
                    self._consumed + offset,
                    f"{version:#04x}: this is OpenFlow 1.4, {VERSION:#04x}",
                )
            if end - offset < length:
                break
            frames.append((kind, xid, data[offset + HEADER_BYTES : offset + length]))
            offset += length
        self._rest = data[offset:]
        self._consumed += offset
        return frames


def frame(kind: int, xid: int, body: bytes = b"") -> bytes:
    """One message; raises ValueError if it is longer than a message can be."""
    length = HEADER_BYTES + len(body)
    if length > 0xFFFF:
        raise ValueError(f"a message of {length} bytes: OpenFlow ends at 65,535, split it")
    return HEADER.pack(VERSION, kind, length, xid) + body
