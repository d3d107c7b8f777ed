"""Which flow of a table does a packet meet? Tuple space search, as Open vSwitch does it.

Flows whose matches look at the same bits share one hash table; a lookup asks those tables, the one with the
highest priority first, and stops when no other can do better.
Source: Srinivasan et al., "Packet Classification using Tuple Space Search", SIGCOMM 1999.
"""

from collections.abc import Iterable, Mapping

from plait.flows.flow import Flow
from plait.wire.openflow.oxm import decode_match

Shape = tuple[tuple[str, int], ...]
"""The bits that a match looks at: (field, mask), sorted; mask 0 stands for the whole field."""


class FlowTable:
    """The flows of one table, indexed at the first lookup."""

    def __init__(self, flows: Iterable[Flow]) -> None:
        self._flows = flows
        self._tuples: list[tuple[int, Shape, dict[tuple[int, ...], Flow]]] | None = None

    def lookup(self, fields: Mapping[str, int]) -> Flow | None:
        """The flow with the highest priority of those that match; None is a miss."""
        if self._tuples is None:
            self._tuples = _index(self._flows)
        best: Flow | None = None
        for priority, shape, flows in self._tuples:
            if best is not None and best.priority >= priority:
                break
            values = [fields.get(name, 0) & mask if mask else fields.get(name, 0) for name, mask in shape]
            found = flows.get(tuple(values))
            if found is not None and (best is None or found.priority > best.priority):
                best = found
        return best


def _index(flows: Iterable[Flow]) -> list[tuple[int, Shape, dict[tuple[int, ...], Flow]]]:
    """(highest priority, shape, masked values -> flow), the highest priority first."""
    tuples: dict[Shape, dict[tuple[int, ...], Flow]] = {}
    highest: dict[Shape, int] = {}
    for flow in flows:
        shape: list[tuple[str, int]] = []
        values: list[int] = []
        for name, value in sorted(decode_match(flow.match).items()):
            exact, mask = value if isinstance(value, tuple) else (value, 0)
            shape.append((name, mask))
            values.append(exact)
        key = tuple(shape)
        standing = tuples.setdefault(key, {}).get(tuple(values))
        if standing is None or standing.priority < flow.priority:
            tuples[key][tuple(values)] = flow
        highest[key] = max(highest.get(key, 0), flow.priority)
    ranked = sorted(tuples.items(), key=lambda item: highest[item[0]], reverse=True)
    return [(highest[shape], shape, by_values) for shape, by_values in ranked]
