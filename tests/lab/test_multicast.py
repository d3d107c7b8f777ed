"""Multicast reaches those that subscribed, once each, and nobody else; broadcast reaches nobody."""

from functools import partial

import pytest
from tests.lab.conftest import MakeEndpoint, MakeNetwork

from plait.lab import crafted
from plait.lab.endpoint import Endpoint
from plait.lab.wire import Wire

GROUPS = ("239.1.2.3", "ff0e::1:3")


def _to_group(sender: Endpoint, group: str, data: bytes) -> bytes:
    source = sender.v6 if ":" in group else sender.v4
    return crafted.udp((sender.mac, source), (crafted.multicast_mac(group), group), data)


def _to_one(sender: Endpoint, receiver: Endpoint, data: bytes) -> bytes:
    return crafted.udp((sender.mac, sender.v4), (receiver.mac, receiver.v4), data)


@pytest.mark.parametrize("group", GROUPS)
def test_multicast_reaches_subscribers_on_every_host_once_and_nobody_else(
    network: MakeNetwork, endpoint: MakeEndpoint, group: str
) -> None:
    of = network()
    sender = endpoint(of, "h1")
    subscribed = [endpoint(of, host, multicast=GROUPS) for host in ("h1", "h2", "h2", "h3")]
    others = [endpoint(of, host) for host in ("h1", "h2", "h3")]
    elsewhere = endpoint(network(), "h2", multicast=GROUPS)
    everyone = [*subscribed, *others, elsewhere]
    for end in (*subscribed, *others):
        assert sender.ping(end.v4).lost == 0
    wires = {end.name: Wire(end.namespace) for end in everyone}
    with Wire(sender.namespace) as out:
        for number in range(5):
            out.send(_to_group(sender, group, b"to the group %d" % number))
        heard = {
            end.name: sum(
                b"to the group" in frame
                for frame in wires[end.name].all_before(partial(_to_one, sender, end), sender=out)
            )
            for end in (*subscribed, *others)
        }
    assert heard == {**{end.name: 5 for end in subscribed}, **{end.name: 0 for end in others}}


def test_an_address_that_shares_the_groups_mac_is_not_the_group(
    network: MakeNetwork, endpoint: MakeEndpoint
) -> None:
    of = network()
    sender, subscriber = endpoint(of, "h1"), endpoint(of, "h2", multicast=("239.1.2.3",))
    assert crafted.multicast_mac("239.129.2.3") == crafted.multicast_mac("239.1.2.3")
    with Wire(sender.namespace) as out, Wire(subscriber.namespace) as wire:
        out.send(
            _to_group(sender, "239.129.2.3", b"another group"), _to_group(sender, "239.1.2.3", b"the group")
        )
        seen = wire.all_before(partial(_to_one, sender, subscriber), sender=out)
    assert any(b"the group" in frame for frame in seen)
    assert not any(b"another group" in frame for frame in seen)


def test_broadcast_and_unknown_addresses_reach_nobody(network: MakeNetwork, endpoint: MakeEndpoint) -> None:
    of = network()
    sender = endpoint(of, "h1")
    others = [endpoint(of, host) for host in ("h1", "h2")]
    with Wire(sender.namespace) as out:
        for end in others:
            assert sender.ping(end.v4).lost == 0
            with Wire(end.namespace) as wire:
                out.send(
                    crafted.udp((sender.mac, sender.v4), (crafted.BROADCAST, "255.255.255.255"), b"to all"),
                    crafted.udp((sender.mac, sender.v4), (crafted.BROADCAST, "10.0.0.255"), b"to all"),
                    crafted.udp((sender.mac, sender.v4), ("02:99:99:99:99:99", end.v4), b"to nobody"),
                )
                seen = wire.all_before(partial(_to_one, sender, end), sender=out)
            assert not any(b"to all" in frame or b"to nobody" in frame for frame in seen)
