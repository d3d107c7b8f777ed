"""What crossed the underlay of the shared lab during all tests of this run. Comes last."""

from tests.lab.conftest import MakeEndpoint, MakeNetwork

from plait.lab.capture import Capture
from plait.lab.lab import Lab
from plait.lab.tunnelled import Tally, carried, tally
from plait.model.entities import Transport


def test_tunnels_carried_no_arp_no_nd_no_broadcast_and_no_unknown_unicast(
    lab: Lab, underlay: Capture, network: MakeNetwork, endpoint: MakeEndpoint
) -> None:
    # Alone, too, this test has traffic of every kind to judge.
    for transport in Transport:
        of = network(transport)
        one, two = endpoint(of, "h1"), endpoint(of, "h2")
        assert one.ping(two.v4).lost == one.ping(two.v6).lost == 0
    places = lab.journal.places()
    for host, file in underlay.stop().items():
        seen: Tally = tally(carried(file.read_bytes()), places)
        assert seen.unwanted == 0, f"{host}: {seen}"
        if host in ("h1", "h2"):
            assert all(seen.transports[transport] >= 6 for transport in Transport), f"{host}: {seen}"
            assert seen.unicast > 0
