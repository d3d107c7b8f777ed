"""How long a new port takes: from the call that creates it to the first ping across hosts.

    bench/run port-up [--runs 15] [--scales 0,1000,5000,10000] [--without-ovn]

Claim: at most 25 ms, and flat: 10,000 background ports cost at most 1.3 times what none cost.

The container and its link exist beforehand, and a far container on the other host pings it every 2 ms. The
clock starts when the frontend's call begins and stops when the first reply is back. Plait (on etcd and on
SQLite) and OVN take turns, each in a lab of its own. The parts of the way are taken in runs of their own,
because whoever looks on costs time.
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


def measure(record: Record, contenders: Sequence[Contender], scales: Sequence[int], runs: int) -> None:
    fars = {contender.name: far_end(contender) for contender in contenders}
    medians: dict[tuple[str, int], float] = {}
    number = 0
    for scale in scales:
        took: dict[str, list[float]] = {contender.name: [] for contender in contenders}
        for contender in contenders:
            contender.grow(scale)
        wait_calm([contender.lab for contender in contenders])
        for run in range(runs + 1):
            for contender in contenders:
                ms = port_up_ms(contender, fars[contender.name], number := number + 1)
                if run:  # the first one also warms caches
                    took[contender.name].append(ms)
        for contender in contenders:
            goal = at_most(GOAL_MS) if isinstance(contender, Plait) else None
            record.add("port-up", took[contender.name], who=contender.name, at=f"{scale:,} ports", goal=goal)
            medians[contender.name, scale] = statistics.median(took[contender.name])
        if scale in (scales[0], scales[-1]):
            number = parts(record, contenders, fars, scale, number)
    if len(scales) > 1:
        for contender in contenders:
            ratio = medians[contender.name, scales[-1]] / medians[contender.name, scales[0]]
            goal = at_most(FLAT) if isinstance(contender, Plait) else None
            at = f"{scales[-1]:,} against {scales[0]:,} ports"
            record.add("port-up, growth", [ratio], who=contender.name, at=at, unit="×", goal=goal)


def parts(
    record: Record, contenders: Sequence[Contender], fars: dict[str, Endpoint], scale: int, number: int
) -> int:
    """Where the time goes in Plait on etcd: milliseconds from the call to each step."""
    for contender in contenders:
        if not isinstance(contender, Plait) or "etcd" not in contender.name:
            continue
        with Onlooker(contender.lab) as onlooker:
            for _ in range(PARTS_RUNS):
                port_up_ms(contender, fars[contender.name], number := number + 1, onlooker)
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
        # The agents' debug lines are one a bundle: what confirms flows is in them.
        contenders: list[Contender] = [
            stack.enter_context(plait(f"b{os.getpid()}-{store}", store)) for store in ("etcd", "sqlite")
        ]
        if not (lack or options.without_ovn):
            contenders.append(stack.enter_context(ovn(f"b{os.getpid()}-ovn")))
        measure(record, contenders, [int(scale) for scale in options.scales.split(",")], options.runs)


if __name__ == "__main__":
    main()
