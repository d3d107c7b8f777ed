"""IPv6 endpoints get addresses by DHCPv6 or make them themselves, and learn what their routers say."""

import re
from pathlib import Path

import pytest
from tests.lab.assigning import advertisement_in, subnet_of, tell
from tests.lab.clients import bare, dhclient, dhcpcd
from tests.lab.conftest import MakeEndpoint, MakeNetwork

from plait.intent import Intent
from plait.lab import netns
from plait.lab.endpoint import Endpoint
from plait.lab.lab import Lab
from plait.lab.waiting import wait_until
from plait.lab.wire import Wire
from plait.model.entities import DhcpOption, Ipv6Mode, Network


@pytest.mark.parametrize("host", ["h1", "h2"])
def test_dhclient_gets_its_port_s_address_and_reaches_others_with_it(
    network: MakeNetwork, endpoint: MakeEndpoint, tmp_path: Path, host: str
) -> None:
    of = network()
    client, other = endpoint(of, host), endpoint(of, "h1" if host == "h2" else "h2")
    bare(client)
    with dhclient(client, tmp_path, "-6") as running:
        assert running.until("BOUND6")["new_ip6_address"] == client.v6
        netns.ip_batch(["route replace fd00:10::/64 dev eth0"], namespace=client.namespace)
        # The kernel takes an address into use a moment after it has it, even without looking for duplicates.
        wait_until(lambda: client.ping(other.v6).lost == 0, "the other one answers")


def test_everything_that_is_to_be_told_is_told(
    lab: Lab, network: MakeNetwork, endpoint: MakeEndpoint, tmp_path: Path
) -> None:
    of = network()
    tell(
        lab,
        of,
        version=6,
        lease_s=7200,
        dns=("fd00:10::53", "2620:fe::fe"),
        ntp=("fd00:10::123",),
        search=("example.com", "lab.example.com"),
        dhcp_options=(DhcpOption(6, 59, b"tftp://boot".hex()),),
    )
    client = endpoint(of, "h1")
    bare(client)
    with dhclient(
        client, tmp_path, "-6", config="also request dhcp6.sntp-servers, dhcp6.bootfile-url;"
    ) as it:
        told = it.until("BOUND6")
    assert told["new_ip6_address"] == client.v6
    assert told["new_dhcp6_name_servers"] == "fd00:10::53 2620:fe::fe"
    assert told["new_dhcp6_domain_search"] == "example.com. lab.example.com."
    assert told["new_dhcp6_sntp_servers"] == "fd00:10::123"
    assert told["new_dhcp6_bootfile_url"].strip('"') == "tftp://boot"
    assert told["new_max_life"] == "7200"


def test_dhclient_renews_rebinds_and_releases(
    lab: Lab, network: MakeNetwork, endpoint: MakeEndpoint, tmp_path: Path
) -> None:
    client = endpoint(network(), "h1")
    bare(client)
    with dhclient(client, tmp_path, "-6") as running:
        told = running.until("BOUND6")
        lease = (tmp_path / "leases").read_text()
    assert "XMT: Request" in running.said
    (again := tmp_path / "again").mkdir()
    # Who was away for long asks anybody whether its address still counts: Confirm.
    with dhclient(client, again, "-6", lease=lease) as running:
        assert running.until("REBOOT6", "BOUND6", "RENEW6")["new_ip6_address"] == told["new_ip6_address"]
        assert "XMT: Confirm" in running.said
    (last := tmp_path / "last").mkdir()
    answered = client.host.ask("status")["packets_answered"]
    with dhclient(client, last, "-6", "-r", lease=lease) as running:
        running.until("RELEASE6")
        wait_until(lambda: client.host.ask("status")["packets_answered"] > answered, "it is answered")


def test_dhcpcd_does_what_the_advertisement_says(
    network: MakeNetwork, endpoint: MakeEndpoint, tmp_path: Path
) -> None:
    client = endpoint(network(), "h2")
    bare(client)
    with dhcpcd(client, tmp_path, "-6") as running:
        told = running.until("BOUND6")
    assert client.v6 in (told.get("new_dhcp6_ia_na1_ia_addr1"), told.get("new_dhcp6_ia_na2_ia_addr1"))


def test_dhcpcd_gets_its_address_with_two_messages_where_it_asks_for_that(
    network: MakeNetwork, endpoint: MakeEndpoint, tmp_path: Path
) -> None:
    client = endpoint(network(), "h1")
    bare(client)
    with dhcpcd(client, tmp_path, "-6", "-o", "rapid_commit") as running:
        running.until("BOUND6")
    assert "REPLY6 received" in running.said
    assert "REQUEST6" not in running.said


def solicit(client: Endpoint) -> None:
    """Have the container's kernel make its addresses anew."""
    settings = {"accept_ra": 1, "autoconf": 1, "router_solicitations": 3, "accept_ra_mtu": 1, "accept_dad": 1}
    sysctls = {f"ipv6/conf/eth0/{name}": value for name, value in settings.items()}
    netns.configure(client.namespace, {**sysctls, "ipv6/conf/eth0/addr_gen_mode": 0})
    netns.ip_batch(["link set eth0 down", "link set eth0 up"], namespace=client.namespace)


def autonomous(lab: Lab, of: Network, mode: Ipv6Mode) -> None:
    """Make the network's IPv6 subnet one whose endpoints make their addresses themselves."""
    tell(lab, of, version=6, ipv6_mode=mode, dns=("fd00:10::53",), search=("example.com",))


@pytest.mark.parametrize("mode", [Ipv6Mode.SLAAC, Ipv6Mode.STATELESS])
def test_a_kernel_makes_the_port_s_address_itself(
    lab: Lab, network: MakeNetwork, endpoint: MakeEndpoint, mode: Ipv6Mode, tmp_path: Path
) -> None:
    of = network()
    autonomous(lab, of, mode)
    client, other = endpoint(of, "h1"), endpoint(of, "h2")
    bare(client)
    solicit(client)
    wait_until(lambda: client.v6 in _addresses(client), f"the kernel makes {client.v6}: {_addresses(client)}")
    assert client.ping(other.v6).lost == 0
    if mode is Ipv6Mode.STATELESS:
        with dhclient(client, tmp_path, "-6", "-S") as running:
            told = running.until("BOUND6", "RENEW6", "INFORM6")
        assert told["new_dhcp6_name_servers"] == "fd00:10::53"


def _addresses(end: Endpoint) -> str:
    return end.exec("ip", "-6", "-o", "addr", "show", "dev", "eth0", "scope", "global", "-tentative")


def test_a_kernel_takes_prefix_and_mtu_from_advertisements(
    lab: Lab, network: MakeNetwork, endpoint: MakeEndpoint
) -> None:
    of = network()
    client = endpoint(of, "h1")
    mtu = client.exec("cat", "/proc/sys/net/ipv6/conf/eth0/mtu").strip()
    netns.ip_batch(["link set eth0 mtu 1500"], namespace=client.namespace)
    bare(client)
    solicit(client)
    wait_until(
        lambda: client.exec("cat", "/proc/sys/net/ipv6/conf/eth0/mtu").strip() == mtu, "the MTU is told"
    )
    wait_until(lambda: "fd00:10::/64" in client.exec("ip", "-6", "route"), "the prefix is on the link")
    assert "default" not in client.exec("ip", "-6", "route")


def test_a_router_is_told_of_as_soon_as_there_is_one_and_forgotten_as_soon_as_there_is_none(
    lab: Lab, network: MakeNetwork, endpoint: MakeEndpoint
) -> None:
    of = network()
    client = endpoint(of, "h1")
    solicit(client)
    router, subnet = f"router-of-{of.id}", subnet_of(lab, of, version=6)

    async def join(intent: Intent) -> None:
        await intent.routers.create(router)
        await intent.interfaces.add(router, subnet.id)

    lab.frontend.run(join)
    wait_until(lambda: "default via fe80" in client.exec("ip", "-6", "route"), "there is a default route")
    netns.ip_batch([f"addr add {client.v6}/64 dev eth0 nodad"], namespace=client.namespace)
    wait_until(lambda: client.ping("fd00:10::1").lost == 0, "the router answers")
    lab.frontend.run(lambda intent: intent.routers.delete(router, cascade=True))
    wait_until(lambda: "default" not in client.exec("ip", "-6", "route"), "the default route is gone")


def test_what_changes_is_told_at_once(lab: Lab, network: MakeNetwork, endpoint: MakeEndpoint) -> None:
    of = network()
    clients = endpoint(of, "h1"), endpoint(of, "h2")
    with Wire(clients[0].namespace) as near, Wire(clients[1].namespace) as far:
        tell(lab, of, version=6, dns=("fd00:10::53",), search=("example.com",))
        for wire in (near, far):
            told = wire.until(lambda frame: "rdnss" in advertisement_in(frame))
            text = advertisement_in(told[-1])
            assert "addr: fd00:10::53" in text
            assert "example.com" in text
            assert re.search(r"prefix info option.*fd00:10::/64, Flags \[onlink\]", text)
            assert "Flags [managed]" in text
            assert "router lifetime 0s" in text


def test_an_agent_that_comes_back_says_everything_again(
    lab: Lab, network: MakeNetwork, endpoint: MakeEndpoint
) -> None:
    client = endpoint(network(), "h1")
    with Wire(client.namespace) as wire:
        client.host.kill_agent()
        client.host.start_agent()
        wire.until(lambda frame: "prefix info" in advertisement_in(frame))
    lab.wait_ready("h1")


def test_a_kernel_s_detection_of_duplicates_finds_nobody(
    lab: Lab, network: MakeNetwork, endpoint: MakeEndpoint
) -> None:
    of = network()
    autonomous(lab, of, Ipv6Mode.SLAAC)
    client = endpoint(of, "h1")
    bare(client)
    solicit(client)
    wait_until(lambda: client.v6 in _addresses(client), "the address is no longer tentative")
    assert "dadfailed" not in client.exec("ip", "-6", "addr")
