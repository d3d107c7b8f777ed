"""What an agent uses: memory, CPU when nothing happens, and what the changes of others cost it.

    bench/run rest [--ports 10000] [--seconds 30] [--without-ovn]

Claim: at most 120 MB with 10,000 ports in its networks; next to no CPU at rest; and a change in a network
that the host has no part in costs it nothing: no byte received, no read.

Plait is measured on etcd and on SQLite, OVN beside them. "Interest" compares two windows of the agent of h2:
one in which nothing happens, and one in which 200 ports come and go in a network that only h1 is in. On etcd
every message is bytes on a connection; SQLite's watchers share a file, so there a commit of anybody rings a
bell that all of them hear.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack

from frame import plan
from frame.contender import Contender
from frame.figures import at_most
from frame.meters import cpu_s, memory_mb, pids, reads, switches, tcp_received_bytes, wait_calm
from frame.plait import Plait, plait
from frame.record import Record
from peers.ovn import missing, ovn
from plait.intent import Intent, PortSpec

MEMORY_MB = 120.0
REST_PERCENT = 0.5
FOREIGN = 200
LEASE_TTL_S = 300
"""So long that no sign of life falls into a window."""
KEEP_ALIVE_BYTES = 17
"""The answer to a ping (RFC 9113 section 6.7); etcd's connection has one in 10 s."""
PARTS = ("h1/agent", "h1/ovn-controller", "h1/ovs-vswitchd", "northd", "ovsdb-sb", "etcd")


def memory(record: Record, contender: Contender, ports: int) -> None:
    for name, pid in pids(contender.lab).items():
        if name not in PARTS:
            continue
        goal = at_most(MEMORY_MB) if name == "h1/agent" else None
        for kind, what in (("VmRSS", "memory"), ("VmHWM", "memory at its highest")):
            if kind == "VmRSS" or goal:
                at = f"{ports:,} ports"
                who = f"{contender.name}: {name}"
                record.add(what, [memory_mb(pid, kind)], who=who, at=at, unit="MB", goal=goal)


def rest(record: Record, contenders: Sequence[Contender], ports: int, seconds: float) -> None:
    """All at once: whoever rests does not disturb the others."""
    wait_calm([contender.lab for contender in contenders])
    known = [(contender, name, pid) for contender in contenders for name, pid in pids(contender.lab).items()]
    before = {pid: cpu_s(pid) for _, _, pid in known}
    time.sleep(seconds)
    for contender, name, pid in known:
        if name in PARTS:
            percent = 100 * (cpu_s(pid) - before[pid]) / seconds
            goal = at_most(REST_PERCENT) if name == "h1/agent" else None
            who = f"{contender.name}: {name}"
            record.add("CPU at rest", [percent], who=who, at=f"{ports:,} ports", unit="% core", goal=goal)


def interest(record: Record, contender: Plait) -> None:
    """Of the agent of h2: in a window without and in one with changes that are none of its business."""
    lab = contender.lab
    agent = lab.host("h2").agent
    assert agent is not None
    pid, namespace = agent.id.pid, lab.host("h2").namespace

    def used() -> tuple[float, ...]:
        return (
            tcp_received_bytes(namespace, pid),
            reads(pid),
            switches(pid),
            round(1000 * cpu_s(pid), 1),
        )

    async def foreign(intent: Intent) -> None:
        specs = [PortSpec(network="foreign", host="h1") for _ in range(FOREIGN)]
        for one in specs:
            port = await intent.ports.create(one)
            await intent.ports.delete(port.id)

    lab.network("foreign", "10.200.0.0/16")
    lab.frontend.run(lambda intent: intent.ports.create(PortSpec(network="foreign", host="h1")))
    wait_calm([lab])
    # Reading the meters wakes nobody, so the windows can follow each other.
    began = time.monotonic()
    before = used()
    lab.frontend.run(foreign)
    wait_calm([lab])
    with_changes = used()
    took_s = time.monotonic() - began
    time.sleep(took_s)
    after = used()
    for place, (what, unit) in enumerate(
        (("bytes received", "bytes"), ("reads", ""), ("wake-ups", ""), ("CPU", "ms"))
    ):
        busy = with_changes[place] - before[place]
        idle = after[place] - with_changes[place]
        at = f"{2 * FOREIGN} foreign changes in {took_s:.1f} s"
        limit = {"bytes received": KEEP_ALIVE_BYTES, "reads": 0}.get(what)
        goal = None if limit is None else at_most(limit)
        record.add(f"interest: {what}", [busy], who=contender.name, at=at, unit=unit, goal=goal)
        record.add(f"interest: {what}, same time without", [idle], who=contender.name, at=at, unit=unit)
    # The meters see what there is to see: one change that is the host's business.
    lab.frontend.run(lambda intent: intent.ports.create(PortSpec(network=plan.TESTED, host="h2")))
    wait_calm([lab])
    for place, (what, unit) in ((0, ("bytes received", "bytes")), (1, ("reads", ""))):
        own = used()[place] - after[place]
        record.add(
            f"interest: {what}, an own port", [own], who=contender.name, at="for comparison", unit=unit
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ports", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--without-ovn", action="store_true")
    options = parser.parse_args()
    record = Record("rest")
    if lack := missing():
        print(f"without OVN: {lack}", file=sys.stderr)
    with ExitStack() as stack:
        ours = [
            stack.enter_context(plait(f"b{os.getpid()}-{store}", store, lease_ttl_s=LEASE_TTL_S))
            for store in ("etcd", "sqlite")
        ]
        contenders: list[Contender] = [*ours]
        if not (lack or options.without_ovn):
            contenders.append(stack.enter_context(ovn(f"b{os.getpid()}-ovn")))
        for contender in contenders:
            contender.attach_all([plan.container(contender.lab, "one", "h1", number=1)])
            contender.grow(options.ports)
        rest(record, contenders, options.ports, options.seconds)
        for contender in contenders:
            memory(record, contender, options.ports)
        for each in ours:
            interest(record, each)
            # A restarted agent holds what it needs, not what growing needed.
            each.restart("h1")
            wait_calm([each.lab])
            agent = pids(each.lab)["h1/agent"]
            at = f"{options.ports:,} ports, after a restart"
            record.add("memory", [memory_mb(agent)], who=f"{each.name}: h1/agent", at=at, unit="MB",
                       goal=at_most(MEMORY_MB))  # fmt: skip


if __name__ == "__main__":
    main()
