"""Networks whose ports, the background's included, are all in one group that lets nothing in."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol as Interface

from frame.contender import Contender
from frame.plait import Plait, plait_lab
from plait.model.policy import Direction, Protocol

GROUP = "all"


class Filtering(Contender, Interface):
    """A contender with rules, which are named by the UDP port that they let in.

    `most_members`: how large the group may be where rules name it.
    """

    most_members: int

    def permit(self, port: int, *, from_group: bool) -> None:
        """Let UDP to `port` into all ports of the group, from anybody or from the group's members."""
        ...

    def withdraw(self, port: int) -> None:
        """Remove the rule of `port`."""
        ...


class FilteringPlait(Plait):
    """See `Filtering`."""

    groups = (GROUP,)
    most_members = 1_000_000

    def permit(self, port: int, *, from_group: bool) -> None:
        remote = GROUP if from_group else None
        self.lab.frontend.run(
            lambda intent: intent.rules.add(
                GROUP,
                Direction.INGRESS,
                name=f"udp-{port}",
                protocol=Protocol.UDP,
                ports=(port, port),
                remote_group=remote,
            )
        )

    def withdraw(self, port: int) -> None:
        self.lab.frontend.run(lambda intent: intent.rules.remove(GROUP, f"udp-{port}"))


@contextmanager
def filtering_plait(lab_name: str, store: str) -> Iterator[FilteringPlait]:
    """As `plait`, with a group that every port is put into."""
    with plait_lab(lab_name, store) as lab:
        lab.frontend.run(lambda intent: intent.groups.create(GROUP, isolated=True))
        yield FilteringPlait(lab, store, {})
