"""Other underlays, and endpoints whose MTU is wrong: packets fit, or their sender is told."""

from collections.abc import Iterator

import pytest
from tests.lab.conftest import MakeEndpoint, MakeNetwork, lab_name

from plait.intent import PortSpec
from plait.lab.endpoint import Endpoint
from plait.lab.errors import CommandError
from plait.lab.lab import Lab
from plait.lab.waiting import wait_until
from plait.model.entities import Network, Transport

JUMBO_BYTES = 9000


@pytest.fixture(scope="module")
def v6_lab() -> Iterator[Lab]:
    """Two hosts whose underlay is IPv6 with jumbo frames."""
    with Lab.up(lab_name(), hosts=2, v6_underlay=True, underlay_mtu_bytes=JUMBO_BYTES) as lab:
        lab.start_agents()
        yield lab


@pytest.mark.parametrize("transport", list(Transport))
def test_full_packets_cross_an_ipv6_underlay_with_jumbo_frames(v6_lab: Lab, transport: Transport) -> None:
    v6_lab.network(f"over-{transport}", "10.0.0.0/24", "fd00:10::/64", transport=transport)
    one, two = (
        v6_lab.endpoint(f"{transport}-{host}", network=f"over-{transport}", host=host)
        for host in ("h1", "h2")
    )
    mtu = one.plug.mtu_bytes
    assert mtu == JUMBO_BYTES - transport.overhead_bytes(underlay_v6=True)
    for address, headers in ((two.v4, 28), (two.v6, 48)):
        wait_until(lambda address=address: one.ping(address, count=1).lost == 0, f"{address} is reached")
        one.exec("ping", "-c", "1", "-W", "2", "-M", "do", "-s", str(mtu - headers), address)


def with_wrong_mtu(lab: Lab, network: Network) -> Endpoint:
    """A container that something other than the agent plugged in, with a larger MTU than the network's."""
    spec = PortSpec(name=f"{network.name}-wrong", network=network.id, host="h1")
    port = lab.frontend.run(lambda intent: intent.ports.create(spec))
    prefixes = (f"{address}/{64 if ':' in address else 24}" for address in port.ips)
    end = lab.plain_endpoint(port.name, "h1", mac=port.mac, addresses=tuple(prefixes), mtu_bytes=1500)
    host = lab.host("h1")
    host.run("ip", "link", "set", end.device, "mtu", "1500")
    host.plug(end.device, f"iface-id={port.id}")
    lab.journal.plugged(vni=network.vni, mac=port.mac, at=host.address)
    lab.frontend.run(lambda intent: intent.ports.wait_up(port, timeout_s=10))
    return end


def test_the_sender_of_a_packet_that_is_too_large_is_told_what_fits(
    lab: Lab, network: MakeNetwork, endpoint: MakeEndpoint
) -> None:
    of = network()
    far = endpoint(of, "h2")
    wrong = with_wrong_mtu(lab, of)
    try:
        for address, size in ((far.v4, 1460), (far.v6, 1440)):
            wait_until(
                lambda address=address: wrong.ping(address, count=1).lost == 0, f"{address} is reached"
            )
            with pytest.raises(CommandError, match=r"mtu[=:] ?1450"):
                wrong.exec("ping", "-c", "2", "-i", "0.2", "-W", "2", "-M", "do", "-s", str(size), address)
            # What the kernel learned from the error: with fragments or smaller segments everything passes.
            assert "mtu 1450" in wrong.exec("ip", "route", "get", address)
            wrong.exec("ping", "-c", "1", "-W", "2", "-M", "dont", "-s", str(size), address)
    finally:
        wrong.remove()
