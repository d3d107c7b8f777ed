"""How long a changed rule takes until packets obey it.

    bench/run acl [--runs 20] [--scales 0,1000,5000,10000] [--without-ovn]

Claim: at most 15 ms at the median, and flat: 10,000 ports in the group cost at most 1.3 times what none cost.

Every port is in one group that lets nothing in: those of a container on each host, and background ports as in
port-up. The container on h1 sends 2,000 UDP packets a second to the one on h2, to a port that is closed. A
rule is added that lets it in: the clock runs from the frontend's call to the first packet that arrives
("allow"). Then the rule is removed, and the clock runs until the first packet leaves that never arrives
("remove"), though conntrack knows the connection. Rules let in anybody, or the group's own members, of which
another rule of the group speaks already: the flows of members are there then, and what the first rule that
names them costs is said apart. Plait (on etcd) and OVN take turns, each in a lab of its own; growth is
against labs without background ports that take their turns in the very same rounds. Flow changes are those
of both hosts, counted in runs of their own.
"""

import argparse
import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import count
from typing import NamedTuple

from frame import plan
from frame.figures import at_most
from frame.filtering import Filtering, FilteringPlait, filtering_plait
from frame.meters import wait_calm
from frame.probe import Probe
from frame.record import Record
from peers.ovn import missing
from peers.ovn_filtering import filtering_ovn
from plait.lab.endpoint import Endpoint
from plait.lab.flowwatch import FlowWatch

GOAL_MS = 15.0
FLAT = 1.3
WARM_PACKETS = 300
LEAST_RUNS, PATIENCE_S = 3, 90
"""Whoever has spent so many seconds on one figure takes part in no more than so many runs."""
COUNTED = 3
"""Runs in which flow changes are counted."""

FROM_GROUP = ", from the group"

Ends = tuple[Endpoint, Endpoint]
_ports = count(20_000)


class Took(NamedTuple):
    """Of one rule, in milliseconds or in flow changes of both hosts."""

    allow: float
    remove: float


def ends_of(contender: Filtering) -> Ends:
    """A container on each host, which know each other's MAC."""
    one = plan.container(contender.lab, "one", "h1", number=1)
    two = plan.container(contender.lab, "two", "h2", number=2)
    plan.acquaint(one, two)
    contender.attach_all([one, two])
    return one, two


def change_ms(contender: Filtering, ends: Ends, *, from_group: bool) -> Took:
    """A rule added and removed, and when packets obeyed."""
    port = next(_ports)
    wait_calm([contender.lab])
    with Probe(*ends, port) as probe:
        probe.wait_sent(WARM_PACKETS)
        if probe.count:
            sys.exit(f"{contender.name}: packets arrive that no rule lets in")
        began = time.time()
        contender.permit(port, from_group=from_group)
        allow = probe.first_arrival() - began
        # A host may still be at work for its part of the rule; the switch never rests while packets come.
        wait_calm([contender.lab], without="vswitchd")
        probe.wait_sent(WARM_PACKETS)
        began = time.time()
        contender.withdraw(port)
        remove = probe.first_loss() - began
    return Took(1000 * allow, 1000 * remove)


class Watch:
    """Counts flow changes of all hosts from now on."""

    def __init__(self, contender: Filtering) -> None:
        self._lab = contender.lab
        self._watches = [FlowWatch.start(host) for host in contender.lab.hosts.values()]

    def count(self) -> int:
        """How many there were once all is at rest."""
        wait_calm([self._lab])
        return sum(len(watch.stop()) for watch in self._watches)


def flow_changes(contender: Filtering, *, from_group: bool) -> Took:
    """What a rule and its removal change at both switches."""
    port = next(_ports)
    watch = Watch(contender)
    contender.permit(port, from_group=from_group)
    allowed = watch.count()
    watch = Watch(contender)
    contender.withdraw(port)
    return Took(allowed, watch.count())


def measure(
    record: Record,
    contenders: Sequence[Filtering],
    empty: Sequence[Filtering],
    scales: Sequence[int],
    runs: int,
) -> None:
    """`empty` never grow; they take part in the last scale, each for the contender in its place."""
    ends = {contender.lab.name: ends_of(contender) for contender in (*contenders, *empty)}
    for scale in scales:
        for contender in contenders:
            contender.grow(scale)
        growth = scale == scales[-1] and scale > 0
        rounds = Rounds(record, contenders, empty if growth else (), ends, scale)
        rounds.measure("", runs)
        with rounds.naming_the_group() as able:
            able.measure(FROM_GROUP, runs)


@dataclass(frozen=True)
class Rounds:
    """What takes turns at one scale; `empty` have no background ports, in the order of `contenders`."""

    record: Record
    contenders: Sequence[Filtering]
    empty: Sequence[Filtering]
    ends: Mapping[str, Ends]
    scale: int

    @property
    def everybody(self) -> Sequence[Filtering]:
        return *self.contenders, *self.empty

    def measure(self, from_whom: str, runs: int) -> None:
        wait_calm([contender.lab for contender in self.everybody])
        took: dict[str, list[Took]] = defaultdict(list)
        spent_s: dict[str, float] = defaultdict(float)
        for run in range(runs + 1):
            # Nobody is always the first, or always after the same one.
            turn = run % len(self.everybody)
            for contender in (*self.everybody[turn:], *self.everybody[:turn]):
                lab = contender.lab.name
                if run > LEAST_RUNS and spent_s[lab] > PATIENCE_S:
                    continue
                began = time.monotonic()
                each = change_ms(contender, self.ends[lab], from_group=from_whom == FROM_GROUP)
                spent_s[lab] += time.monotonic() - began
                if run:  # the first one also warms caches
                    took[lab].append(each)
        for contender in self.contenders:
            show(self.record, contender, from_whom, took[contender.lab.name], self.scale)
            self._count_changes(contender, from_whom)
        for full, without in zip(self.contenders, self.empty, strict=False):
            show_growth(self.record, full, from_whom, took[full.lab.name], took[without.lab.name], self.scale)

    def _count_changes(self, contender: Filtering, from_whom: str) -> None:
        changes = [flow_changes(contender, from_group=from_whom == FROM_GROUP) for _ in range(COUNTED)]
        for what, values in zip(Took._fields, zip(*changes, strict=True), strict=True):
            name = f"{what}{from_whom}: flow changes"
            self.record.add(name, values, who=contender.name, at=f"{self.scale:,} ports", unit="")

    @contextmanager
    def naming_the_group(self) -> Iterator["Rounds"]:
        """Those that can have so large a group named by rules, with one such rule for as long."""
        able = [contender for contender in self.contenders if contender.most_members >= self.scale]
        # In the order of the contenders, as everything here.
        empty = [each for each in self.empty if any(each.name == contender.name for contender in able)]
        rounds = replace(self, contenders=able, empty=empty)
        standing = next(_ports)
        for contender in rounds.everybody:
            wait_calm([contender.lab])
            with Probe(*self.ends[contender.lab.name], standing) as probe:
                probe.wait_sent(WARM_PACKETS)
                began = time.time()
                contender.permit(standing, from_group=True)
                ms = 1000 * (probe.first_arrival(timeout_s=120) - began)
            if contender in able:
                name = "allow, first to name the group"
                self.record.add(name, [ms], who=contender.name, at=f"{self.scale:,} ports")
        yield rounds
        for contender in rounds.everybody:
            contender.withdraw(standing)


def show(record: Record, contender: Filtering, from_whom: str, took: Sequence[Took], scale: int) -> None:
    goal = at_most(GOAL_MS) if isinstance(contender, FilteringPlait) else None
    for what, values in zip(Took._fields, zip(*took, strict=True), strict=True):
        record.add(f"{what}{from_whom}", values, who=contender.name, at=f"{scale:,} ports", goal=goal)


def show_growth(
    record: Record,
    contender: Filtering,
    from_whom: str,
    full: Sequence[Took],
    without: Sequence[Took],
    scale: int,
) -> None:
    goal = at_most(FLAT) if isinstance(contender, FilteringPlait) else None
    who = contender.name
    for what, high, low in zip(
        Took._fields, zip(*full, strict=True), zip(*without, strict=True), strict=True
    ):
        record.add(f"{what}{from_whom}", low, who=who, at=f"0 ports, beside {scale:,}")
        ratio = statistics.median(high) / statistics.median(low)
        at = f"{scale:,} against 0 ports"
        record.add(f"{what}{from_whom}, growth", [ratio], who=who, at=at, unit="×", goal=goal)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--scales", default="0,1000,5000,10000", help="background ports, rising")
    parser.add_argument("--without-ovn", action="store_true")
    options = parser.parse_args()
    record = Record("acl")
    lack = missing()
    if lack:
        print(f"without OVN: {lack}", file=sys.stderr)
    with ExitStack() as stack:
        scales = [int(scale) for scale in options.scales.split(",")]
        name = f"b{os.getpid()}"
        contenders: list[Filtering] = [stack.enter_context(filtering_plait(f"{name}-etcd", "etcd"))]
        empty: list[Filtering] = []
        if scales[-1]:
            empty.append(stack.enter_context(filtering_plait(f"{name}-etcd-0", "etcd")))
        if not (lack or options.without_ovn):
            contenders.append(stack.enter_context(filtering_ovn(f"{name}-ovn")))
            if scales[-1]:
                empty.append(stack.enter_context(filtering_ovn(f"{name}-ovn-0")))
        measure(record, contenders, empty, scales, options.runs)


if __name__ == "__main__":
    main()
