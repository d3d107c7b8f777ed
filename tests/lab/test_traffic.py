"""Endpoints of one network talk, whatever carries them; those of different networks never do."""

import subprocess

import pytest
from tests.lab.conftest import MakeEndpoint, MakeNetwork

from plait.lab.lab import Lab
from plait.lab.streams import TcpStream, UdpEcho, udp_ask
from plait.model.entities import Transport

UNDERLAY_MTU_BYTES = 1500


@pytest.mark.parametrize("transport", list(Transport))
def test_pings_tcp_and_udp_cross_hosts_by_ipv4_and_ipv6(
    network: MakeNetwork, endpoint: MakeEndpoint, transport: Transport
) -> None:
    of = network(transport)
    one, two, beside = endpoint(of, "h1"), endpoint(of, "h2"), endpoint(of, "h1")
    for other in (two, beside):
        for address in other.addresses:
            # The very first included: nothing is learned from lost packets.
            assert one.ping(address, count=20, interval_s=0.01).lost == 0
            stream = TcpStream(one.namespace, other.namespace, address).start()
            assert stream.wait_received(1 << 19)
            assert stream.stop().whole
            with UdpEcho(other.namespace, address):
                assert udp_ask(one.namespace, address, b"hello", attempts=1)


@pytest.mark.parametrize("transport", list(Transport))
def test_the_mtu_is_what_the_underlay_leaves_and_full_packets_pass(
    network: MakeNetwork, endpoint: MakeEndpoint, transport: Transport
) -> None:
    of = network(transport)
    one, two = endpoint(of, "h1"), endpoint(of, "h2")
    mtu = one.plug.mtu_bytes
    assert mtu == UNDERLAY_MTU_BYTES - transport.overhead_bytes(underlay_v6=False)
    for address, headers in ((two.v4, 28), (two.v6, 48)):
        one.exec("ping", "-c", "1", "-W", "2", "-M", "do", "-s", str(mtu - headers), address)
        too_large = ["ping", "-c", "1", "-W", "1", "-M", "do", "-s", str(mtu - headers + 1), address]
        refused = subprocess.run(
            ["ip", "netns", "exec", one.namespace, *too_large], capture_output=True, text=True, check=False
        )
        assert refused.returncode != 0
        assert "too long" in refused.stdout + refused.stderr


@pytest.mark.parametrize("transport", list(Transport))
def test_datagrams_of_3000_bytes_cross_in_fragments(
    network: MakeNetwork, endpoint: MakeEndpoint, transport: Transport
) -> None:
    of = network(transport)
    one, two = endpoint(of, "h1"), endpoint(of, "h2")
    for address in two.addresses:
        with UdpEcho(two.namespace, address):
            assert udp_ask(one.namespace, address, bytes(range(250)) * 12)


def test_packets_larger_than_the_network_are_dropped_and_others_go_on(
    network: MakeNetwork, endpoint: MakeEndpoint
) -> None:
    of = network()
    one, two = endpoint(of, "h1"), endpoint(of, "h2")
    # An endpoint that does not keep to the MTU it was given.
    for end in (one, two):
        end.exec("ip", "link", "set", "eth0", "mtu", "1500")
    too_large = one.ping(two.v4, count=1)
    assert too_large.lost == 0
    subprocess.run(
        [
            "ip",
            "netns",
            "exec",
            one.namespace,
            "ping",
            "-c",
            "3",
            "-i",
            "0.2",
            "-W",
            "1",
            "-M",
            "do",
            "-s",
            "1472",
            two.v4,
        ],
        capture_output=True,
        check=False,
    )
    assert one.ping(two.v4, count=10).lost == 0


def test_the_same_addresses_in_two_networks_never_meet(network: MakeNetwork, endpoint: MakeEndpoint) -> None:
    red, blue = network(), network()
    red_1, blue_1 = endpoint(red, "h1"), endpoint(blue, "h1")
    red_2, blue_2 = endpoint(red, "h2"), endpoint(blue, "h2")
    assert red_1.addresses == blue_1.addresses
    assert red_2.addresses == blue_2.addresses
    for address in red_2.addresses:
        with UdpEcho(red_2.namespace, address, port=6001), UdpEcho(blue_2.namespace, address, port=6002):
            assert udp_ask(red_1.namespace, address, b"red", port=6001)
            assert udp_ask(blue_1.namespace, address, b"blue", port=6002)
            assert not udp_ask(red_1.namespace, address, b"red", port=6002, attempts=1, wait_s=0.5)
            assert not udp_ask(blue_1.namespace, address, b"blue", port=6001, attempts=1, wait_s=0.5)
    only_blue = endpoint(blue, "h2", addresses=("10.0.0.99", "fd00:10::99"))
    for address in only_blue.addresses:
        assert blue_1.reaches(address)
        assert not red_1.reaches(address)


def test_an_endpoint_moves_between_hosts_and_is_reached_at_its_new_place(
    lab: Lab, network: MakeNetwork, endpoint: MakeEndpoint
) -> None:
    of = network()
    one, two, mover = endpoint(of, "h1"), endpoint(of, "h2"), endpoint(of, "h3")
    before = mover.plug
    for end in (one, two):
        assert end.ping(mover.v4).lost == 0
    for host in ("h1", "h2", "h3"):
        mover.move(host)
        assert mover.plug == before
        assert mover.device in lab.host(host).run("ip", "-br", "link")
        for end in (one, two):
            for address in mover.addresses:
                assert end.ping(address, count=5).received > 0
                assert end.ping(address, count=10).lost == 0
        assert mover.ping(one.v6, count=10).lost == 0


def test_a_container_with_duplicate_address_detection_comes_up(
    network: MakeNetwork, endpoint: MakeEndpoint
) -> None:
    of = network()
    one, two = endpoint(of, "h1", dad=True), endpoint(of, "h2")
    assert two.ping(one.v4).lost == 0
    one.exec("sh", "-c", "while ip -6 addr show dev eth0 | grep -q tentative; do sleep 0.1; done")
    assert "dadfailed" not in one.exec("ip", "-6", "addr", "show", "dev", "eth0")
    assert two.ping(one.v6).lost == 0
