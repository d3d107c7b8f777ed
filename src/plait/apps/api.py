"""What an app is."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from plait.flows.flow import Flow, Group
from plait.model.lens import Lens

Produce = Callable[[Lens, str], Iterator[Flow | Group]]


class App(NamedTuple):
    """A network function: for each thing of `kind`, `produce(lens, id)` yields its flows and groups."""

    number: int
    name: str
    kind: str
    produce: Produce
