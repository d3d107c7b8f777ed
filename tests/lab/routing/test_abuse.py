"""Whatever an endpoint has its gateway tell it about, its host stays well and others are routed for."""

import random
import re

import pytest
from tests.lab.routing.conftest import VERSIONS, Routed, address, gateways, wait_reaches

from plait.lab import crafted
from plait.lab.endpoint import Endpoint
from plait.lab.lab import Lab
from plait.lab.waiting import wait_until
from plait.lab.wire import Wire

FRAMES = 2000
SEED = 19_810_901
PROTOCOLS = (0, 1, 6, 17, 43, 44, 50, 51, 58, 59, 60, 132, 255)


def mac_of_gateway(end: Endpoint, version: int) -> str:
    gateway = gateways(1)[VERSIONS.index(version)]
    end.ping(gateway, count=1)
    said = end.exec("ip", "neighbour", "show", gateway)
    return re.findall(r"lladdr ([0-9a-f:]{17})", said)[0]


def nonsense(end: Endpoint, macs: dict[int, str], chance: random.Random) -> bytes:
    """A packet for the router or through it: any protocol, a TTL that runs out, headers that lie."""
    version = chance.choice(VERSIONS)
    other = [*gateways(1), *gateways(2), "10.99.0.1", "fd00:99::1", "10.2.0.99", "fd00:2::99", "10.2.0.255"]
    targets = [each for each in other if (":" in each) == (version == 6)]
    source = chance.choice([address(end, version), ("127.0.0.1", "::1")[version == 6]])
    payload = chance.randbytes(chance.choice((0, 1, 7, 8, 40, 1000)))
    frame = crafted.packet(
        (end.mac, source),
        (macs[version], chance.choice(targets)),
        chance.choice(PROTOCOLS),
        payload,
        hops=chance.choice((0, 1, 2, 64)),
    )
    if chance.random() < 0.5:
        # Somewhere in the IP header or behind it.
        at = chance.randrange(14, min(len(frame), 70))
        frame = frame[:at] + chance.randbytes(1) + frame[at + 1 :]
    if chance.random() < 0.2:
        frame = frame[: chance.randrange(15, len(frame))]
    return frame


@pytest.mark.parametrize("security", [True, False])
def test_nonsense_for_the_gateway_harms_nobody(lab: Lab, routed: Routed, security: bool) -> None:
    router = routed.router()
    one, two = routed.network(1, router), routed.network(2, router)
    liar = routed.endpoint(one, "h1", security=security)
    beside, far = routed.endpoint(one, "h1"), routed.endpoint(two, "h2")
    wait_reaches(beside, far.v4, far.v6)
    host = lab.host("h1")
    agent = host.agent
    assert agent is not None
    before = len(host.agent_log.read_text())
    chance = random.Random(SEED)
    macs = {version: mac_of_gateway(liar, version) for version in VERSIONS}
    handled = answered_and_refused(lab)
    with Wire(liar.namespace) as wire:
        for _ in range(FRAMES):
            wire.send(nonsense(liar, macs, chance))
    wait_until(lambda: answered_and_refused(lab) > handled, "some of it came to the agent")
    assert beside.ping(far.v4, count=50, interval_s=0.005).lost == 0
    assert beside.ping(far.v6, count=50, interval_s=0.005).lost == 0
    for gateway, target in zip(gateways(1), (far.v4, far.v6), strict=True):
        # Once the meter lets packets pass again, it tells whoever asks properly.
        wait_until(
            lambda gateway=gateway, target=target: gateway in traced(beside, target), "the gateway speaks"
        )
    assert host.agent is not None
    assert host.agent.id == agent.id
    said = host.agent_log.read_text()[before:]
    assert '"error"' not in said
    assert "Traceback" not in said
    assert lab.differences() == {}


def answered_and_refused(lab: Lab) -> int:
    status = lab.host("h1").ask("status")
    return int(status["packets_answered"]) + int(status["packets_refused"])


def traced(end: Endpoint, target: str) -> str:
    said = end.exec("traceroute", "-n", "-q", "1", "-w", "1", "-m", "1", "-N", "1", target)
    return said.partition("\n")[2]
