"""Whatever happens in whatever order: what is kept current equals what a fresh compile says."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.compile import Compiler, Touched, compile_all
from plait.flows.flow import Flow
from plait.flows.pipeline import check
from plait.model.entities import Endpoint, LiveHost, Network, Port, Transport
from plait.model.facets import Attachment, Change, Tunnels
from plait.model.view import View

from .worlds import ME, NETWORKS, batches, final, full_world, histories, undone


class Kept:
    """A view and a compiler that are kept current."""

    def __init__(self) -> None:
        self.view = View(ME)
        self.compiler = Compiler(self.view)
        self.compiler.update_all()

    def hear(self, changes: Sequence[Change]) -> Touched:
        return self.compiler.update(self.view.apply(changes))


def assert_equals_fresh(kept: Kept) -> None:
    fresh = compile_all(kept.view)
    assert kept.compiler.flows == fresh.flows
    assert kept.compiler.groups == fresh.groups
    assert kept.compiler.conflicts() == fresh.conflicts()
    for owner in kept.view.owners():
        assert kept.compiler.made_by(owner) == fresh.made_by(owner)


@settings(max_examples=150, deadline=None)
@given(st.booleans(), histories)
def test_at_every_step_incremental_equals_full_and_says_exactly_what_it_touched(
    begins_full: bool, history: list[list[Change]]
) -> None:
    kept = Kept()
    for batch in [full_world(), *history] if begins_full else history:
        flows, groups = dict(kept.compiler.flows), dict(kept.compiler.groups)
        touched = kept.hear(batch)
        assert_equals_fresh(kept)
        changed = {
            key
            for key in flows.keys() | kept.compiler.flows
            if flows.get(key) != kept.compiler.flows.get(key)
        }
        assert touched.flows == changed
        changed_groups = {
            id
            for id in groups.keys() | kept.compiler.groups
            if groups.get(id) != kept.compiler.groups.get(id)
        }
        assert touched.groups == changed_groups


@settings(max_examples=60, deadline=None)
@given(st.booleans(), histories)
def test_the_order_and_grouping_of_news_does_not_matter(
    begins_full: bool, history: list[list[Change]]
) -> None:
    changes = [change for batch in ([full_world()] if begins_full else []) + history for change in batch]
    ends = final(changes)
    expansions = {
        "as they came": [changes],
        "split": [[change] for change in changes],
        "squashed": [ends],
        "reversed": [[change] for change in reversed(ends)],
        "repeated": [[change, change] for change in changes] + [changes[::-1], changes],
        "removed and brought again": [changes, undone(changes), ends],
    }
    expected = Kept()
    for change in ends:
        expected.hear([change])
    for name, steps in expansions.items():
        kept = Kept()
        for step in steps:
            kept.hear(step)
        assert kept.compiler.flows == expected.compiler.flows, name
        assert kept.compiler.groups == expected.compiler.groups, name


@settings(max_examples=60, deadline=None)
@given(histories)
def test_what_is_known_already_touches_nothing(history: list[list[Change]]) -> None:
    kept = Kept()
    changes = [change for batch in [full_world(), *history] for change in batch]
    kept.hear(changes)
    assert kept.view.apply(final(changes)) == set()


@settings(max_examples=60, deadline=None)
@given(histories)
def test_nothing_is_left_when_everything_is_gone(history: list[list[Change]]) -> None:
    kept, empty = Kept(), Kept()
    changes = [change for batch in [full_world(), *history] for change in batch]
    kept.hear(changes)
    kept.hear(undone(changes))
    assert kept.compiler.flows == empty.compiler.flows
    assert not kept.compiler.groups
    assert not kept.compiler.conflicts()
    assert not any(kept.view.subscribers(network) for network in NETWORKS)
    assert list(kept.view.owners()) == list(empty.view.owners())


@settings(max_examples=100, deadline=None)
@given(st.booleans(), histories)
def test_indexes_equal_a_search_through_everything(begins_full: bool, history: list[list[Change]]) -> None:
    view = View(ME)
    for batch in [full_world(), *history] if begins_full else history:
        view.apply(batch)
        ids = {each.id for each in view.all(Port)} | {each.port for each in view.all(Endpoint)}
        stations = [station for id in ids if (station := view.station(id)) is not None]
        for network in NETWORKS:
            expected: dict[str, set[str]] = {}
            for station in stations:
                for address in station.multicast if station.network == network else ():
                    expected.setdefault(address, set()).add(station.id)
            assert view.subscribers(network) == expected
            assert set(view.groups_wanted([network])) == {f"{network}/{address}" for address in expected}
        for transport in Transport:
            rooms = [host.room_bytes(transport) for host in view.all(LiveHost)]
            mtu = view.mtu_bytes(Network(id="n", name="n", vni=1, transport=transport))
            assert mtu == (min(max(min(rooms), 576), 65535) if rooms else None)


@settings(max_examples=100, deadline=None)
@given(batches)
def test_every_flow_does_only_what_its_table_declares(batch: list[Change]) -> None:
    kept = Kept()
    kept.hear([*full_world(), *batch])
    for key, entry in kept.compiler.flows.items():
        check(Flow(key, entry.instructions))


def test_a_station_here_needs_both_port_and_attachment() -> None:
    port = Port(id="p1", name="p1", network="n1", mac="02:00:00:00:00:01", host=ME)
    endpoint = Endpoint(network="n1", port="p1", mac="02:00:00:00:00:01", host="h2")
    view = View(ME)
    view.apply([Change(Port, "p1", port)])
    assert view.station("p1") is None
    view.apply([Change(Endpoint, "p1", endpoint)])
    assert (station := view.station("p1")) is not None
    assert station.host == "h2"
    view.apply([Change(Attachment, "p1", Attachment("p1", 7))])
    assert (station := view.station("p1")) is not None
    assert (station.host, station.ofport) == (None, 7)


@pytest.mark.parametrize(
    ("wanted", "underlays", "mtu"),
    [
        (None, [], None),
        (1400, [], 1400),
        (65535, [], 65535),
        (None, [1500, 9000], 1450),
        (1400, [1500, 1440], 1390),
        (1400, [0], 576),
        (None, [50], 576),
        (None, [10**6], 65535),
    ],
)
def test_no_underlay_is_too_small_or_too_large_to_be_compiled(
    wanted: int | None, underlays: list[int], mtu: int | None
) -> None:
    network = Network(id="n1", name="n1", vni=1, mtu_bytes=wanted)
    hosts = [
        LiveHost(name=f"h{i}", vtep="172.16.0.1", underlay_mtu_bytes=each) for i, each in enumerate(underlays)
    ]
    kept = Kept()
    kept.hear([Change(Network, "n1", network), Change(Tunnels, "", Tunnels(((Transport.VXLAN, 100),)))])
    kept.hear([Change(LiveHost, host.name, host) for host in hosts])
    assert kept.view.mtu_bytes(network) == mtu
    assert_equals_fresh(kept)
