"""Between subnets: straight from host to host, one hop, and the gateway answers wherever one is."""

import re
from ipaddress import ip_address

import pytest
from tests.lab.routing.conftest import VERSIONS, Routed, address, gateways, wait_loses, wait_reaches

from plait.flows.address_numbers import link_local_number, mac_number
from plait.lab.endpoint import Endpoint
from plait.lab.errors import CommandError
from plait.lab.lab import Lab
from plait.lab.tunnelled import carried
from plait.model.entities import Network, Transport

both = pytest.mark.parametrize("version", VERSIONS)


@pytest.fixture
def networks(routed: Routed) -> tuple[Network, Network]:
    """Subnets 1 and 2 of one router, in networks of different transports."""
    router = routed.router()
    return routed.network(1, router), routed.network(2, router, transport=Transport.GENEVE)


@pytest.fixture
def ends(routed: Routed, networks: tuple[Network, Network]) -> list[Endpoint]:
    """One in subnet 1 on h1; in subnet 2 one on h1 and one on h2."""
    one, two = networks
    made = [routed.endpoint(one, "h1"), routed.endpoint(two, "h1"), routed.endpoint(two, "h2")]
    wait_reaches(made[0], *(address(end, version) for end in made[1:] for version in VERSIONS))
    wait_reaches(made[2], *(address(made[0], version) for version in VERSIONS))
    return made


@both
def test_the_gateway_answers_pings_on_every_host_at_each_of_its_addresses(
    ends: list[Endpoint], version: int
) -> None:
    for end in ends:
        for number in (1, 2):
            gateway = gateways(number)[VERSIONS.index(version)]
            assert end.ping(gateway, count=20, interval_s=0.005).lost == 0
            # In fragments, there and back.
            end.exec("ping", "-c", "2", "-i", "0.1", "-W", "2", "-s", "4000", gateway)


def test_the_gateway_answers_at_its_link_local_address_and_says_that_it_is_a_router(
    ends: list[Endpoint],
) -> None:
    one = ends[0]
    neighbours = one.exec("ip", "-6", "neighbour", "show", gateways(1)[1])
    mac = re.findall(r"lladdr ([0-9a-f:]{17})", neighbours)[0]
    assert " router " in neighbours
    link_local = ip_address(link_local_number(mac_number(mac)))
    one.exec("ping", "-c", "2", "-i", "0.1", "-W", "2", f"{link_local}%eth0")


@both
def test_packets_pass_between_subnets_and_lose_one_of_their_ttl(ends: list[Endpoint], version: int) -> None:
    one, beside, far = ends
    for end in (beside, far):
        for source, target in ((one, end), (end, one)):
            assert source.ping(address(target, version), count=50, interval_s=0.005).lost == 0
            said = source.exec("ping", "-c", "1", "-W", "2", address(target, version))
            assert "ttl=63" in said
            with pytest.raises(CommandError, match=r"Time to live exceeded|Hop limit"):
                source.exec("ping", "-c", "1", "-W", "2", "-t", "1", address(target, version))


@both
def test_traceroute_and_tracepath_show_the_gateway_and_the_target(ends: list[Endpoint], version: int) -> None:
    one, *others = ends
    gateway = gateways(1)[VERSIONS.index(version)]
    for end in others:
        target = address(end, version)
        for way in ([], ["-I"], ["-T", "-p", "443"]):
            said = one.exec("traceroute", "-n", "-q", "1", "-w", "2", "-m", "5", *way, target)
            hops = re.findall(r"^ *\d+ +(\S+)", said, re.MULTILINE)
            assert hops == [gateway, target], (way, said)
        said = one.exec("tracepath", "-n", "-m", "5", target)
        assert re.findall(r"^ *(\d+): +(\S+)", said, re.MULTILINE)[-1] == ("2", target), said
        assert re.search(rf"^ *1: +{re.escape(gateway)} ", said, re.MULTILINE), said
        assert "Resume: pmtu 1450 hops 2 back 2" in said


@both
@pytest.mark.parametrize("number", [1, 2])
def test_traceroute_ends_at_the_gateway(ends: list[Endpoint], version: int, number: int) -> None:
    gateway = gateways(number)[VERSIONS.index(version)]
    for way in ([], ["-I"]):
        said = ends[0].exec("traceroute", "-n", "-q", "1", "-w", "2", "-m", "5", *way, gateway)
        assert re.findall(r"^ *\d+ +(\S+)", said, re.MULTILINE) == [gateway], said


@both
def test_no_packet_of_a_routed_flow_visits_a_third_host(
    lab: Lab, ends: list[Endpoint], networks: tuple[Network, Network], version: int
) -> None:
    one, _, far = ends
    capture = lab.capture()
    assert one.ping(address(far, version), count=20).lost == 0
    seen = {host: list(carried(file.read_bytes())) for host, file in capture.stop().items()}
    vnis = {network.vni for network in networks}
    of_routed = {host: [frame for frame in frames if frame.vni in vnis] for host, frames in seen.items()}
    assert of_routed["h3"] == []
    # There in the target's network, back in the sender's: in which it ends.
    for host in ("h1", "h2"):
        assert {(frame.vni, frame.destination) for frame in of_routed[host]} == {
            (networks[1].vni, far.mac),
            (networks[0].vni, one.mac),
        }


def test_a_subnet_that_leaves_the_router_is_reached_no_more(
    routed: Routed, ends: list[Endpoint], networks: tuple[Network, Network]
) -> None:
    one, beside, far = ends
    for version, subnet in zip(VERSIONS, ("10.2.0.0/24", "fd00:2::/64"), strict=True):
        routers = routed.run(lambda intent: intent.routers.list())
        router = next(each for each in routers if each.id == routed.routers[0].id)
        routed.run(lambda intent, router=router, subnet=subnet: intent.interfaces.remove(router.id, subnet))
        wait_loses(one, address(beside, version), address(far, version))
        assert beside.ping(address(far, version)).lost == 0
