"""Real DHCP clients get the addresses that intent gave to their ports, and all that belongs to them."""

import re
import signal
import socket
from pathlib import Path

import pytest
from tests.lab.assigning import advertisement_in, asked, tell
from tests.lab.clients import bare, dhclient, dhcpcd, udhcpc
from tests.lab.conftest import MakeEndpoint, MakeNetwork

from plait.intent import Intent
from plait.lab import crafted
from plait.lab.lab import Lab
from plait.lab.waiting import wait_until
from plait.lab.wire import Wire
from plait.model.entities import DhcpOption, HostRoute
from plait.model.policy import Action
from plait.wire.datagram import decode_datagram
from plait.wire.dhcp import Kind, Option
from plait.wire.errors import MalformedMessage


@pytest.mark.parametrize("host", ["h1", "h2"])
def test_udhcpc_gets_its_port_s_address_and_reaches_others_with_it(
    network: MakeNetwork, endpoint: MakeEndpoint, tmp_path: Path, host: str
) -> None:
    of = network()
    client, other = endpoint(of, host), endpoint(of, "h1" if host == "h2" else "h2")
    bare(client)
    with udhcpc(client, tmp_path) as running:
        assert running.until("bound")["ip"] == client.v4
        assert client.ping(other.v4).lost == 0


def test_everything_that_is_to_be_told_is_told(
    lab: Lab, network: MakeNetwork, endpoint: MakeEndpoint, tmp_path: Path
) -> None:
    of = network()
    tell(
        lab,
        of,
        version=4,
        lease_s=7200,
        dns=("10.0.0.53", "9.9.9.9"),
        ntp=("10.0.0.123",),
        domain="example.com",
        search=("example.com", "lab.example.com"),
        routes=(HostRoute("192.168.0.0/16", "10.0.0.254"),),
        dhcp_options=(DhcpOption(4, 66, b"boot.example.com".hex()),),
    )
    client = endpoint(of, "h2", hostname="www", dhcp_options=(DhcpOption(4, 67, b"pxe".hex()),))
    bare(client)
    mtu = client.exec("cat", "/sys/class/net/eth0/mtu").strip()
    with udhcpc(client, tmp_path) as running:
        told = running.until("bound")
    expected = {
        "ip": client.v4,
        "subnet": "255.255.255.0",
        "broadcast": "10.0.0.255",
        "router": "10.0.0.1",
        "serverid": "10.0.0.1",
        "dns": "10.0.0.53 9.9.9.9",
        "ntpsrv": "10.0.0.123",
        "domain": "example.com",
        "search": "example.com lab.example.com",
        "hostname": "www",
        "mtu": mtu,
        "lease": "7200",
        "staticroutes": "192.168.0.0/16 10.0.0.254 0.0.0.0/0 10.0.0.1",
        "tftp": "boot.example.com",
        "bootfile": "pxe",
    }
    assert {name: told.get(name) for name in expected} == expected


def test_dhclient_gets_the_same(network: MakeNetwork, endpoint: MakeEndpoint, tmp_path: Path) -> None:
    of = network()
    client = endpoint(of, "h1")
    bare(client)
    with dhclient(client, tmp_path) as running:
        told = running.until("BOUND")
    assert told["new_ip_address"] == client.v4
    assert told["new_subnet_mask"] == "255.255.255.0"
    assert told["new_routers"] == "10.0.0.1"
    assert told["new_dhcp_lease_time"] == "86400"


def test_dhcpcd_gets_the_same(network: MakeNetwork, endpoint: MakeEndpoint, tmp_path: Path) -> None:
    client = endpoint(network(), "h1")
    bare(client)
    with dhcpcd(client, tmp_path, "--noarp", "-4") as running:
        told = running.until("BOUND")
    assert told["new_ip_address"] == client.v4
    assert told["new_dhcp_server_identifier"] == "10.0.0.1"


def test_udhcpc_renews_and_releases(network: MakeNetwork, endpoint: MakeEndpoint, tmp_path: Path) -> None:
    client = endpoint(network(), "h1")
    bare(client)
    with udhcpc(client, tmp_path, "-R") as running:
        running.until("bound")
        running.signal(signal.SIGUSR1)
        assert running.until("renew", "bound", after=2)["ip"] == client.v4
        running.signal(signal.SIGUSR2)
        running.until_said("released")


def test_dhclient_rebinds_where_its_server_does_not_answer(
    network: MakeNetwork, endpoint: MakeEndpoint, tmp_path: Path
) -> None:
    client = endpoint(network(), "h1")
    bare(client)
    times = "supersede dhcp-renewal-time 1; supersede dhcp-rebinding-time 2;"
    with dhclient(client, tmp_path, config=times) as running:
        running.until("BOUND")
        assert running.until("REBIND", "RENEW")["new_ip_address"] == client.v4
        requests = re.findall("DHCPREQUEST for .* to (.*) port 67", running.said)
        assert requests[:3] == ["255.255.255.255", "10.0.0.1", "255.255.255.255"]


def test_a_client_that_remembers_another_address_is_refused_and_gets_its_own(
    network: MakeNetwork, endpoint: MakeEndpoint, tmp_path: Path
) -> None:
    client = endpoint(network(), "h1")
    bare(client)
    remembered = """lease {
  interface "eth0"; fixed-address 10.0.0.99; option subnet-mask 255.255.255.0;
  option dhcp-lease-time 86400; option dhcp-message-type 5; option dhcp-server-identifier 10.0.0.1;
  renew 0 2035/01/07 00:00:00; rebind 0 2035/01/07 00:00:00; expire 0 2035/01/07 00:00:00;
}
"""
    with dhclient(client, tmp_path, lease=remembered) as running:
        assert running.until("BOUND", "REBOOT")["new_ip_address"] == client.v4
        assert "DHCPNAK from 10.0.0.1" in running.said


def test_an_address_that_was_changed_is_refused_at_the_next_renewal(
    lab: Lab, network: MakeNetwork, endpoint: MakeEndpoint, tmp_path: Path
) -> None:
    client = endpoint(network(), "h1")
    before = client.v4
    bare(client)
    with udhcpc(client, tmp_path) as running:
        running.until("bound")
        lab.frontend.run(
            lambda intent: intent.ports.set(client.record.port or "", addresses=("10.0.0.77", client.v6))
        )
        wait_until(
            lambda: "arp_spa=10.0.0.77" in client.host.switch.ofctl("dump-flows", "br-int", "table=5"),
            "the new address may be used",
        )
        seen = len(running.events())
        running.signal(signal.SIGUSR1)
        assert running.until("bound", after=seen)["ip"] == "10.0.0.77" != before


def test_an_endpoint_that_moved_renews_where_it_is(
    network: MakeNetwork, endpoint: MakeEndpoint, tmp_path: Path
) -> None:
    client = endpoint(network(), "h1")
    address = socket.inet_aton(client.v4)
    offer = asked(client, Kind.DISCOVER)
    assert offer is not None
    client.move("h2")
    wanted = {Option.REQUESTED_ADDRESS: address, Option.SERVER_ID: offer.options[Option.SERVER_ID]}
    answer = asked(client, Kind.REQUEST, wanted)
    assert answer is not None
    assert (answer.kind, answer.yours) == (Kind.ACK, address)


def test_two_networks_with_the_same_subnet_get_their_own_answers(
    lab: Lab, network: MakeNetwork, endpoint: MakeEndpoint, tmp_path: Path
) -> None:
    domains = ("red.example.com", "blue.example.com")
    for domain in domains:
        of = network()
        tell(lab, of, version=4, domain=domain)
        client = endpoint(of, "h1")
        bare(client)
        (directory := tmp_path / domain).mkdir()
        with udhcpc(client, directory) as running:
            told = running.until("bound")
        assert (told["ip"], told["domain"]) == (client.v4, domain)


def test_a_subnet_without_dhcp_answers_nobody(lab: Lab, network: MakeNetwork, endpoint: MakeEndpoint) -> None:
    of, control = network(), network()
    tell(lab, of, version=4, dhcp=False)
    silent, answered = endpoint(of, "h1"), endpoint(control, "h1")
    assert asked(answered, Kind.DISCOVER) is not None
    assert asked(silent, Kind.DISCOVER, patience_s=1) is None


def test_who_may_neither_send_nor_receive_learns_its_address_all_the_same(
    lab: Lab, network: MakeNetwork, endpoint: MakeEndpoint
) -> None:
    of = network()
    shut, other = endpoint(of, "h1"), endpoint(of, "h2")
    group = f"shut-{of.id}"

    async def shut_in(intent: Intent) -> None:
        await intent.groups.create(group, isolated=True, egress=Action.DENY)
        await intent.members.add(group, [shut.record.port or ""])

    lab.frontend.run(shut_in)
    wait_until(lambda: not shut.reaches(other.v4), "nothing of its own passes")
    assert asked(shut, Kind.DISCOVER) is not None
    source = (shut.mac, "::")
    with Wire(shut.namespace) as wire:
        wire.send(crafted.icmpv6(source, ("33:33:00:00:00:02", "ff02::2"), b"\x85" + bytes(7)))
        wire.until(lambda frame: "prefix info" in advertisement_in(frame))
    lab.frontend.run(lambda intent: intent.members.remove(group, [shut.record.port or ""]))
    lab.frontend.run(lambda intent: intent.groups.delete(group))


def test_a_strange_mac_gets_nothing(network: MakeNetwork, endpoint: MakeEndpoint) -> None:
    client = endpoint(network(), "h1")
    own = bytes.fromhex(client.mac.replace(":", ""))
    strange = bytes.fromhex("026666666666")
    assert asked(client, Kind.DISCOVER) is not None
    for frame_mac, client_mac in ((strange, strange), (own, strange), (strange, own)):
        assert asked(client, Kind.DISCOVER, mac=client_mac, by=frame_mac, patience_s=0.5) is None


def test_a_port_without_security_is_answered_only_what_is_its_own(
    network: MakeNetwork, endpoint: MakeEndpoint
) -> None:
    router = endpoint(network(), "h1", security=False)
    assert asked(router, Kind.DISCOVER) is not None
    strange = bytes.fromhex("026666666666")
    assert asked(router, Kind.DISCOVER, mac=strange, by=strange, patience_s=0.5) is None


def test_questions_and_answers_reach_nobody_else(network: MakeNetwork, endpoint: MakeEndpoint) -> None:
    of = network()
    client, neighbour, far = endpoint(of, "h1"), endpoint(of, "h1"), endpoint(of, "h2")
    with Wire(neighbour.namespace) as near_wire, Wire(far.namespace) as far_wire:
        assert asked(client, Kind.DISCOVER, wants_broadcast=True) is not None
        assert client.ping(neighbour.v4).lost == client.ping(far.v4).lost == 0
        for wire in (near_wire, far_wire):
            seen = wire.until(lambda frame: frame[12:14] == b"\x08\0" and frame[23] == 1)
            assert not any(_ports(frame) & {67, 68} for frame in seen)


def _ports(frame: bytes) -> set[int]:
    try:
        datagram = decode_datagram(frame)
    except MalformedMessage:
        return set()
    return {datagram.source_port, datagram.destination_port}
