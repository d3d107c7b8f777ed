"""Tuple space search finds what a search through all flows finds."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from plait.flows.flow import Flow, flow
from plait.flows.lookup import FlowTable
from plait.wire.openflow.oxm import decode_match, match

numbers = st.integers(0, 3)
conditions = st.one_of(numbers, st.tuples(numbers, numbers))
matches = st.fixed_dictionaries({}, optional={"reg0": conditions, "eth_dst": conditions, "in_port": numbers})
packets = st.fixed_dictionaries({}, optional={"reg0": numbers, "eth_dst": numbers, "in_port": numbers})


def matching(each: Flow, fields: dict[str, int]) -> bool:
    for name, value in decode_match(each.match).items():
        exact, mask = value if isinstance(value, tuple) else (value, -1)
        if fields.get(name, 0) & mask != exact:
            return False
    return True


@settings(max_examples=200, deadline=None)
@example([{"reg0": 0, "in_port": 0}, {}, {"reg0": 0, "in_port": 1}], {})
@given(st.lists(matches, max_size=12, unique_by=str), packets)
def test_the_flow_with_the_highest_priority_is_found(
    wanted: list[dict[str, int]], fields: dict[str, int]
) -> None:
    flows = [flow(0, priority, match(**fields), b"") for priority, fields in enumerate(wanted, 1)]
    expected = max(
        (each for each in flows if matching(each, fields)), key=lambda each: each.priority, default=None
    )
    assert FlowTable(reversed(flows)).lookup(fields) == expected
    assert FlowTable(flows).lookup(fields) == expected


def test_an_empty_table_is_a_miss() -> None:
    assert FlowTable([]).lookup({"in_port": 1}) is None
