import asyncio

import pytest

from plait.intent import Full, Intent, IntentError, InUse, NotFound, PortSpec, Taken, audit
from plait.intent.address_pairs import parse_pair
from plait.intent.dhcp_options import option_text, parse_option
from plait.intent.told import parse_route
from plait.model import checks
from plait.model.checks import Invalid
from plait.model.entities import AddressPair, DhcpOption, HostRoute, Ipv6Mode

MAC = "02:00:00:00:00:01"


@pytest.fixture
async def web(intent: Intent) -> str:
    await intent.networks.create("web")
    await intent.subnets.create("web", "10.0.0.0/24", name="four")
    return "web"


# -- what endpoints are told


async def test_a_subnet_keeps_what_its_endpoints_are_told(intent: Intent, web: str) -> None:
    made = await intent.subnets.create(
        web,
        "10.1.0.0/24",
        name="told",
        dhcp=False,
        lease_s=3600,
        dns=("10.1.0.2",),
        ntp=("10.1.0.3",),
        domain="example.com",
        search=("example.com", "example.org"),
        routes=(parse_route("10.9.0.0/16=10.1.0.254"),),
        dhcp_options=(parse_option("66=text:tftp.example"),),
    )
    assert await intent.subnets.get("told") == made
    assert made.routes == (HostRoute("10.9.0.0/16", "10.1.0.254"),)
    changed = await intent.subnets.set("told", dhcp=True, domain=None, dns=())
    assert (changed.dhcp, changed.domain, changed.dns, changed.lease_s) == (True, None, (), 3600)


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"dns": ("fd00::1",)}, "server fd00::1 is not of the family of subnet 10.1.0.0/24"),
        ({"dns": ("nope",)}, "server 'nope' is not an IPv4 or IPv6 address"),
        ({"dns": ("10.0.0.1",) * 9}, "would have 9 DNS servers: 8 is the most"),
        ({"lease_s": 1}, "lease 1 s is out of range"),
        ({"search": ("a b",)}, "'a b' is not a domain name"),
        ({"routes": (HostRoute("10.9.0.0/16", "10.9.0.1"),)}, "lies outside 10.1.0.0/24"),
        ({"dhcp_options": (DhcpOption(6, 59, "00"),)}, "option 59 of version 6 means nothing in 10.1.0.0/24"),
        ({"dhcp_options": (DhcpOption(4, 53, "01"),)}, "DHCP option 53 belongs to the protocol itself"),
        ({"dhcp_options": (DhcpOption(4, 66, "00"),) * 2}, "DHCP option 66 is given twice"),
    ],
)
async def test_what_can_not_be_told_is_refused(intent: Intent, web: str, refused, told, why) -> None:
    await refused(intent.subnets.create(web, "10.1.0.0/24", **told), Invalid, why)


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("66=text:tftp.example", DhcpOption(4, 66, b"tftp.example".hex())),
        ("42=ip:10.0.0.1,10.0.0.2", DhcpOption(4, 42, "0a0000010a000002")),
        ("67=hex:00:FF", DhcpOption(4, 67, "00ff")),
        ("6/59=text:http://x", DhcpOption(6, 59, b"http://x".hex())),
    ],
)
def test_options_are_written_as_text_addresses_or_hex(text: str, option: DhcpOption) -> None:
    assert parse_option(text) == option
    assert parse_option(option_text(option)) == option


@pytest.mark.parametrize("value", ["42=ip:x", "66=num:3", f"66=hex:{'00' * 256}", "6/1=hex:00"])
def test_a_value_that_can_not_be_read_is_refused(value: str) -> None:
    with pytest.raises(Invalid):
        parse_option(value)


@pytest.mark.parametrize(
    "text",
    ["", "66", "66=", "66=x", "x=hex:00", "0=hex:00", "255=hex:00", "66=hex:0", "5/66=hex:00", "²=hex:00"],
)
def test_an_option_that_can_not_be_read_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse_option(text)


async def test_a_port_is_told_a_name_and_options_of_its_own(intent: Intent, web: str, refused) -> None:
    option = parse_option("67=text:boot")
    port = await intent.ports.create(
        PortSpec(network=web, name="p", hostname="www.example.com", dhcp_options=(option,))
    )
    assert (port.hostname, port.dhcp_options) == ("www.example.com", (option,))
    changed = await intent.ports.set("p", hostname=None, dhcp_options=())
    assert (changed.hostname, changed.dhcp_options, changed.sequence) == (None, (), 0)
    await refused(intent.ports.set("p", hostname="a b"), Invalid, "'a b' is not a domain name")


# -- addresses that follow from MACs


async def test_in_an_autonomous_subnet_the_address_follows_from_the_mac(
    intent: Intent, web: str, refused
) -> None:
    await intent.subnets.create(web, "fd00::/64", name="six", ipv6_mode=Ipv6Mode.SLAAC)
    port = await intent.ports.create(PortSpec(network=web, name="p", mac=MAC))
    assert port.ips == ("10.0.0.2", "fd00::ff:fe00:1")
    (chosen,) = (await intent.ports.create(PortSpec(network=web, subnets=("six",)))).ips
    assert "ff:fe" in chosen
    await refused(
        intent.ports.create(PortSpec(network=web, mac="02:00:00:00:00:02", addresses=("fd00::5",))),
        Invalid,
        "address fd00::5 is not what 02:00:00:00:00:02 gives itself in fd00::/64, whose ipv6 mode is slaac: "
        "leave it out to have fd00::ff:fe00:2",
    )
    await refused(intent.ports.set("p", addresses=("fd00::5",)), Invalid, "address fd00::5 is not what")
    await refused(
        intent.ports.create(PortSpec(network=web, subnets=("six", "six"))), Invalid, "ask for it once"
    )
    made = await intent.ports.create_many([PortSpec(network=web)] * 100)
    assert len({ip for each in made for ip in each.ips}) == 200


async def test_a_subnet_becomes_autonomous_only_if_its_ports_already_are(
    intent: Intent, web: str, refused
) -> None:
    await intent.subnets.create(web, "fd00::/64", name="six")
    await intent.ports.create(PortSpec(network=web, name="p", mac=MAC))
    await refused(
        intent.subnets.set("six", ipv6_mode=Ipv6Mode.SLAAC),
        InUse,
        "port 'p' has the address fd00::2, which ipv6 mode slaac would not give it",
    )
    await intent.ports.set("p", addresses=("10.0.0.2", "fd00::ff:fe00:1"))
    await intent.subnets.set("six", ipv6_mode=Ipv6Mode.STATELESS)
    await refused(
        intent.subnets.create(web, "fd01::/80", ipv6_mode=Ipv6Mode.SLAAC), Invalid, "which SLAAC needs"
    )


async def test_a_mac_that_was_chosen_is_chosen_again_if_its_address_is_taken(
    intent: Intent, web: str
) -> None:
    await intent.subnets.create(web, "fd00::/64", name="six", ipv6_mode=Ipv6Mode.SLAAC)
    first = await intent.ports.create(PortSpec(network=web, mac=MAC))
    with pytest.raises(Taken, match=f"MAC {MAC} is taken"):
        await intent.ports.create(PortSpec(network=web, mac=MAC))
    assert first.ips[1] == "fd00::ff:fe00:1"


# -- more addresses


async def test_a_port_gets_and_gives_back_addresses(intent: Intent, web: str, refused) -> None:
    add = intent.secondary_addresses.add
    await intent.ports.create(PortSpec(network=web, name="q"))
    port = await intent.ports.create(PortSpec(network=web, name="p"))
    assert (await add("p", address="10.0.0.9")).ips == ("10.0.0.3", "10.0.0.9")
    after = await add("p", subnet="four")
    assert after.ips == ("10.0.0.3", "10.0.0.9", "10.0.0.4")
    assert after.sequence == port.sequence
    await refused(add("p", address="10.0.0.2"), Taken, "address 10.0.0.2 is taken by port 'q'")
    await refused(add("p", address="10.0.0.9"), Invalid, "port 'p' has the address 10.0.0.9 already")
    await refused(
        add("p", address="10.7.0.9"), IntentError, "10.7.0.9 lies outside the subnets of network 'web'"
    )
    await refused(add("p", subnet="nope"), NotFound, "network 'web' has no subnet 'nope'")
    await refused(add("p"), Invalid, "name it, or a subnet")
    await refused(
        intent.secondary_addresses.remove("p", "10.0.0.77"), NotFound, "port 'p' has no address 10.0.0.77"
    )
    assert (await intent.secondary_addresses.remove("p", "10.0.0.3")).ips == ("10.0.0.9", "10.0.0.4")


async def test_rivals_for_the_last_addresses_get_each_one(interleaving) -> None:
    for seed in range(10):
        store = interleaving(seed)
        intent = Intent(store)
        await intent.networks.create("n", subnets=["10.0.0.0/29"])
        for name in ("p", "q"):
            await intent.ports.create(PortSpec(network="n", name=name))
        outcomes = await asyncio.gather(
            *(Intent(store).secondary_addresses.add(name, subnet="10.0.0.0/29") for name in "pqpqpq"),
            return_exceptions=True,
        )
        assert sum(isinstance(each, Full) for each in outcomes) == 3
        assert await audit(store) == []


# -- address pairs


async def test_a_port_may_send_as_more_than_it_has(intent: Intent, web: str) -> None:
    pairs = (parse_pair("10.244.0.0/24"), parse_pair("10.0.0.100,02-00-00-00-00-FF"))
    port = await intent.ports.create(PortSpec(network=web, name="p", address_pairs=pairs))
    assert port.address_pairs == (
        AddressPair("10.0.0.100/32", "02:00:00:00:00:ff"),
        AddressPair("10.244.0.0/24"),
    )
    await intent.ports.create(PortSpec(network=web, name="q", address_pairs=pairs))
    await intent.ports.set("p", address_pairs=(AddressPair(f"{port.ips[0]}/32", port.mac),))
    assert (await intent.ports.get("p")).address_pairs == (AddressPair("10.0.0.2/32"),)
    await intent.ports.set("p", address_pairs=())


@pytest.mark.parametrize(
    ("pair", "error", "why"),
    [
        ("10.0.0.0/30", Invalid, "address pair 10.0.0.0/30 covers 10.0.0.1, the gateway of 10.0.0.0/24"),
        ("0.0.0.0/0", Invalid, "address pair 0.0.0.0/0 covers 10.0.0.1, the gateway"),
        ("10.0.0.254", Invalid, "covers 10.0.0.254, which a router has in 10.0.0.0/24"),
        ("10.0.0.2", Taken, "address 10.0.0.2 of an address pair is taken by port 'other'"),
        ("10.0.0.2/31", Taken, "address pair 10.0.0.2/31 covers 10.0.0.2, which port 'other'"),
        (f"10.0.0.100,{MAC}", Taken, f"MAC {MAC} of an address pair is taken by port 'other'"),
        ("224.0.0.0/4", Invalid, "has addresses that no station can have"),
    ],
)
async def test_nobody_may_send_as_somebody_else(intent: Intent, web: str, refused, pair, error, why) -> None:
    await intent.routers.create("r")
    await intent.interfaces.add("r", "four", address="10.0.0.254")
    await intent.ports.create(PortSpec(network=web, name="other", mac=MAC))
    await intent.ports.create(PortSpec(network=web, name="p"))
    pairs = (parse_pair(pair),)
    await refused(intent.ports.create(PortSpec(network=web, address_pairs=pairs)), error, why)
    await refused(intent.ports.set("p", address_pairs=pairs), error, why)


async def test_what_a_port_may_send_as_is_nobody_elses_later(intent: Intent, web: str, refused) -> None:
    pairs = (parse_pair("10.0.0.3,02:00:00:00:00:ff"), parse_pair("10.0.0.4/30"), parse_pair("10.7.0.1"))
    await intent.ports.create(PortSpec(network=web, name="vip", address_pairs=pairs))
    port = await intent.ports.create(PortSpec(network=web, name="p"))
    assert port.ips == ("10.0.0.8",)
    why = "one that port 'vip'"
    await refused(
        intent.ports.create(PortSpec(network=web, addresses=("10.0.0.5",))),
        Taken,
        f"address 10.0.0.5 is {why}",
    )
    await refused(
        intent.ports.create(PortSpec(network=web, mac="02:00:00:00:00:ff")),
        Taken,
        f"02:00:00:00:00:ff is {why}",
    )
    await refused(intent.ports.set("p", addresses=("10.0.0.5",)), Taken, why)
    await refused(intent.secondary_addresses.add("p", address="10.0.0.5"), Taken, why)
    await refused(intent.subnets.set("four", gateway="10.0.0.3"), Taken, f"the gateway 10.0.0.3 is {why}")
    await refused(intent.subnets.create(web, "10.7.0.0/24"), Taken, f"the gateway 10.7.0.1 is {why}")
    await intent.routers.create("r")
    await refused(
        intent.interfaces.add("r", "four", address="10.0.0.6"),
        Taken,
        f"address 10.0.0.6 of a router is {why}",
    )
    await intent.ports.delete("vip")
    assert (await intent.ports.create(PortSpec(network=web, addresses=("10.0.0.5",)))).ips == ("10.0.0.5",)


async def test_ports_made_together_may_not_send_as_each_other(intent: Intent, web: str, refused) -> None:
    specs = [
        PortSpec(network=web, name="a", address_pairs=(parse_pair("10.0.0.50"),)),
        PortSpec(network=web, name="b", addresses=("10.0.0.50",)),
    ]
    await refused(intent.ports.create_many(specs), Taken, "address pair 10.0.0.50/32 of port 'a' covers")
    twins = await intent.ports.create_many(
        [PortSpec(network=web, address_pairs=(parse_pair("10.0.0.2"),)) for _ in range(3)]
    )
    assert [port.ips[0] for port in twins] == ["10.0.0.3", "10.0.0.4", "10.0.0.5"]


async def test_groups_and_address_pairs_need_port_security(intent: Intent, web: str, refused) -> None:
    await intent.groups.create("g")
    pairs = (parse_pair("10.0.0.50"),)
    for fields in ({"groups": ("g",)}, {"address_pairs": pairs}):
        await refused(
            intent.ports.create(PortSpec(network=web, name="p", security=False, **fields)),
            Invalid,
            "port 'p' has no port security",
        )
    port = await intent.ports.create(PortSpec(network=web, name="p", groups=("g", "g"), address_pairs=pairs))
    assert await intent.groups.members("g") == {port.id: "p"}
    await refused(intent.ports.set("p", security=False), Invalid, "port 'p' has no port security")
    await refused(intent.ports.set("p", groups=("nope",)), NotFound, "there is no group 'nope'")
    await refused(
        intent.ports.create(PortSpec(network=web, groups=("nope",))), NotFound, "there is no group 'nope'"
    )
    await intent.ports.set("p", groups=(), address_pairs=())
    assert await intent.groups.members("g") == {}
    await intent.groups.delete("g")
    await refused(
        intent.ports.create(PortSpec(network=web, groups=("g",))), NotFound, "there is no group 'g'"
    )


@pytest.mark.parametrize("seed", range(60))
async def test_rivals_never_end_up_sending_as_each_other(interleaving, seed: int) -> None:
    store = interleaving(seed)
    intent = Intent(store)
    await intent.networks.create("n", subnets=["10.0.0.0/29"])
    await intent.ports.create(PortSpec(network="n", name="old"))
    users = [Intent(store) for _ in range(4)]
    for user in users:
        made = await user.ports.create(PortSpec(network="n"))
        await user.ports.delete(made.id)
    await asyncio.gather(
        users[0].ports.create(PortSpec(network="n", address_pairs=(parse_pair("10.0.0.4/31"),))),
        users[1].ports.create(PortSpec(network="n", addresses=("10.0.0.5",))),
        users[2].ports.set("old", address_pairs=(parse_pair("10.0.0.4"),)),
        users[3].ports.create(PortSpec(network="n")),
        Intent(store).secondary_addresses.add("old", address="10.0.0.5"),
        return_exceptions=True,
    )
    assert await audit(store) == []
    ports = await intent.ports.list()
    for one in ports:
        for pair in one.address_pairs:
            for other in ports:
                if other is not one:
                    assert not any(checks.ip(ip) in checks.prefix(pair.prefix) for ip in other.ips)


@pytest.mark.parametrize("seed", range(40))
async def test_a_group_that_goes_leaves_no_member_behind(interleaving, seed: int) -> None:
    store = interleaving(seed)
    users = [Intent(store) for _ in range(5)]
    await users[0].networks.create("n", subnets=["10.0.0.0/24"])
    await users[0].groups.create("g")
    await users[0].groups.create("other")
    for name in ("p", "q"):
        await users[0].ports.create(PortSpec(network="n", name=name))
    for user in users:
        await user.ports.delete((await user.ports.create(PortSpec(network="n", groups=("g",)))).id)
    await asyncio.gather(
        users[0].members.add("g", ["p"]),
        users[1].groups.delete("g"),
        users[2].ports.create(PortSpec(network="n", groups=("g",))),
        users[3].ports.set("q", groups=("g",)),
        return_exceptions=True,
    )
    assert await audit(store) == []
