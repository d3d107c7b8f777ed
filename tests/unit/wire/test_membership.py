"""What hosts say of the groups that they want, in every version of IGMP and MLD."""

from contextlib import suppress
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.wire.errors import MalformedMessage
from plait.wire.membership import MAX_RECORDS, Wish, wishes

GROUP4, GROUP6 = "239.1.2.3", "ff0e::1:3"
INCLUDE, EXCLUDE, TO_INCLUDE, TO_EXCLUDE, ALLOW, BLOCK = range(1, 7)


def packed(address: str) -> bytes:
    return ip_address(address).packed


def igmp(message: bytes, *, options: bytes = b"\x94\x04\0\0") -> bytes:
    """With the router alert option that hosts send (RFC 2113)."""
    words = (20 + len(options)) // 4
    total = (words * 4 + len(message)).to_bytes(2, "big")
    header = (
        bytes((0x40 | words, 0))
        + total
        + bytes(5)
        + b"\x02"
        + bytes(2)
        + packed("10.0.0.1")
        + packed("224.0.0.22")
    )
    return bytes(12) + b"\x08\0" + header + options + message


def mld(message: bytes, *, hop_by_hop: bool = True) -> bytes:
    extension = b"\x3a\0\x05\x02\0\0\x01\0" if hop_by_hop else b""
    following = 0 if hop_by_hop else 58
    length = (len(extension) + len(message)).to_bytes(2, "big")
    header = b"\x60\0\0\0" + length + bytes((following, 1)) + packed("fe80::1") + packed("ff02::16")
    return bytes(12) + b"\x86\xdd" + header + extension + message


def record(kind: int, group: str, *sources: str, auxiliary: bytes = b"") -> bytes:
    counts = bytes((kind, len(auxiliary) // 4)) + len(sources).to_bytes(2, "big")
    return counts + packed(group) + b"".join(map(packed, sources)) + auxiliary


def igmpv3(*records: bytes) -> bytes:
    return igmp(b"\x22\0\0\0\0\0" + len(records).to_bytes(2, "big") + b"".join(records))


def mldv2(*records: bytes) -> bytes:
    return mld(b"\x8f\0\0\0\0\0" + len(records).to_bytes(2, "big") + b"".join(records))


def wanted(group: str) -> tuple[Wish, ...]:
    return (Wish(group, is_wanted=True),)


def unwanted(group: str) -> tuple[Wish, ...]:
    return (Wish(group, is_wanted=False),)


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (igmp(b"\x12\0\0\0" + packed(GROUP4)), wanted(GROUP4)),
        (igmp(b"\x16\0\0\0" + packed(GROUP4)), wanted(GROUP4)),
        (igmp(b"\x16\0\0\0" + packed(GROUP4), options=b""), wanted(GROUP4)),
        (igmp(b"\x17\0\0\0" + packed(GROUP4)), unwanted(GROUP4)),
        (igmp(b"\x11\x64\0\0" + bytes(4)), ()),
        (mld(b"\x83\0\0\0\0\0\0\0" + packed(GROUP6)), wanted(GROUP6)),
        (mld(b"\x84\0\0\0\0\0\0\0" + packed(GROUP6)), unwanted(GROUP6)),
        (mld(b"\x83\0\0\0\0\0\0\0" + packed(GROUP6), hop_by_hop=False), wanted(GROUP6)),
        (mld(b"\x82\0\0\0\0\0\0\0" + bytes(16)), ()),
    ],
    ids=["v1", "v2", "no option", "leave", "query", "MLD report", "MLD done", "no extension", "MLD query"],
)
def test_a_message_about_one_group_is_understood(frame: bytes, said: tuple[Wish, ...]) -> None:
    assert wishes(frame) == said


@pytest.mark.parametrize(
    ("kind", "sources", "is_wanted"),
    [
        (INCLUDE, 0, False),
        (INCLUDE, 1, True),
        (EXCLUDE, 0, True),
        (EXCLUDE, 2, True),
        (TO_INCLUDE, 0, False),
        (TO_INCLUDE, 1, True),
        (TO_EXCLUDE, 0, True),
        (ALLOW, 1, True),
        (BLOCK, 1, None),
    ],
)
def test_a_group_record_wants_a_group_unless_it_excludes_every_sender(
    kind: int, sources: int, is_wanted: bool | None
) -> None:
    said4 = wishes(igmpv3(record(kind, GROUP4, *["10.0.0.9"] * sources)))
    said6 = wishes(mldv2(record(kind, GROUP6, *["fd00::9"] * sources)))
    assert said4 == (() if is_wanted is None else (Wish(GROUP4, is_wanted=is_wanted),))
    assert said6 == (() if is_wanted is None else (Wish(GROUP6, is_wanted=is_wanted),))


def test_records_follow_each_other_behind_sources_and_auxiliary_data() -> None:
    first = record(TO_EXCLUDE, GROUP4, "10.0.0.1", "10.0.0.2", auxiliary=b"12345678")
    assert wishes(igmpv3(first, record(TO_INCLUDE, "239.9.9.9"))) == wanted(GROUP4) + unwanted("239.9.9.9")


@pytest.mark.parametrize("group", ["224.0.0.251", "10.0.0.1", "255.255.255.255"])
def test_housekeeping_of_the_link_and_what_is_no_group_is_left_out_v4(group: str) -> None:
    assert wishes(igmpv3(record(TO_EXCLUDE, group))) == ()


@pytest.mark.parametrize("group", ["ff02::fb", "ff02::1:ff00:1", "ff01::1", "fd00::1"])
def test_housekeeping_of_the_link_and_what_is_no_group_is_left_out_v6(group: str) -> None:
    assert wishes(mldv2(record(TO_EXCLUDE, group))) == ()


def test_of_very_many_records_only_the_first_are_looked_at() -> None:
    records = [record(TO_EXCLUDE, f"239.1.{n >> 8}.{n & 255}") for n in range(MAX_RECORDS + 10)]
    assert len(wishes(igmpv3(*records))) == MAX_RECORDS


@pytest.mark.parametrize(
    "frame", [igmpv3(record(TO_EXCLUDE, GROUP4)), mldv2(record(TO_EXCLUDE, GROUP6, "fd00::1"))]
)
def test_a_message_cut_anywhere_is_malformed_or_says_nothing(frame: bytes) -> None:
    for end in range(len(frame)):
        with suppress(MalformedMessage):
            assert wishes(frame[:end]) == ()


@given(
    st.sampled_from([igmpv3(record(TO_EXCLUDE, GROUP4)), mldv2(record(ALLOW, GROUP6, "fd00::1"))]), st.data()
)
def test_whatever_bytes_come_nothing_else_is_raised(frame: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(frame) - 1))
    damaged = frame[:at] + data.draw(st.binary(max_size=40)) + frame[at + data.draw(st.integers(0, 8)) :]
    with suppress(MalformedMessage):
        assert all(ip_address(wish.group).is_multicast for wish in wishes(damaged))
