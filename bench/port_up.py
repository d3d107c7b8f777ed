"""How long a new port takes: from the call that creates it to the first ping across hosts.

    bench/run port-up [--runs 15] [--scales 0,1000,5000,10000] [--without-ovn]

Claim: at most 25 ms, and flat: 10,000 background ports cost at most 1.3 times what none cost.

The container and its link exist beforehand, and a far container on the other host pings it every 2 ms. The
clock starts when the frontend's call begins and stops when the first reply is back. Plait (on etcd and on
SQLite) and OVN take turns, each in a lab of its own. The parts of the way are taken in runs of their own,
because whoever looks on costs time. Growth is against labs without background ports that take their turns in
the very same rounds.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack

from frame import plan
from frame.contender import Contender
from frame.figures import at_most
from frame.meters import wait_calm
from frame.parts import PARTS, Onlooker
from frame.plait import Plait, plait
from frame.record import Record
from peers.ovn import missing, ovn
from plait.lab.endpoint import Endpoint
from plait.lab.pinger import Pinger

GOAL_MS = 25.0
FLAT = 1.3
PARTS_RUNS = 5


def port_up_ms(contender: Contender, far: Endpoint, number: int, onlooker: Onlooker | None = None) -> float:
    """Milliseconds of one new port; leaves nothing behind."""
    new = plan.container(contender.lab, f"new{number}", "h1", number=100 + number)
    plan.acquaint(new, far)
    pings = Pinger(far.namespace, [new.v4], interval_s=0.002).start()
    wait_calm([contender.lab])
    if onlooker is not None:
        onlooker.begin()
    began = time.monotonic()
    contender.attach(new)
    if onlooker is not None:
        onlooker.returned()
    if not pings.wait_answered(1, timeout_s=60):
        stuck = {name: host.ask("status") for name, host in contender.lab.hosts.items() if host.agent}
        sys.exit(f"{contender.name}: no ping after 60 s; {stuck or 'see the logs of OVN'}")
    at = pings.first_answered_at
    assert at is not None
    if onlooker is not None:
        onlooker.end(at)
    pings.stop(wait_s=0)
    contender.detach(new)
    new.remove()
    return 1000 * (at - began)


def far_end(contender: Contender) -> Endpoint:
    far = plan.container(contender.lab, "far", "h2", number=1)
    contender.attach_all([far])
    return far


def measure(
    record: Record,
    contenders: Sequence[Contender],
    empty: Sequence[Contender],
    scales: Sequence[int],
    runs: int,
) -> None:
    """`empty` never grow; they take part in the last scale, each for the contender in its place."""
    fars = {contender.lab.name: far_end(contender) for contender in (*contenders, *empty)}
    number = 0
    for scale in scales:
        for contender in contenders:
            contender.grow(scale)
        growth = scale == scales[-1] and scale > 0
        rounds = [*contenders, *(empty if growth else ())]
        wait_calm([contender.lab for contender in rounds])
        took: dict[str, list[float]] = {contender.lab.name: [] for contender in rounds}
        for run in range(runs + 1):
            for contender in rounds:
                ms = port_up_ms(contender, fars[contender.lab.name], number := number + 1)
                if run:  # the first one also warms caches
                    took[contender.lab.name].append(ms)
        for contender in contenders:
            goal = at_most(GOAL_MS) if isinstance(contender, Plait) else None
            values = took[contender.lab.name]
            record.add("port-up", values, who=contender.name, at=f"{scale:,} ports", goal=goal)
        if growth:
            for full, without in zip(contenders, empty, strict=False):
                values = took[without.lab.name]
                record.add("port-up", values, who=without.name, at=f"0 ports, beside {scale:,}")
                ratio = statistics.median(took[full.lab.name]) / statistics.median(values)
                goal = at_most(FLAT) if isinstance(full, Plait) else None
                at = f"{scale:,} against 0 ports"
                record.add("port-up, growth", [ratio], who=full.name, at=at, unit="×", goal=goal)
        if scale in (scales[0], scales[-1]):
            number = parts(record, contenders, fars, scale, number)


def parts(
    record: Record, contenders: Sequence[Contender], fars: dict[str, Endpoint], scale: int, number: int
) -> int:
    """Where the time goes in Plait on etcd: milliseconds from the call to each step."""
    for contender in contenders:
        if not isinstance(contender, Plait) or "etcd" not in contender.name:
            continue
        with Onlooker(contender.lab) as onlooker:
            for _ in range(PARTS_RUNS):
                port_up_ms(contender, fars[contender.lab.name], number := number + 1, onlooker)
        for name in PARTS:
            values = onlooker.values(name)
            if values:
                record.add(f"port-up, until {name}", values, who=contender.name, at=f"{scale:,} ports")
    return number


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--scales", default="0,1000,5000,10000", help="background ports, rising")
    parser.add_argument("--without-ovn", action="store_true")
    options = parser.parse_args()
    record = Record("port-up")
    lack = missing()
    if lack:
        print(f"without OVN: {lack}", file=sys.stderr)
    with ExitStack() as stack:
        contenders: list[Contender] = [
            stack.enter_context(plait(f"b{os.getpid()}-{store}", store)) for store in ("etcd", "sqlite")
        ]
        empty: list[Contender] = [
            stack.enter_context(plait(f"b{os.getpid()}-{store}-0", store)) for store in ("etcd", "sqlite")
        ]
        if not (lack or options.without_ovn):
            contenders.append(stack.enter_context(ovn(f"b{os.getpid()}-ovn")))
            empty.append(stack.enter_context(ovn(f"b{os.getpid()}-ovn-0")))
        scales = [int(scale) for scale in options.scales.split(",")]
        measure(record, contenders, empty, scales, options.runs)


if __name__ == "__main__":
    main()
