"""What senders hear when their packets go no further: real clients, told by their own gateway."""

import socket

import pytest
from tests.lab.routing.conftest import VERSIONS, Routed, address, gateways, wait_reaches

from plait.lab import netns
from plait.lab.endpoint import Endpoint
from plait.lab.errors import CommandError
from plait.lab.streams import TcpStream
from plait.model.entities import Transport

both = pytest.mark.parametrize("version", VERSIONS)
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}


@pytest.fixture
def ends(routed: Routed) -> list[Endpoint]:
    """One in a network with an MTU of 1400 on h1; two in one with 1300, on h1 and on h2."""
    router = routed.router()
    wide = routed.network(1, router, mtu_bytes=1400)
    narrow = routed.network(2, router, transport=Transport.GENEVE, mtu_bytes=1300)
    made = [routed.endpoint(wide, "h1"), routed.endpoint(narrow, "h1"), routed.endpoint(narrow, "h2")]
    wait_reaches(made[0], *(address(end, version) for end in made[1:] for version in VERSIONS))
    return made


def gateway(number: int, version: int) -> str:
    return gateways(number)[VERSIONS.index(version)]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("10.99.0.1", "Destination Net Unreachable"),
        ("fd00:99::1", "Destination unreachable: No route"),
        ("10.2.0.77", "Destination Host Unreachable"),
        ("fd00:2::77", "Destination unreachable: Address unreachable"),
    ],
)
def test_ping_says_what_is_not_there(ends: list[Endpoint], target: str, said: str) -> None:
    with pytest.raises(CommandError, match=f"From {gateway(1, 6 if ':' in target else 4)}.*{said}"):
        ends[0].exec("ping", "-c", "1", "-W", "2", target)


@both
@pytest.mark.parametrize("number", [1, 2])
def test_a_client_of_the_gateway_is_refused_at_once(ends: list[Endpoint], version: int, number: int) -> None:
    asked = gateway(number, version), 4242
    with client(ends[0], version, socket.SOCK_DGRAM) as datagrams:
        datagrams.connect(asked)
        datagrams.send(b"is anybody there?")
        with pytest.raises(ConnectionRefusedError):
            datagrams.recv(100)
    with client(ends[0], version, socket.SOCK_STREAM) as stream, pytest.raises(ConnectionRefusedError):
        stream.connect(asked)


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("10.99.0.1", "Network is unreachable"),
        ("10.2.0.77", "No route to host"),
        ("fd00:99::1", "Network is unreachable"),
        ("fd00:2::77", "No route to host"),
    ],
)
def test_a_tcp_client_is_told_too(ends: list[Endpoint], target: str, error: str) -> None:
    """Its kernel keeps a soft error until it gives up (RFC 1122, 4.2.3.9), unless it is asked for."""
    with client(ends[0], 6 if ":" in target else 4, socket.SOCK_STREAM) as stream:
        level, option = (socket.IPPROTO_IPV6, 25) if ":" in target else (socket.IPPROTO_IP, 11)
        stream.setsockopt(level, option, 1)  # IPV6_RECVERR, IP_RECVERR
        with pytest.raises(OSError, match=error):
            stream.connect((target, 80))


def client(end: Endpoint, version: int, kind: socket.SocketKind) -> socket.socket:
    def make() -> socket.socket:
        made = socket.socket(FAMILY[version], kind)
        made.settimeout(5)
        return made

    return netns.inside(end.namespace, make)


@both
def test_the_mtu_of_a_smaller_network_is_found_on_the_way(ends: list[Endpoint], version: int) -> None:
    wide, *narrows = ends
    headers = 28 if version == 4 else 48
    for narrow in narrows:
        target = address(narrow, version)
        wide.exec("ip", "route", "flush", "cache")
        wide.exec("ip", "-6", "route", "flush", "cache")
        largest = str(1300 - headers)
        wide.exec("ping", "-c", "1", "-W", "2", "-M", "do", "-s", largest, target)
        too_large = str(1301 - headers)
        with pytest.raises(CommandError, match=rf"From {gateway(1, version)}.* ?mtu ?= ?1300"):
            wide.exec("ping", "-c", "1", "-W", "2", "-M", "do", "-s", too_large, target)
        assert "mtu 1300" in wide.exec("ip", "route", "get", target)
        # Now that its kernel knows, it makes fragments that fit.
        wide.exec("ping", "-c", "1", "-W", "2", "-M", "want", "-s", "3000", target)


@both
def test_tracepath_finds_the_mtu(ends: list[Endpoint], version: int) -> None:
    for narrow in ends[1:]:
        said = ends[0].exec("tracepath", "-n", "-m", "5", address(narrow, version))
        assert "Resume: pmtu 1300 hops 2 back 2" in said, said


@both
@pytest.mark.parametrize("place", [1, 2], ids=["here", "elsewhere"])
def test_a_tcp_transfer_passes_into_the_smaller_network_and_back(
    ends: list[Endpoint], version: int, place: int
) -> None:
    wide, narrow = ends[0], ends[place]
    for source, sink in ((wide, narrow), (narrow, wide)):
        stream = TcpStream(source.namespace, sink.namespace, address(sink, version)).start()
        assert stream.wait_received(1 << 21)
        assert stream.stop().whole


def test_a_sender_of_fragments_that_do_not_fit_is_told_too(ends: list[Endpoint]) -> None:
    """A router would make smaller ones (RFC 791); who is told does so itself."""
    wide, _, far = ends
    wide.exec("ip", "route", "flush", "cache")
    # Three fragments of 1400 bytes, "don't fragment" in none of them.
    wide.exec("ping", "-c", "3", "-i", "0.2", "-W", "1", "-M", "want", "-s", "4000", far.v4)
    assert "mtu 1300" in wide.exec("ip", "route", "get", far.v4)
