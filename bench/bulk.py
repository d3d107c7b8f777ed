"""How long many ports take, until both hosts have confirmed them.

    bench/run bulk [--scales 1000,10000] [--runs 5,3] [--local 200] [--without-ovn]

Claim: at least 5 times faster than OVN.

Far ports: they are created as a frontend does it; then 50 hosts that exist in the database alone say, all at
once, that they have them (Plait: announced; OVN: bound and up); and the clock stops when the switches of both
real hosts have all that follows from them. Local ports: 200 containers on the two hosts, created and plugged
in, until all are up. Plait on etcd and OVN take turns; every run begins with new labs, whose hosts are in 100
networks already.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from frame import plan
from frame.contender import Contender
from frame.figures import at_least
from frame.meters import wait_calm
from frame.plait import Plait, plait
from frame.record import Record
from peers.ovn import Ovn, missing, ovn

GOAL = 5.0
PLAIT, OVN = "Plait, etcd", "OVN 23.03"
_numbers = count(1)


@contextmanager
def fresh(who: str) -> Iterator[Contender]:
    """A contender in a new lab, whose hosts take part in all networks and have one far port each."""
    name = f"b{os.getpid()}-{next(_numbers)}"
    with plait(name, "etcd") if who == PLAIT else ovn(name) as contender:
        contender.grow(1)
        wait_calm([contender.lab])
        yield contender


def far_s(contender: Contender, ports: int) -> dict[str, float]:
    """Seconds until each step was done."""
    began = time.monotonic()
    if isinstance(contender, Plait):
        made = contender.wish(1, ports)
        created = time.monotonic()
        contender.announce(made)
    else:
        assert isinstance(contender, Ovn)
        contender.wish(1, ports)
        created = time.monotonic()
        contender.bind(1, ports)
    placed = time.monotonic()
    contender.confirmed(ports + 1)
    return {
        "created": created - began,
        "placed": placed - began,
        "confirmed": time.monotonic() - began,
    }


def local_s(contender: Contender, ports: int) -> dict[str, float]:
    containers = [
        plan.container(contender.lab, f"c{number}", f"h{1 + number % 2}", number=number + 10)
        for number in range(ports)
    ]
    wait_calm([contender.lab])
    began = time.monotonic()
    contender.attach_all(containers)
    return {"confirmed": time.monotonic() - began}


def measure(record: Record, kind: str, ports: int, runs: int, *, with_ovn: bool) -> None:
    whose = (PLAIT, OVN) if with_ovn else (PLAIT,)
    took: dict[str, list[dict[str, float]]] = {who: [] for who in whose}
    for _ in range(runs):
        for who in whose:
            with fresh(who) as contender:
                took[who].append((far_s if kind == "far" else local_s)(contender, ports))
    at = f"{ports:,} {kind} ports"
    for who, each in took.items():
        for step in each[0]:
            record.add(f"bulk, until {step}", [steps[step] for steps in each], who=who, at=at, unit="s")
    if with_ovn:
        medians = [statistics.median(steps["confirmed"] for steps in took[who]) for who in whose]
        goal = at_least(GOAL) if kind == "far" else None
        record.add("bulk, faster than OVN", [medians[1] / medians[0]], at=at, unit="×", goal=goal)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scales", default="1000,10000")
    parser.add_argument("--runs", default="5,3", help="one number for each scale")
    parser.add_argument("--local", type=int, default=200, help="local ports; 0: none")
    parser.add_argument("--without-ovn", action="store_true")
    options = parser.parse_args()
    record = Record("bulk")
    if lack := missing():
        print(f"without OVN: {lack}", file=sys.stderr)
    with_ovn = not (lack or options.without_ovn)
    runs = [int(number) for number in options.runs.split(",")]
    for scale, times in zip(map(int, options.scales.split(",")), runs, strict=True):
        measure(record, "far", scale, times, with_ovn=with_ovn)
    if options.local:
        measure(record, "local", options.local, runs[-1], with_ovn=with_ovn)


if __name__ == "__main__":
    main()
