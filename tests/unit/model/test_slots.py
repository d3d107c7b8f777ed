"""What a rule is about: ranges of ports as prefixes, families, and names that tell pieces apart."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.model.policy import Action, Direction, Protocol, Rule
from plait.model.slots import other_side, port_prefixes, slots_of


def covered(first: int, last: int) -> list[int]:
    ports: list[int] = []
    for piece in port_prefixes(first, last):
        value, mask = piece or (0, 0)
        ports += range(value, value + (0xFFFF & ~mask) + 1)
    return ports


@given(st.integers(0, 65535), st.integers(0, 65535))
def test_the_prefixes_of_a_range_cover_each_of_its_ports_once_and_no_other(one: int, other: int) -> None:
    first, last = sorted((one, other))
    assert covered(first, last) == list(range(first, last + 1))


@pytest.mark.parametrize(
    ("first", "last", "prefixes"),
    [
        (80, 80, ((80, 0xFFFF),)),
        (0, 65535, (None,)),
        (0, 1023, ((0, 0xFC00),)),
        (1024, 65535, tuple((1 << bit, 0x10000 - (1 << bit)) for bit in range(10, 16))),
        (8000, 8010, ((8000, 0xFFF8), (8008, 0xFFFE), (8010, 0xFFFF))),
        (65535, 65535, ((65535, 0xFFFF),)),
    ],
)
def test_a_range_is_as_few_prefixes_as_can_be(first: int, last: int, prefixes: tuple[object, ...]) -> None:
    assert port_prefixes(first, last) == prefixes


def test_the_worst_range_takes_thirty_prefixes() -> None:
    assert len(port_prefixes(1, 65534)) == 30


@pytest.mark.parametrize(("first", "last"), [(2, 1), (-1, 5), (0, 65536)])
def test_what_is_no_range_is_refused(first: int, last: int) -> None:
    with pytest.raises(ValueError, match=f"{first}-{last}"):
        port_prefixes(first, last)


def rule(**words: object) -> Rule:
    return Rule(id="r", name="r", group="g", direction=Direction.INGRESS, **words)  # type: ignore[arg-type]


def test_rules_share_a_piece_only_where_they_say_the_same() -> None:
    rules = [
        rule(protocol=Protocol.TCP, ports=(80, 95)),
        rule(protocol=Protocol.TCP, ports=(80, 80)),
        rule(protocol=Protocol.UDP, ports=(80, 95)),
        rule(protocol=Protocol.TCP, ports=(80, 95), priority=1),
        rule(protocol=Protocol.TCP, ports=(80, 95), action=Action.DENY),
        rule(protocol=Protocol.TCP),
        rule(),
        rule(protocol=Protocol.ICMP, family=4, icmp_type=8),
        rule(protocol=Protocol.ICMP, family=4, icmp_type=8, icmp_code=0),
        rule(protocol=Protocol.ICMP, family=6, icmp_type=8),
    ]
    for one, other in itertools.combinations(rules, 2):
        assert not {slot.id for slot in slots_of(one)} & {slot.id for slot in slots_of(other)}
    wide = rule(protocol=Protocol.TCP, ports=(80, 111), family=4)
    shared = {slot.id for slot in slots_of(wide)} & {slot.id for slot in slots_of(rules[0])}
    assert shared == {slot.id for slot in slots_of(rules[0]) if slot.family == 4}


@pytest.mark.parametrize(
    ("words", "side"),
    [
        ({}, None),
        ({"cidr": "0.0.0.0/0"}, None),
        ({"cidr": "::/0"}, None),
        ({"cidr": "10.0.0.0/8"}, "10.0.0.0/8"),
        ({"remote_group": "g"}, "g"),
        ({"address_group": "a"}, "a"),
    ],
)
def test_everybody_is_the_same_side_however_it_is_said(words: dict[str, str], side: str | None) -> None:
    assert other_side(rule(**words)) == side
