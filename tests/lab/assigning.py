"""What tests of address assignment change in the store and look for in what the agents say."""

import os
import struct
import subprocess
from typing import Any

from plait.lab.endpoint import Endpoint
from plait.lab.errors import LabError
from plait.lab.lab import Lab
from plait.lab.wire import Wire
from plait.model.entities import Network, Subnet
from plait.wire.datagram import Datagram, decode_datagram, encode_datagram
from plait.wire.dhcp import (
    CLIENT_PORT,
    SERVER_PORT,
    Kind,
    Message,
    decode_message,
    encode_message,
    encode_options,
)
from plait.wire.errors import MalformedMessage


def subnet_of(lab: Lab, network: Network, *, version: int) -> Subnet:
    """The network's first subnet of that version."""
    subnets = lab.frontend.run(lambda intent: intent.subnets.list(network.id))
    return next(subnet for subnet in subnets if subnet.version == version)


def tell(lab: Lab, network: Network, *, version: int, **told: Any) -> Subnet:
    """Change what endpoints of a subnet are told."""
    subnet = subnet_of(lab, network, version=version)
    return lab.frontend.run(lambda intent: intent.subnets.set(subnet.id, **told))


def asked(
    endpoint: Endpoint,
    kind: Kind,
    options: dict[int, bytes] | None = None,
    *,
    mac: bytes | None = None,
    by: bytes | None = None,
    wants_broadcast: bool = False,
    patience_s: float = 5,
) -> Message | None:
    """What a DHCP question is answered, if it is; `mac` is the client's, `by` whom the frame comes from."""
    own = bytes.fromhex(endpoint.mac.replace(":", ""))
    xid = os.urandom(4)
    question = encode_message(
        kind,
        encode_options(options or {}),
        xid=xid,
        mac=mac or own,
        is_request=True,
        wants_broadcast=wants_broadcast,
    )
    frame = encode_datagram(
        Datagram(by or own, b"\xff" * 6, bytes(4), b"\xff" * 4, CLIENT_PORT, SERVER_PORT, question)
    )

    def is_answer(frame: bytes) -> bool:
        return answer_in(frame, xid) is not None

    with Wire(endpoint.namespace) as wire:
        wire.send(frame)
        try:
            return answer_in(wire.until(is_answer, timeout_s=patience_s)[-1], xid)
        except LabError:
            return None


def answer_in(frame: bytes, xid: bytes) -> Message | None:
    """The answer of a DHCP server to the question `xid`, if it is in this frame."""
    try:
        datagram = decode_datagram(frame)
        message = decode_message(datagram.payload)
    except MalformedMessage:
        return None
    is_answer = datagram.destination_port == CLIENT_PORT and message.xid == xid
    return message if is_answer and not message.is_request else None


def advertisement_in(frame: bytes) -> str:
    """A router advertisement as tcpdump reads it; empty where the frame is none."""
    if frame[12:14] != b"\x86\xdd" or frame[20] != 58 or frame[54] != 134:
        return ""
    link_type_ethernet = 1
    capture = struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link_type_ethernet)
    capture += struct.pack("=IIII", 0, 0, len(frame), len(frame)) + frame
    read = subprocess.run(
        ["tcpdump", "-n", "-vvv", "-r", "-"], input=capture, capture_output=True, check=True
    )
    return read.stdout.decode()
