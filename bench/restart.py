"""What packets notice when a part dies and comes back.

    bench/run restart [--scales 1000,10000] [--runs 5,3] [--outage 60] [--stores etcd,sqlite]
        [--without-ovn]

Claim: an agent that is killed (SIGKILL) and started again loses no packet, resets no connection and sends no
flow-mod, whatever the number of background ports; a store that is away for 60 s is not noticed either.

h1 pings h2 a thousand times a second, and a TCP stream of 1.6 MB/s runs beside it. Measured: pings lost,
streams broken, flow changes that h1's switch tells of, and seconds until the agent says that it is done (OVN:
until `sync --wait=hv` returns). Then ovs-vswitchd is killed and started again: how long pings stay away; the
new process needs a part of it before anybody can help ("until the switch is back": bridges, links, no flows).
OVN is measured with its default and with ovn-monitor-all, which its operators set against just this.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack

from frame import plan
from frame.contender import Contender
from frame.figures import Goal, at_most
from frame.meters import wait_calm
from frame.plait import Plait, plait
from frame.record import Record
from peers.ovn import missing, ovn
from plait.lab.endpoint import Endpoint
from plait.lab.flowwatch import FlowWatch
from plait.lab.pinger import Pinger
from plait.lab.streams import TcpStream

INTERVAL_S = 0.001
BEFORE, AFTER = 500, 1000
"""Pings answered before the kill, and after all is said to be done."""

Ends = tuple[Endpoint, Endpoint]


def ends_of(contender: Contender) -> Ends:
    """A container on each host, which know each other's MAC."""
    one = plan.container(contender.lab, "one", "h1", number=1)
    two = plan.container(contender.lab, "two", "h2", number=2)
    plan.acquaint(one, two)
    contender.attach_all([one, two])
    return one, two


def agent_restart(contender: Contender, ends: Ends) -> dict[str, float]:
    """Of one kill: what was lost, and how long it took."""
    one, two = ends
    wait_calm([contender.lab])
    pings = Pinger(one.namespace, [two.v4], interval_s=INTERVAL_S).start()
    stream = TcpStream(one.namespace, two.namespace, two.v4).start()
    pings.wait_answered(BEFORE)
    began = time.monotonic()
    contender.restart("h1")
    took_s = time.monotonic() - began
    wait_calm([contender.lab], without="vswitchd", timeout_s=10)
    pings.wait_answered(AFTER, timeout_s=60)
    outcome = stream.stop()
    return {
        "agent: pings lost": pings.stop().lost,
        "agent: TCP streams broken": 0.0 if outcome.whole else 1.0,
        "agent: seconds until done": took_s,
    }


def agent_restart_watched(contender: Contender, ends: Ends) -> dict[str, float]:
    """Of one kill: flow changes of the switch. A run of its own, because telling of many costs the switch."""
    wait_calm([contender.lab])
    watch = FlowWatch.start(contender.lab.host("h1"))
    contender.restart("h1")
    wait_calm([contender.lab], without="vswitchd", timeout_s=10)
    return {"agent: flow changes": len(watch.stop())}


def switch_restart(contender: Contender, ends: Ends) -> dict[str, float]:
    """Of one kill of ovs-vswitchd: seconds without pings, and seconds until the new one answers at all."""
    one, two = ends
    wait_calm([contender.lab])
    pings = Pinger(one.namespace, [two.v4], interval_s=INTERVAL_S).start()
    pings.wait_answered(BEFORE)
    began = time.monotonic()
    contender.lab.host("h1").restart_vswitchd()
    empty_s = time.monotonic() - began
    back = pings.wait_answered(AFTER, timeout_s=90)
    report = pings.stop()
    return {
        "switch killed: seconds without pings": report.worst_gap_s if back else 90.0,
        "switch killed: seconds until the switch is back": empty_s,
    }


def outage(record: Record, contender: Plait, ends: Ends, ports: int, outage_s: float) -> None:
    """The store is away for `outage_s`; the agent of h1 is killed and started meanwhile."""
    one, two = ends
    pings = Pinger(one.namespace, [two.v4], interval_s=INTERVAL_S).start()
    stream = TcpStream(one.namespace, two.namespace, two.v4).start()
    watch = FlowWatch.start(contender.lab.host("h1"))
    pings.wait_answered(BEFORE)
    began = time.monotonic()
    contender.lab.storage.stop()
    host = contender.lab.host("h1")
    host.kill_agent()
    host.start_agent()
    pings.wait_answered(int(outage_s / INTERVAL_S), timeout_s=2 * outage_s)
    while time.monotonic() < began + outage_s:
        pings.wait_answered(100)
    contender.lab.storage.start()
    back = time.monotonic()
    contender.lab.wait_ready("h1", "h2", timeout_s=120)
    ready_s = time.monotonic() - back
    wait_calm([contender.lab], without="vswitchd", timeout_s=10)
    pings.wait_answered(AFTER, timeout_s=60)
    outcome = stream.stop()
    at = f"{ports:,} ports, store away {outage_s:g} s"
    for what, value, goal in (
        ("outage: pings lost", pings.stop().lost, at_most(0)),
        ("outage: TCP streams broken", 0 if outcome.whole else 1, at_most(0)),
        ("outage: flow changes", len(watch.stop()), at_most(0)),
        ("outage: stale or missing flows", len(contender.lab.differences()), at_most(0)),
        ("outage: seconds until agents are ready again", ready_s, None),
    ):
        record.add(what, [value], who=contender.name, at=at, unit="s" if "seconds" in what else "", goal=goal)


def measure(
    record: Record, contenders: Sequence[Contender], scales: Sequence[int], runs: Sequence[int]
) -> list[Ends]:
    ends = [ends_of(contender) for contender in contenders]
    for scale, times in zip(scales, runs, strict=True):
        for contender in contenders:
            contender.grow(scale)
        for kill in (agent_restart, agent_restart_watched, switch_restart):
            took: list[list[dict[str, float]]] = [[] for _ in contenders]
            for _ in range(1 if kill is agent_restart_watched else times):
                for contender, of_contender, each in zip(contenders, ends, took, strict=True):
                    each.append(kill(contender, of_contender))
                    contender.confirmed(scale)
            for contender, each in zip(contenders, took, strict=True):
                for figure in each[0]:
                    goal: Goal | None = None
                    if isinstance(contender, Plait) and "seconds" not in figure:
                        goal = at_most(0)
                    record.add(
                        figure,
                        [one[figure] for one in each],
                        who=contender.name,
                        at=f"{scale:,} ports",
                        unit="s" if "seconds" in figure else "",
                        goal=goal,
                    )
    return ends


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scales", default="1000,10000", help="background ports, rising")
    parser.add_argument("--runs", default="5,3", help="one number for each scale")
    parser.add_argument("--outage", type=float, default=60, help="seconds without the store; 0: leave it out")
    parser.add_argument("--stores", default="etcd,sqlite")
    parser.add_argument("--without-ovn", action="store_true")
    options = parser.parse_args()
    record = Record("restart")
    if lack := missing():
        print(f"without OVN: {lack}", file=sys.stderr)
    scales = [int(scale) for scale in options.scales.split(",")]
    with ExitStack() as stack:
        ours = [
            stack.enter_context(plait(f"b{os.getpid()}-{store}", store))
            for store in options.stores.split(",")
        ]
        contenders: list[Contender] = [*ours]
        if not (lack or options.without_ovn):
            for monitor_all in (False, True):
                name = f"b{os.getpid()}-ovn{'-all' if monitor_all else ''}"
                contenders.append(stack.enter_context(ovn(name, monitor_all=monitor_all)))
        runs = [int(number) for number in options.runs.split(",")]
        ends = measure(record, contenders, scales, runs)
        if options.outage and "etcd" in ours[0].name:
            outage(record, ours[0], ends[0], scales[-1], options.outage)


if __name__ == "__main__":
    main()
