"""Matches: one form for each meaning, refusals with the way out, and the way back."""

import contextlib
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.wire.errors import MalformedMessage
from plait.wire.openflow.oxm import FIELDS, decode_match, match

MATCHABLE = [field for field in FIELDS.values() if field.rank is not None]
# No prerequisites, so that any set of them makes a match.
FREE = [field for field in MATCHABLE if not field.prerequisites]


@st.composite
def matches(draw: st.DrawFn) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for field in draw(st.lists(st.sampled_from(FREE), unique_by=lambda f: f.name, max_size=8)):
        value = draw(st.integers(0, field.ones))
        is_masked = field.is_maskable and draw(st.booleans())
        fields[field.name] = (value, draw(st.integers(0, field.ones))) if is_masked else value
    return fields


@given(matches())
def test_a_match_comes_back_as_what_it_means(fields: dict[str, Any]) -> None:
    meant = {}
    for name, value in fields.items():
        exact, mask = value if isinstance(value, tuple) else (value, FIELDS[name].ones)
        if mask == FIELDS[name].ones and not FIELDS[name].is_always_masked:
            meant[name] = exact
        elif mask:
            meant[name] = (exact & mask, mask)

    assert decode_match(match(**fields)) == meant


@given(matches(), st.randoms())
def test_the_order_of_the_arguments_does_not_matter(fields: dict[str, Any], random: Any) -> None:
    names = list(fields)
    random.shuffle(names)
    assert match(**{name: fields[name] for name in names}) == match(**fields)


@given(matches())
def test_bytes_and_numbers_make_the_same_match(fields: dict[str, Any]) -> None:
    def as_bytes(name: str, value: int) -> bytes:
        return value.to_bytes(FIELDS[name].size, "big")

    in_bytes = {
        name: tuple(as_bytes(name, v) for v in value) if isinstance(value, tuple) else as_bytes(name, value)
        for name, value in fields.items()
    }
    assert match(**in_bytes) == match(**fields)


@pytest.mark.parametrize(
    ("fields", "same"),
    [
        ({"reg0": (5, 0xFFFFFFFF)}, {"reg0": 5}),
        ({"reg0": (5, 0), "reg1": 1}, {"reg1": 1}),
        ({"reg0": (0xFF, 0x0F)}, {"reg0": (0x0F, 0x0F)}),
        ({"xreg1": 1 << 32 | 2}, {"reg2": 1, "reg3": 2}),
        ({"xreg1": (1 << 32, 0xFF << 32)}, {"reg2": (1, 0xFF)}),
        ({"xxreg0": (3, 3)}, {"reg3": (3, 3)}),
        ({"ct_state": 0x21}, {"ct_state": (0x21, 0xFF)}),
        ({"vlan_vid": (0x1005, 0x1FFF)}, {"vlan_vid": 0x1005}),
        ({"eth_src": b"\x02\0\0\0\0\x01"}, {"eth_src": 0x020000000001}),
        ({"eth_src": (b"\x02\0\0\0\0\x01", 0xFF)}, {"eth_src": (1, 0xFF)}),
    ],
)
def test_every_meaning_has_one_form(fields: dict[str, Any], same: dict[str, Any]) -> None:
    assert match(**fields) == match(**same)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"ipv4_dts": 1}, "no OpenFlow field is called 'ipv4_dts'"),
        ({"reg0": 1 << 32}, "reg0=0x100000000 does not fit 32 bits"),
        ({"reg0": -1}, "reg0=-0x1 does not fit"),
        ({"reg0": (1, 1 << 32)}, "reg0=0x100000000 does not fit 32 bits"),
        ({"xreg0": 1 << 64}, "xreg0=0x10000000000000000 does not fit 64 bits"),
        ({"eth_src": b"\1\2\3"}, "eth_src=01:02:03 has 3 bytes: 6 are needed"),
        ({"eth_src": (b"\1\2\3", 5)}, "eth_src=01:02:03 has 3 bytes: 6 are needed"),
        ({"eth_src": "02:00:00:00:00:01"}, "is a str: give an int or packed bytes"),
        ({"in_port": (1, 1)}, "in_port takes no mask"),
        ({"ipv4_src": 1}, "ipv4_src needs a match on eth_type (0x800) beside it"),
        ({"eth_type": 0x800, "tcp_src": 1}, "tcp_src needs a match on ip_proto (0x6) beside it"),
        ({"vlan_tci": 1}, "vlan_tci can't be matched"),
        ({"xreg0": 1, "reg1": 1}, "xreg0 and reg1 are the same bits"),
        ({"xxreg0": 1, "xreg1": 1}, "are the same bits"),
    ],
)
def test_a_match_that_can_not_be_is_refused_with_the_way_out(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        match(**fields)


def test_a_refused_value_does_not_spoil_the_shape() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        match(pkt_mark=1 << 40)
    assert decode_match(match(pkt_mark=7)) == {"pkt_mark": 7}


def test_an_unknown_field_is_named_by_its_header() -> None:
    assert decode_match(bytes.fromhex("80005804" + "00010800")) == {"oxm_80005804": 0x10800}


@pytest.mark.parametrize(
    ("data", "offset"),
    [
        ("80", 0),
        ("8000", 0),
        ("80000004", 0),
        ("80000a02080080", 6),
        ("ffff5402", 0),
        ("80000a020800" * 2, 6),
    ],
)
def test_broken_matches_are_malformed(data: str, offset: int) -> None:
    with pytest.raises(MalformedMessage) as broken:
        decode_match(bytes.fromhex(data))
    assert broken.value.offset == offset


@given(st.binary(max_size=80))
def test_no_bytes_break_the_decoder(data: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        decode_match(data)
