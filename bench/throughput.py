"""How much one TCP stream carries between two hosts, routed and filtered with conntrack.

    bench/run throughput [--runs 5] [--seconds 3] [--without-ovn]

Claim: at least 1.3 times what OVN carries, on the userspace datapath, with devices read by AF_XDP.

A container on h1, a container on h2, in two subnets behind one router, both in a group that lets TCP port
5201 and echo requests in and nothing else. Plait reads devices by packet sockets or by AF_XDP (`port_io`, and
the underlay's likewise), and so does OVN: both begin with packet sockets; for AF_XDP with OVN the interfaces'
types are set by hand, behind its back. All take turns, each in a lab of its own: iperf3 between the same
containers, with a window of 64 KiB and with the kernel's own. IPv6 gets fewer runs. "vswitchd" is CPU time of
both hosts' ovs-vswitchd. Every stream has the MTU that its network gives it: 1,450 bytes with Plait (vxlan),
1,442 with OVN (geneve).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from typing import NamedTuple

from frame.crossing import PORT, Crossing, plait_crossing
from frame.figures import at_least
from frame.meters import cpu_s, pids, wait_calm
from frame.record import Record
from peers.ovn import missing
from peers.ovn_crossing import ovn_crossing
from plait.lab.waiting import wait_until
from plait.net.vswitch import PortIo

GOAL = 1.3
WINDOWS = {"64 KiB window": ("-w", "64K"), "default window": ()}


class Way(NamedTuple):
    """What a stream is sent over: IP version and window (a key of `WINDOWS`)."""

    version: int
    window: str

    def __str__(self) -> str:
        return f"IPv{self.version}, {self.window}"


class Result(NamedTuple):
    """What came of one stream."""

    mbit_s: float
    retransmits: int
    vswitchd_s_per_gb: float


def stream(crossing: Crossing, way: Way, seconds: float) -> Result:
    """One stream from client to server."""
    address = crossing.server.v4 if way.version == 4 else crossing.server.v6
    inside = ["ip", "netns", "exec"]
    listening = subprocess.Popen(
        [*inside, crossing.server.namespace, "iperf3", "-s", "-1", "-p", str(PORT)],
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until(
            lambda: crossing.server.exec("ss", "-Hltn", f"sport = :{PORT}"), "iperf3 listens", timeout_s=10
        )
        wait_calm([crossing.lab])
        switches = [pid for name, pid in pids(crossing.lab).items() if name.endswith("/ovs-vswitchd")]
        before = sum(map(cpu_s, switches))
        said = crossing.client.exec(
            "iperf3", "-c", address, "-p", str(PORT), "-t", f"{seconds:g}", "-J", *WINDOWS[way.window],
            timeout_s=seconds + 30,
        )  # fmt: skip
        used_s = sum(map(cpu_s, switches)) - before
        listening.wait(10)
    finally:
        listening.kill()
        listening.wait()
    end = json.loads(said)["end"]
    received = end["sum_received"]
    return Result(
        received["bits_per_second"] / 1e6,
        end["sum_sent"]["retransmits"],
        used_s / (received["bytes"] / 1e9),
    )


def measure(record: Record, crossings: Sequence[Crossing], runs: int, seconds: float) -> None:
    ways = [Way(4, window) for window in WINDOWS], [Way(6, window) for window in WINDOWS]
    results: dict[tuple[str, Way], list[Result]] = defaultdict(list)
    for run in range(runs + 1):
        for way in (*ways[0], *(ways[1] if run < runs // 2 + 2 else ())):
            # Nobody is always first, or always after the same one.
            turn = run % len(crossings)
            for crossing in (*crossings[turn:], *crossings[:turn]):
                result = stream(crossing, way, seconds)
                if run:  # the first one also warms caches
                    results[crossing.name, way].append(result)
    for way in (*ways[0], *ways[1]):
        show(record, way, {crossing.name: results[crossing.name, way] for crossing in crossings})


def show(record: Record, way: Way, results: dict[str, list[Result]]) -> None:
    at = str(way)
    for name, of in results.items():
        record.add("TCP", [each.mbit_s for each in of], who=name, at=at, unit="Mbit/s")
    for name, of in results.items():
        record.add("retransmits", [each.retransmits for each in of], who=name, at=at, unit="")
        record.add("vswitchd", [each.vswitchd_s_per_gb for each in of], who=name, at=at, unit="s/GB")
    base = next((of for name, of in results.items() if name.startswith("OVN") and "by hand" not in name), [])
    for name, of in results.items():
        if not base or of is base:
            continue
        ratio = statistics.median(each.mbit_s for each in of) / statistics.median(
            each.mbit_s for each in base
        )
        goal = at_least(GOAL) if name.startswith("Plait") and name.endswith(PortIo.AFXDP) else None
        record.add("TCP, times OVN", [ratio], who=name, at=at, unit="×", goal=goal)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--without-ovn", action="store_true")
    options = parser.parse_args()
    record = Record("throughput")
    lack = missing()
    if lack:
        print(f"without OVN: {lack}", file=sys.stderr)
    with ExitStack() as stack:
        crossings = [stack.enter_context(plait_crossing(f"b{os.getpid()}-{io}", io)) for io in PortIo]
        if not (lack or options.without_ovn):
            crossings += [stack.enter_context(ovn_crossing(f"b{os.getpid()}-ovn-{io}", io)) for io in PortIo]
        measure(record, crossings, options.runs, options.seconds)


if __name__ == "__main__":
    main()
