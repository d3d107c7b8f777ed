"""An endpoint in a group, which lets nothing in, hears its gateway all the same."""

import re

import pytest
from tests.lab.routing.conftest import VERSIONS, Routed, address, gateways, wait_loses, wait_reaches

from plait.lab.endpoint import Endpoint
from plait.lab.errors import CommandError
from plait.lab.streams import TcpStream
from plait.model.policy import Action

both = pytest.mark.parametrize("version", VERSIONS)


@pytest.fixture
def ends(routed: Routed) -> list[Endpoint]:
    """One in a group in a network with an MTU of 1400 on h1; two in one with 1300, on h1 and on h2."""
    router = routed.router()
    wide = routed.network(1, router, mtu_bytes=1400)
    narrow = routed.network(2, router, mtu_bytes=1300)
    made = [routed.endpoint(wide, "h1"), routed.endpoint(narrow, "h1"), routed.endpoint(narrow, "h2")]
    wait_reaches(made[0], *(address(end, version) for end in made[1:] for version in VERSIONS))

    routed.filter(made[0])
    for end in made[1:]:
        wait_loses(end, made[0].v4, made[0].v6)
    return made


@both
def test_its_gateway_answers_and_tells(ends: list[Endpoint], version: int) -> None:
    one, *others = ends
    for gateway in (gateways(1)[VERSIONS.index(version)], gateways(2)[VERSIONS.index(version)]):
        assert one.ping(gateway, count=20, interval_s=0.005).lost == 0
        one.exec("ping", "-c", "2", "-i", "0.1", "-W", "2", "-s", "4000", gateway)
    gateway = gateways(1)[VERSIONS.index(version)]
    for target, said in zip(
        ("10.99.0.1", "10.2.0.77") if version == 4 else ("fd00:99::1", "fd00:2::77"),
        ("Net Unreachable|No route", "Host Unreachable|Address unreachable"),
        strict=True,
    ):
        with pytest.raises(CommandError, match=said):
            one.exec("ping", "-c", "1", "-W", "2", target)
    for end in others:
        said = one.exec("tracepath", "-n", "-m", "5", address(end, version))
        assert "Resume: pmtu 1300 hops 2 back 2" in said, said
        said = one.exec("traceroute", "-n", "-q", "1", "-m", "5", address(end, version))
        assert re.findall(r"^ *\d+ +(\S+)", said, re.MULTILINE) == [gateway, address(end, version)], said


@both
@pytest.mark.parametrize("place", [1, 2], ids=["here", "elsewhere"])
def test_its_tcp_finds_the_smaller_mtu_and_fragments_pass(
    ends: list[Endpoint], version: int, place: int
) -> None:
    one, other = ends[0], ends[place]
    stream = TcpStream(one.namespace, other.namespace, address(other, version)).start()
    assert stream.wait_received(1 << 20)
    assert stream.stop().whole
    one.exec("ping", "-c", "5", "-i", "0.2", "-W", "2", "-M", "want", "-s", "4000", address(other, version))


def test_one_that_may_send_nothing_reaches_its_gateway_and_nobody_else(routed: Routed) -> None:
    router = routed.router()
    one = routed.endpoint(routed.network(1, router), "h1")
    other = routed.endpoint(routed.network(2, router), "h2")
    wait_reaches(one, other.v4, other.v6)
    routed.filter(one, egress=Action.DENY)
    wait_loses(one, other.v4, other.v6)
    for gateway in gateways(1):
        assert one.ping(gateway, count=20, interval_s=0.005).lost == 0
        one.exec("ping", "-c", "2", "-i", "0.1", "-W", "2", "-s", "4000", gateway)
    for far in gateways(2):
        assert not one.reaches(far)
