"""A container's link ends in the switch: the host's kernel sees the device too, and takes nothing of it."""

import socket

import pytest
from tests.lab.conftest import MakeEndpoint, MakeNetwork

from plait.lab import crafted, netns
from plait.lab.endpoint import Endpoint
from plait.lab.lab import Lab
from plait.lab.wire import Wire

PORT = 9999


def listener(lab: Lab, host: str) -> socket.socket:
    """A UDP socket of the host, on all its addresses."""

    def bind() -> socket.socket:
        bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        bound.bind(("", PORT))
        return bound

    return netns.inside(lab.host(host).namespace, bind)


def device_mac(lab: Lab, end: Endpoint) -> str:
    """The MAC of the host's side of the container's link."""
    shown = end.host.run("ip", "-br", "link", "show", end.device)
    return shown.split()[2]


@pytest.mark.parametrize("claimed", ["its own address", "the address of another host"])
def test_a_frame_to_the_hosts_side_of_the_link_does_not_reach_the_hosts_kernel(
    lab: Lab, network: MakeNetwork, endpoint: MakeEndpoint, claimed: str
) -> None:
    of = network()
    sender, other = endpoint(of, "h1"), endpoint(of, "h1")
    source = sender.v4 if claimed == "its own address" else lab.host("h2").address
    target = device_mac(lab, sender), lab.host("h1").address
    with listener(lab, "h1") as bound, Wire(sender.namespace) as out, Wire(other.namespace) as wire:
        bound.settimeout(0)
        # What the host says to itself is heard: the socket would hear the container as well.
        netns.inside(
            lab.host("h1").namespace,
            lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"own", (target[1], PORT)),
        )
        assert bound.recv(100) == b"own"
        out.send(*[crafted.udp((sender.mac, source), target, b"intrusion", dport=PORT)] * 5)
        wire.all_before(
            lambda data: crafted.udp((sender.mac, sender.v4), (other.mac, other.v4), data), sender=out
        )
        with pytest.raises(BlockingIOError):
            bound.recv(100)
