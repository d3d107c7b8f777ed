"""Programs that join a multicast group, by the kernel's own IGMP and MLD, get its packets; when they end, no
longer.
"""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.lab.conftest import MakeEndpoint, MakeNetwork

from plait.lab import netns
from plait.lab.endpoint import Endpoint
from plait.lab.lab import Lab
from plait.lab.waiting import wait_until

GROUPS = ("239.7.7.7", "ff0e::7:7")
PORT = 7777


@contextmanager
def joined(end: Endpoint, group: str) -> Iterator[socket.socket]:
    """A socket in the container that has joined the group, as any program would."""

    def join() -> socket.socket:
        index = socket.if_nametoindex("eth0")
        if ":" in group:
            member = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            request = socket.inet_pton(socket.AF_INET6, group) + struct.pack("@I", index)
            member.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
        else:
            member = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            request = socket.inet_aton(group) + struct.pack("@4sI", bytes(4), index)
            member.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
        member.bind((group, PORT))
        return member

    with netns.inside(end.namespace, join) as member:
        member.settimeout(5)
        yield member


def sent(end: Endpoint, group: str, data: bytes) -> None:
    """One datagram from the container to the group."""

    def send() -> None:
        is_v6 = ":" in group
        with socket.socket(socket.AF_INET6 if is_v6 else socket.AF_INET, socket.SOCK_DGRAM) as sender:
            if is_v6:
                sender.setsockopt(
                    socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, socket.if_nametoindex("eth0")
                )
            else:
                sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(end.v4))
            sender.sendto(data, (group, PORT))

    netns.inside(end.namespace, send)


def buckets(lab: Lab, host: str, group: str) -> int:
    """How many copies of a packet to this group the host's switch makes; 0 when nobody wants any."""
    flows = lab.host(host).switch.ofctl("dump-flows", "br-int", "table=30")
    numbers = [line.rpartition("actions=group:")[2] for line in flows.splitlines() if group in line]
    if not numbers:
        return 0
    groups = lab.host(host).switch.ofctl("dump-groups", "br-int").splitlines()
    counts = (line.count("bucket=") for line in groups if f"group_id={numbers[0].strip()}," in line)
    return next(counts, 0)


@pytest.mark.parametrize("group", GROUPS)
def test_a_program_that_joins_a_group_gets_its_packets_on_every_host_until_it_ends(
    lab: Lab, network: MakeNetwork, endpoint: MakeEndpoint, group: str
) -> None:
    of = network()
    sender, near, far, other = (endpoint(of, host) for host in ("h1", "h1", "h2", "h2"))
    with joined(near, group) as near_member:
        with joined(far, group) as far_member:
            wait_until(lambda: buckets(lab, "h1", group) == 2, "h1 sends to near and to h2")
            wait_until(lambda: buckets(lab, "h2", group) == 2, "h2 sends to far and to h1")
            sent(sender, group, b"to all members")
            assert near_member.recv(100) == b"to all members"
            assert far_member.recv(100) == b"to all members"
        wait_until(lambda: buckets(lab, "h1", group) == 1, "far has left the group")
        sent(sender, group, b"to near alone")
        assert near_member.recv(100) == b"to near alone"
    wait_until(lambda: buckets(lab, "h1", group) == 0, "nobody is in the group any more")
    assert sender.ping(other.v4).lost == 0


def test_what_a_program_joined_is_known_after_a_restart_of_the_agent(
    lab: Lab, network: MakeNetwork, endpoint: MakeEndpoint
) -> None:
    of, group = network(), GROUPS[0]
    sender, far = endpoint(of, "h1"), endpoint(of, "h2")
    with joined(far, group) as member:
        wait_until(lambda: buckets(lab, "h1", group) == 1, "h1 sends to h2")
        lab.host("h2").kill_agent()
        lab.start_agents()
        assert buckets(lab, "h1", group) == 1
        sent(sender, group, b"still there")
        assert member.recv(100) == b"still there"
