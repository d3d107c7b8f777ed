"""Addresses that several endpoints may have: who says so last has it, on whichever host it is."""

import re
from collections.abc import Callable

import pytest
from tests.lab.assigning import advertisement_in
from tests.lab.conftest import MakeEndpoint, MakeNetwork

from plait.lab import crafted, netns
from plait.lab.endpoint import Endpoint
from plait.lab.host import LabHost
from plait.lab.lab import Lab
from plait.lab.waiting import wait_until
from plait.lab.wire import Wire
from plait.model.entities import AddressPair

V4, V6 = "10.0.0.200", "fd00:10::200"
ALL_NODES = ("33:33:00:00:00:01", "ff02::1")
Announce = Callable[[Endpoint], bytes]


def gratuitous_arp(end: Endpoint) -> bytes:
    return crafted.arp(
        end.mac, crafted.BROADCAST, operation=1, sender=(end.mac, V4), target=("00:00:00:00:00:00", V4)
    )


def unsolicited_advertisement(end: Endpoint) -> bytes:
    return crafted.icmpv6((end.mac, V6), ALL_NODES, _advertisement(end))


def _advertisement(end: Endpoint) -> bytes:
    override = b"\x20\0\0\0"
    target = bytes.fromhex("fd000010000000000000000000000200")
    return b"\x88\0\0\0" + override + target + b"\x02\x01" + bytes.fromhex(end.mac.replace(":", ""))


def router_solicitation(end: Endpoint) -> bytes:
    return crafted.icmpv6((end.mac, "::"), ("33:33:00:00:00:02", "ff02::2"), b"\x85" + bytes(7))


VERSIONS = pytest.mark.parametrize(
    ("address", "announce"), [(V4, gratuitous_arp), (V6, unsolicited_advertisement)], ids=["IPv4", "IPv6"]
)


def pair_of(address: str) -> tuple[AddressPair, ...]:
    return (AddressPair(f"{address}/128" if ":" in address else f"{address}/32"),)


def take(end: Endpoint, address: str) -> None:
    netns.ip_batch([f"addr add {_with_bits(address)} dev eth0{_nodad(address)}"], namespace=end.namespace)


def give_up(end: Endpoint, address: str) -> None:
    netns.ip_batch([f"addr del {_with_bits(address)} dev eth0"], namespace=end.namespace)


def _with_bits(address: str) -> str:
    return f"{address}/64" if ":" in address else f"{address}/24"


def _nodad(address: str) -> str:
    return " nodad" if ":" in address else ""


def leads_to(host: LabHost, address: str, end: Endpoint) -> bool:
    """Whether a question for the address on `host` is answered with the endpoint's MAC."""
    field = "nd_target" if ":" in address else "arp_tpa"
    flows = host.switch.ofctl("dump-flows", "br-int", "table=10")
    found = re.search(
        rf"{field}={re.escape(address)}(?:,\S*)? actions=set_field:([0-9a-f:]+)->eth_dst", flows
    )
    return found is not None and found[1] == end.mac


@VERSIONS
def test_an_address_moves_from_host_to_host_with_one_announcement(
    network: MakeNetwork, endpoint: MakeEndpoint, address: str, announce: Announce
) -> None:
    of = network()
    one = endpoint(of, "h1", address_pairs=pair_of(address))
    two = endpoint(of, "h2", address_pairs=pair_of(address))
    clients = [endpoint(of, host) for host in ("h1", "h2", "h3")]
    before: Endpoint | None = None
    for holder in (one, two, one):
        if before is not None:
            give_up(before, address)
        take(holder, address)
        with Wire(holder.namespace) as wire:
            wire.send(announce(holder))
        for client in clients:
            wait_until(
                lambda client=client, holder=holder: leads_to(client.host, address, holder),  # type: ignore[misc]
                f"{client.host.name} knows that {holder.name} has {address}",
            )
            # Its kernel remembers the holder of before, and would ask anew after 5 seconds by itself.
            wait_until(
                lambda client=client: client.ping(address).lost == 0,  # type: ignore[misc]
                f"{client.name} reaches the new holder",
                timeout_s=4,
            )
        before = holder


@VERSIONS
def test_of_two_ports_on_one_host_the_last_one_has_it(
    network: MakeNetwork, endpoint: MakeEndpoint, address: str, announce: Announce
) -> None:
    of = network()
    holders = [endpoint(of, "h1", address_pairs=pair_of(address)) for _ in range(2)]
    client = endpoint(of, "h2")
    for holder in holders:
        with Wire(holder.namespace) as wire:
            wire.send(announce(holder))
        wait_until(lambda holder=holder: leads_to(client.host, address, holder), "the client's host knows")  # type: ignore[misc]


@VERSIONS
def test_who_may_not_have_an_address_does_not_get_it(
    lab: Lab, network: MakeNetwork, endpoint: MakeEndpoint, address: str, announce: Announce
) -> None:
    of = network()
    holder = endpoint(of, "h1", address_pairs=pair_of(address))
    thief, client = endpoint(of, "h2"), endpoint(of, "h3")
    take(holder, address)
    for sender in (thief, holder):
        with Wire(sender.namespace) as wire:
            wire.send(announce(sender))
    wait_until(lambda: leads_to(client.host, address, holder), "the holder's word counts")
    with Wire(thief.namespace) as wire:
        wire.send(*[announce(thief)] * 5)
        # What it says afterwards is heard after it.
        wire.send(router_solicitation(thief))
        wire.until(lambda frame: bool(advertisement_in(frame)))
    assert client.ping(address).lost == 0
    assert lab.differences() == {}


@VERSIONS
def test_an_endpoint_sends_from_the_addresses_of_its_pairs_and_no_others(
    lab: Lab, network: MakeNetwork, endpoint: MakeEndpoint, address: str, announce: Announce
) -> None:
    of = network()
    prefix = "fd00:10::200/120" if ":" in address else "10.0.0.192/26"
    sender = endpoint(of, "h1", address_pairs=(AddressPair(prefix),))
    receiver = endpoint(of, "h2")
    assert lab.differences() == {}
    own = receiver.v6 if ":" in address else receiver.v4
    strange = "fd00:10::300" if ":" in address else "10.0.0.100"
    arrived = []
    with Wire(sender.namespace) as out, Wire(receiver.namespace) as wire:
        for source in (address, strange):
            out.send(crafted.udp((sender.mac, source), (receiver.mac, own), b"by " + source.encode()))
        mine = sender.v6 if ":" in address else sender.v4
        seen = wire.all_before(
            lambda data: crafted.udp((sender.mac, mine), (receiver.mac, own), data), sender=out
        )
        arrived = [
            source for source in (address, strange) if any(b"by " + source.encode() in f for f in seen)
        ]
    assert arrived == [address]


def test_what_is_claimed_outlives_the_agent_and_ends_with_the_port(
    lab: Lab, network: MakeNetwork, endpoint: MakeEndpoint
) -> None:
    of = network()
    holder, client = endpoint(of, "h1", address_pairs=pair_of(V4)), endpoint(of, "h2")
    with Wire(holder.namespace) as wire:
        wire.send(gratuitous_arp(holder))
    wait_until(lambda: leads_to(client.host, V4, holder), "it is claimed")
    holder.host.kill_agent()
    holder.host.start_agent()
    lab.wait_ready("h1")
    assert leads_to(holder.host, V4, holder)
    assert leads_to(client.host, V4, holder)
    lab.frontend.run(lambda intent: intent.ports.delete(holder.record.port or ""))
    wait_until(lambda: not leads_to(client.host, V4, holder), "nobody has it")
