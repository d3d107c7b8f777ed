"""What routers say of a network: who is a router, which addresses come how, and when it is said."""

from collections.abc import Collection
from ipaddress import IPv6Address

import pytest

from plait.model.entities import HostRoute, Ipv6Mode, Network, Subnet
from plait.model.routers import RouterInterface
from plait.services.advertising import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    SHORTEST_PAUSE_S,
    Schedule,
    advertisements_of,
    farewells,
)
from plait.services.identity import link_local, service_mac
from plait.wire.router_advertisement import Advertisement, encode_advertisement

NETWORK = Network(id="n1", name="web", vni=5000)


def subnet(number: int, mode: Ipv6Mode = Ipv6Mode.STATEFUL, **more: object) -> Subnet:
    prefix = f"fd00:{number}::/64"
    fields = {"gateway": f"fd00:{number}::1", "ipv6_mode": mode, **more}
    return Subnet(id=f"s{number}", name=f"s{number}", network="n1", prefix=prefix, **fields)  # type: ignore[arg-type]


def interface(router: int, on: Subnet, host: int = 1) -> RouterInterface:
    return RouterInterface(
        router=f"r{router}",
        network="n1",
        subnet=on.id,
        prefix=on.prefix,
        address=f"{on.prefix.removesuffix('/64')}{host}",
        mac=f"02:00:00:00:0{router}:{int(on.id[1:]):02x}",
    )


def said(
    *subnets: Subnet, on: tuple[RouterInterface, ...] = (), own: Collection[str] | None = None
) -> tuple[Advertisement, ...]:
    every = {subnet.id for subnet in subnets}
    return advertisements_of(NETWORK, subnets, on, 1450, own=every if own is None else own)


@pytest.mark.parametrize(
    ("mode", "managed", "other", "autonomous"),
    [
        (Ipv6Mode.STATEFUL, True, False, False),
        (Ipv6Mode.STATELESS, False, True, True),
        (Ipv6Mode.SLAAC, False, False, True),
    ],
)
def test_a_subnet_s_mode_is_told(mode: Ipv6Mode, managed: bool, other: bool, autonomous: bool) -> None:
    (only,) = said(subnet(1, mode))
    assert (only.is_managed, only.has_other) == (managed, other)
    (prefix,) = only.prefixes
    assert str(prefix.prefix) == "fd00:1::/64"
    assert prefix.is_autonomous == autonomous


def test_what_is_off_or_of_the_other_family_is_not_told() -> None:
    v4 = Subnet(id="s4", name="s4", network="n1", prefix="10.0.0.0/24")
    assert said(subnet(1, Ipv6Mode.OFF), v4) == ()


def test_who_has_no_address_of_a_subnet_is_not_told_to_make_one() -> None:
    (only,) = said(subnet(1), subnet(2, Ipv6Mode.SLAAC), subnet(3, Ipv6Mode.STATELESS), own={"s1"})
    assert (only.is_managed, only.has_other) == (True, False)
    assert [prefix.is_autonomous for prefix in only.prefixes] == [False, False, False]


def test_without_a_router_nobody_is_one() -> None:
    (only,) = said(subnet(1))
    assert only.lifetime_s == 0
    assert (only.mac, only.source) == (service_mac("n1"), link_local(service_mac("n1")))
    assert only.mtu_bytes == 1450


def test_a_router_speaks_for_its_subnets_and_nobody_for_the_rest() -> None:
    one, two, three = subnet(1), subnet(2), subnet(3)
    router, nobody = said(one, two, three, on=(interface(1, one), interface(1, two)))
    assert (router.lifetime_s, nobody.lifetime_s) == (1800, 0)
    assert router.mac == bytes.fromhex("020000000101")
    assert router.source == link_local(router.mac)
    assert [str(each.prefix) for each in router.prefixes] == ["fd00:1::/64", "fd00:2::/64"]
    assert [str(each.prefix) for each in nobody.prefixes] == ["fd00:3::/64"]


def test_of_two_routers_on_a_subnet_the_one_at_its_gateway_is_the_default() -> None:
    one = subnet(1)
    first, second = said(one, on=(interface(1, one, host=9), interface(2, one)))
    assert (first.lifetime_s, second.lifetime_s) == (0, 1800)


def test_routes_servers_and_names_are_told() -> None:
    one = subnet(
        1,
        dns=("10.0.0.53", "fd00::53"),
        domain="example.com",
        routes=(
            HostRoute("fd00:99::/48", "fd00:1::1"),
            HostRoute("fd00:98::/48", "fd00:1::2"),
            HostRoute("::/0", "fd00:1::1"),
        ),
    )
    (router,) = said(one, on=(interface(1, one),))
    assert [str(route) for route in router.routes] == ["fd00:99::/48"]
    assert router.dns == (IPv6Address("fd00::53").packed,)
    assert router.search == ("example.com",)


def test_many_prefixes_are_told_in_several_packets() -> None:
    subnets = tuple(subnet(number) for number in range(10, 50))
    assert [len(each.prefixes) for each in said(*subnets)] == [16, 16, 8]


def test_a_router_that_is_gone_says_so_and_so_does_a_prefix() -> None:
    one, two = subnet(1), subnet(2)
    before = said(one, two, on=(interface(1, one),))
    after = said(one)
    router, nobody = farewells(before, after)
    assert (router.mac, router.lifetime_s, router.prefixes) == (bytes.fromhex("020000000101"), 0, ())
    (gone,) = nobody.prefixes
    assert (str(gone.prefix), gone.valid_s, gone.preferred_s) == ("fd00:2::/64", 0, 0)
    assert farewells(after, after) == ()
    assert farewells((), after) == ()


def test_what_changed_is_said_three_times_soon_and_then_now_and_again() -> None:
    schedule = Schedule()
    schedule.changed(100.0)
    assert schedule.due == 100.0
    pauses = []
    now = 100.0
    for jitter in (0.0, 1.0, 0.0, 1.0):
        schedule.sent(now, jitter)
        pauses.append(schedule.due - now)
        now = schedule.due
    assert pauses == [FIRST_PAUSE_S, FIRST_PAUSE_S, SHORTEST_PAUSE_S, LONGEST_PAUSE_S]
    schedule.changed(now + 1)
    assert schedule.due == now + 1


def test_nothing_is_said_for_longer_than_a_router_counts() -> None:
    (router,) = said(subnet(1), on=(interface(1, subnet(1)),))
    assert router.lifetime_s >= 3 * LONGEST_PAUSE_S
    assert router.extra_s >= 3 * LONGEST_PAUSE_S


def test_the_largest_advertisement_fits_into_a_packet_that_every_link_carries() -> None:
    subnets = tuple(
        subnet(
            number,
            dns=tuple(f"fd00:{number}::{n:x}" for n in range(1, 30)),
            search=tuple(f"{'x' * 60}.example{n}.com" for n in range(30)),
            routes=tuple(HostRoute(f"fd01:{n:x}::/128", f"fd00:{number}::1") for n in range(30)),
        )
        for number in range(10, 50)
    )
    interfaces = tuple(interface(1, each) for each in subnets)
    for each in said(*subnets, on=interfaces):
        assert len(encode_advertisement(each)) <= 14 + 1280
