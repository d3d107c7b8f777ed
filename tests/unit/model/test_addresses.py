import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.model import addresses, checks
from plait.model.checks import Invalid
from plait.model.entities import Subnet


def subnet(prefix: str, gateway: str | None = None) -> Subnet:
    return Subnet(id="s", name="s", network="n", prefix=prefix, gateway=gateway)


@pytest.mark.parametrize(
    ("prefix", "gateway", "first", "last", "size"),
    [
        ("10.0.0.0/29", None, "10.0.0.1", "10.0.0.6", 6),
        ("10.0.0.0/29", "10.0.0.1", "10.0.0.1", "10.0.0.6", 5),
        ("10.0.0.0/30", None, "10.0.0.1", "10.0.0.2", 2),
        ("10.0.0.0/31", None, "10.0.0.0", "10.0.0.1", 2),
        ("10.0.0.7/32", None, "10.0.0.7", "10.0.0.7", 1),
        ("fd00::/125", "fd00::1", "fd00::1", "fd00::7", 6),
        ("fd00::/127", None, "fd00::", "fd00::1", 2),
        ("fd00::5/128", None, "fd00::5", "fd00::5", 1),
        ("fd00::/64", None, "fd00::1", "fd00::ffff:ffff:ffff:ffff", 2**64 - 1),
    ],
)
def test_the_ends_of_a_prefix_and_the_gateway_are_nobodys(
    prefix: str, gateway: str | None, first: str, last: str, size: int
) -> None:
    of = subnet(prefix, gateway)
    space = addresses.space(of)
    assert (addresses.text(of, space.first), addresses.text(of, space.last), space.size) == (
        first,
        last,
        size,
    )


@pytest.mark.parametrize(
    ("prefix", "gateway"),
    [
        ("10.0.0.0/24", "10.0.0.1"),
        ("fd00::/64", "fd00::1"),
        ("10.0.0.0/31", None),
        ("fd00::/127", None),
        ("10.0.0.1/32", None),
    ],
)
def test_the_first_address_is_the_gateway_where_one_can_be_spared(prefix: str, gateway: str | None) -> None:
    assert addresses.default_gateway(checks.prefix(prefix)) == gateway


@pytest.mark.parametrize(
    ("prefix", "address", "why"),
    [
        ("10.0.0.0/24", "10.0.0.0", "network or broadcast"),
        ("10.0.0.0/24", "10.0.0.255", "network or broadcast"),
        ("10.0.0.0/24", "10.0.0.1", "gateway"),
        ("fd00::/64", "fd00::", "anycast"),
        ("0.0.0.0/0", "224.0.0.5", "no unicast"),
        ("0.0.0.0/0", "127.0.0.1", "no unicast"),
    ],
)
def test_some_addresses_are_no_ports(prefix: str, address: str, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        addresses.check_choice(
            subnet(prefix, "10.0.0.1" if prefix.startswith("10") else None), checks.ip(address)
        )


@given(st.integers(0, 2**32 - 1), st.integers(0, 32))
def test_every_address_of_a_space_may_be_chosen_and_its_text_leads_back(number: int, length: int) -> None:
    prefix = ipaddress.ip_network((number, length), strict=False)
    if prefix.is_multicast or prefix.is_loopback:
        return
    of = subnet(str(prefix), addresses.default_gateway(prefix))
    space = addresses.space(of)
    for chosen in (space.after(None), space.after(number), space.last):
        if chosen is None or chosen not in space:
            continue
        text = addresses.text(of, chosen)
        assert addresses.number(text) == chosen
        found = checks.ip(text)
        if found.is_multicast or found.is_loopback or found.is_unspecified:
            continue
        addresses.check_choice(of, found)


def test_overlap_is_found_across_sizes_and_not_across_versions() -> None:
    others = (subnet("fd00::/64"), subnet("10.1.0.0/16"))
    assert addresses.overlapping(checks.prefix("10.1.7.0/24"), others) == others[1]
    assert addresses.overlapping(checks.prefix("10.0.0.0/8"), others) == others[1]
    assert addresses.overlapping(checks.prefix("10.2.0.0/16"), others) is None


@given(st.text(min_size=1), st.integers(0, 9))
def test_macs_are_canonical_locally_administered_unicast(port: str, attempt: int) -> None:
    mac = addresses.mac_of(port, attempt)
    assert checks.mac(mac) == mac
    assert int(mac[:2], 16) & 3 == 2
    assert mac == addresses.mac_of(port, attempt)
    assert mac != addresses.mac_of(port, attempt + 1)


def test_an_address_with_a_scope_is_refused() -> None:
    with pytest.raises(Invalid, match="scope"):
        checks.ip("fe80::1%eth0")


def test_an_autonomous_address_is_the_prefix_and_the_modified_eui_64_of_the_mac() -> None:
    # The example of RFC 4291, appendix A: 34-56-78-9A-BC-DE becomes 3656:78FF:FE9A:BCDE.
    assert (
        addresses.autonomous(subnet("2001:db8:1:2::/64"), "34:56:78:9a:bc:de")
        == "2001:db8:1:2:3656:78ff:fe9a:bcde"
    )
