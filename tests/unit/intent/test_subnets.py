import pytest

from plait.intent import Intent, InUse, NotFound, PortSpec, Taken
from plait.model.checks import Invalid


@pytest.fixture
async def web(intent: Intent) -> str:
    await intent.networks.create("web")
    return "web"


async def test_a_subnet_is_found_by_name_and_by_id(intent: Intent, web: str) -> None:
    made = await intent.subnets.create(web, "10.0.0.0/24", name="front")
    assert await intent.subnets.get("front") == made
    assert await intent.subnets.get(made.id) == made
    assert made.gateway == "10.0.0.1"


@pytest.mark.parametrize("prefix", ["10.1.0.0/16", "10.1.128.0/17", "10.0.0.0/8", "10.0.0.0/15"])
async def test_an_overlapping_subnet_is_refused_and_the_other_named(
    intent: Intent, web: str, refused, prefix
) -> None:
    await intent.subnets.create(web, "10.1.0.0/16", name="front")
    await refused(
        intent.subnets.create(web, prefix),
        Taken,
        f"{prefix} overlaps subnet 'front' 10.1.0.0/16 of network 'web'",
    )


async def test_the_same_subnet_in_two_networks_is_normal(intent: Intent, web: str) -> None:
    await intent.networks.create("db", subnets=["10.0.0.0/24"])
    await intent.subnets.create(web, "10.0.0.0/24")
    assert len(await intent.subnets.list()) == 2


@pytest.mark.parametrize(
    ("prefix", "gateway", "why"),
    [
        ("10.0.0.0", "nope", "gateway 'nope' is not an IPv4 or IPv6 address"),
        ("10.0.0.0/33", "first", "prefix '10.0.0.0/33' is not a subnet"),
        ("0.0.0.0/0", "first", "has addresses that no station can have"),
        ("::/64", "first", "has addresses that no station can have"),
        ("224.0.0.0/8", "first", "can't be a subnet"),
        ("127.0.0.0/8", "first", "can't be a subnet"),
        ("10.0.0.0/24", "10.0.1.1", "gateway 10.0.1.1 lies outside 10.0.0.0/24"),
        ("10.0.0.0/24", "10.0.0.255", "gateway 10.0.0.255 is the broadcast address"),
        ("10.0.0.0/24", "10.0.0.0", "gateway 10.0.0.0 is the network's own address"),
        ("fd00::/64", "fe80::1%eth0", "has a scope"),
    ],
)
async def test_a_subnet_that_can_not_be_is_refused(
    intent: Intent, web: str, refused, prefix, gateway, why
) -> None:
    await refused(intent.subnets.create(web, prefix, gateway=gateway), Invalid, why)


async def test_a_subnet_of_no_network_is_refused(intent: Intent, refused) -> None:
    await refused(intent.subnets.create("nope", "10.0.0.0/24"), NotFound, "there is no network 'nope'")


async def test_a_gateway_can_move_to_a_free_address_only(intent: Intent, web: str, refused) -> None:
    await intent.subnets.create(web, "10.0.0.0/29", name="front")
    port = await intent.ports.create(PortSpec(network=web, name="p"))
    assert port.ips == ("10.0.0.2",)
    await refused(
        intent.subnets.set("front", gateway="10.0.0.2"), Taken, "address 10.0.0.2 is taken by port 'p'"
    )
    await intent.subnets.set("front", gateway="10.0.0.3")
    assert (await intent.ports.create(PortSpec(network=web))).ips == ("10.0.0.4",)
    assert (await intent.subnets.set("front", gateway=None)).gateway is None
    assert (await intent.ports.create(PortSpec(network=web, addresses=("10.0.0.3",)))).ips == ("10.0.0.3",)


async def test_a_subnet_can_be_renamed(intent: Intent, web: str, refused) -> None:
    await intent.subnets.create(web, "10.0.0.0/24", name="a")
    await intent.subnets.create(web, "10.0.1.0/24", name="b")
    await refused(intent.subnets.set("a", name="b"), Taken, "there is a subnet 'b'")
    assert (await intent.subnets.set("a", name="c")).prefix == "10.0.0.0/24"


async def test_a_subnet_in_use_stays_until_its_addresses_are_free(intent: Intent, web: str, refused) -> None:
    await intent.subnets.create(web, "10.0.0.0/24", name="front")
    await intent.ports.create(PortSpec(network=web, name="p"))
    await refused(intent.subnets.delete("front"), InUse, "1 address in use (10.0.0.2 by port 'p'")
    await intent.ports.delete("p")
    await intent.subnets.delete("front")
    await refused(intent.subnets.get("front"), NotFound, "there is no subnet 'front'")
