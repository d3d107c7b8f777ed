"""The whole way between hosts, for every pair of a small cluster."""

from functools import cache
from itertools import permutations, product

import msgspec
import pytest

from plait.flows import packet as packets
from plait.flows.address_numbers import mac_number, multicast_mac
from plait.intent.path import Arrival, Path, Site, trace_path
from plait.intent.stored_view import Stored
from plait.model.entities import Endpoint, FixedAddress, LiveHost, Network, Port, Transport

GROUP = "239.1.1.1"
HOSTS = {
    "h1": LiveHost(name="h1", vtep="172.16.0.1"),
    "h2": LiveHost(name="h2", vtep="172.16.0.2"),
    "h3": LiveHost(name="h3", vtep="FD01::3"),
}
NETWORKS = {
    "red": Network(id="red", name="red", vni=100),
    "blue": Network(id="blue", name="blue", vni=200, transport=Transport.GENEVE),
    "green": Network(id="green", name="green", vni=300, transport=Transport.GRE),
}


def port(network: str, number: int, host: str, sequence: int = 0) -> Port:
    """The ports of all networks with one number have the same addresses and MAC."""
    return Port(
        id=f"{network}{number}",
        name=f"{network}{number}",
        network=network,
        mac=f"02:00:00:00:00:{number:02x}",
        addresses=(FixedAddress("4", f"10.0.0.{number}"), FixedAddress("6", f"fd00::{number}")),
        host=host,
        sequence=sequence,
    )


def claim(port: Port) -> Endpoint:
    """What the port's host says of it: all want the one multicast group."""
    return Endpoint(
        network=port.network,
        port=port.id,
        mac=port.mac,
        host=port.host or "",
        ips=port.ips,
        sequence=port.sequence,
        multicast=(GROUP,),
    )


PORTS = {
    each.id: each
    for network in NETWORKS
    for number, host in enumerate(("h1", "h1", "h2", "h3"), 1)
    for each in [port(network, number, host)]
}
CLUSTER = Stored(HOSTS, NETWORKS, PORTS, tuple(map(claim, PORTS.values())))


def way(stored: Stored, source: Port, packet: packets.Packet) -> Path:
    return trace_path(cache(lambda host: Site(stored.view(host))), source.host or "", source.id, packet)


def ping(source: Port, target: Port, version: int) -> packets.Packet:
    macs = mac_number(source.mac), mac_number(target.mac)
    return packets.echo_request(*macs, source.ips[version], target.ips[version])


@pytest.mark.parametrize("version", [0, 1])
def test_every_port_reaches_those_of_its_network_and_no_other(version: int) -> None:
    sites = {host: Site(CLUSTER.view(host)) for host in HOSTS}
    for source, target in permutations(PORTS.values(), 2):
        path = trace_path(sites.__getitem__, source.host or "", source.id, ping(source, target, version))
        reached = {arrival.port for arrival in path.arrivals}
        same_place = f"{source.network}{target.id[-1]}"
        assert reached == ({same_place} if same_place != source.id else set())
        assert (reached == {target.id}) == (source.network == target.network)
        assert [leg.host for leg in path.legs] == list(
            dict.fromkeys([source.host, *(PORTS[id].host for id in reached)])
        )


@pytest.mark.parametrize("network", list(NETWORKS))
def test_multicast_reaches_every_subscriber_once_wherever_it_is(network: str) -> None:
    for number in range(1, 5):
        source = PORTS[f"{network}{number}"]
        report = packets.udp(mac_number(source.mac), multicast_mac(GROUP), source.ips[0], GROUP, 5000)
        others = [f"{network}{other}" for other in range(1, 5) if other != number]
        assert sorted(arrival.port for arrival in way(CLUSTER, source, report).arrivals) == others


def test_a_port_that_moved_is_where_the_newest_word_says() -> None:
    moved = port("red", 3, "h3", sequence=1)
    stored = Stored(HOSTS, NETWORKS, {**PORTS, moved.id: moved}, (*CLUSTER.claims, claim(moved)))
    for source, version in product((PORTS["red1"], PORTS["red4"]), (0, 1)):
        assert way(stored, source, ping(source, moved, version)).arrivals == (Arrival("h3", "red3"),)


def test_the_ports_of_a_dead_host_are_not_reached() -> None:
    stored = msgspec.structs.replace(CLUSTER, hosts={name: HOSTS[name] for name in ("h1", "h2")})
    path = way(stored, PORTS["red1"], ping(PORTS["red1"], PORTS["red4"], 0))
    assert not path.arrivals
    assert str(path.losses[0]).startswith("dropped in L2 on h1: unknown unicast")


def test_a_host_without_the_networks_transport_lets_nothing_in() -> None:
    deaf = msgspec.structs.replace(HOSTS["h2"], transports=(Transport.GENEVE,))
    stored = msgspec.structs.replace(CLUSTER, hosts={**HOSTS, "h2": deaf})
    path = way(stored, PORTS["red1"], ping(PORTS["red1"], PORTS["red3"], 0))
    assert [leg.host for leg in path.legs] == ["h1", "h2"]
    assert str(path.losses[0]) == (
        "dropped in CLASSIFY on h2: an unknown port, or a network that has no part here"
    )


def test_what_is_asked_is_answered_on_the_spot() -> None:
    source = PORTS["red1"]
    path = way(CLUSTER, source, packets.request(source.mac, source.ips[0], "10.0.0.4"))
    assert path.answer is not None
    assert path.answer.fields["arp_sha"] == mac_number("02:00:00:00:00:04")
    assert [leg.host for leg in path.legs] == ["h1"]
