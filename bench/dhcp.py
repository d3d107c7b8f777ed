"""How many DHCP clients one agent answers, and what that costs flows that change meanwhile.

    bench/run dhcp [--rounds 5] [--rate 6000] [--seconds 4]

Claim: at least 5,000 answers a second from one agent, and flows that change at the same time are at most
10 ms later (99th percentile) than without.

A container sends requests of a client that knows its address (INIT-REBOOT) at an even rate, whole frames
through its link, the switch and the agent, and counts the answers that come back. A stub host's endpoint
changes its address in the store every 20 ms; the clock starts before the commit and stops when the switch
tells that it has the flow. Rounds with and without requests take turns. The switch (userspace), the agent,
the store's client and the container's sender share the machine's cores.
"""

import argparse
import asyncio
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from frame import plan
from frame.figures import at_least, at_most, percentile
from frame.meters import cpu_s, pids, wait_calm
from frame.plait import Plait, plait
from frame.record import Record
from plait.flows.address_numbers import ipv4_number
from plait.intent import Intent
from plait.lab import netns
from plait.lab.endpoint import Endpoint as Container
from plait.model import codec
from plait.model.entities import Endpoint, LiveHost
from plait.net.openflow import OpenFlowConnection
from plait.reach.watch import WatchReach
from plait.store import keys
from plait.store.api import Put
from plait.wire.datagram import Datagram, encode_datagram
from plait.wire.dhcp import Kind, Option, encode_message, encode_options
from plait.wire.internet import ETH_IPV4
from plait.wire.openflow.monitor import ForeignFlowChange
from plait.wire.openflow.oxm import decode_match

GOAL_PER_S = 5000
GOAL_DELAY_MS = 10.0
CHANGE_EVERY_S = 0.02
BURST_S = 0.002
STUB = "stub-dhcp"
LEASE_S = 3600
SO_RCVBUFFORCE = 33


@dataclass
class Flood:
    """What a flood came to; times in milliseconds."""

    sent: int
    answered: int
    took_s: float
    rtt_p50_ms: float
    rtt_p99_ms: float


def request(mac: str, address: str) -> bytes:
    """A whole frame, up to the transaction id, which stands at `XID_AT`."""
    own = bytes.fromhex(mac.replace(":", ""))
    options = encode_options(
        {
            Option.REQUESTED_ADDRESS: socket.inet_aton(address),
            Option.PARAMETERS: bytes((1, 3, 6, 12, 15, 26, 28, 42, 119, 121)),
            Option.HOST_NAME: b"bench",
        }
    )
    message = encode_message(Kind.REQUEST, options, xid=bytes(4), mac=own, is_request=True)
    return encode_datagram(Datagram(own, b"\xff" * 6, bytes(4), b"\xff" * 4, 68, 67, message))


XID_AT = 14 + 20 + 8 + 4
KIND_AT = 14 + 20 + 8 + 240


def flood(namespace: str, mac: str, address: str, *, rate: int, seconds: float) -> Flood:
    """Send at `rate` for `seconds`, and take the answers."""
    frame = request(mac, address)
    head, tail = frame[:XID_AT], frame[XID_AT + 4 :]
    sent_at: dict[bytes, float] = {}
    rtts: list[float] = []
    with netns.inside(namespace, _link) as link:

        def take() -> None:
            while True:
                try:
                    answer = link.recv(2048)
                except BlockingIOError:
                    return
                began = sent_at.pop(answer[XID_AT : XID_AT + 4], None)
                if began is not None and answer[KIND_AT : KIND_AT + 3] == b"\x35\x01\x05":
                    rtts.append(time.monotonic() - began)

        began = time.monotonic()
        number = 0
        while (now := time.monotonic()) < began + seconds:
            due = int((now - began) * rate)
            while number < due:
                number += 1
                xid = number.to_bytes(4, "big")
                sent_at[xid] = time.monotonic()
                # The checksum stays that of xid 0: nobody looks at it (see `decode_datagram`).
                link.send(head + xid + tail)
            take()
            select.select([link], [], [], BURST_S)
        took_s = time.monotonic() - began
        answered = len(rtts)
        ends_at = time.monotonic() + 1
        while sent_at and time.monotonic() < ends_at:
            select.select([link], [], [], 0.05)
            take()
    ordered = rtts or [0.0]
    return Flood(
        number,
        answered,
        took_s,
        1000 * percentile(ordered, 50),
        1000 * percentile(ordered, 99),
    )


def _link() -> socket.socket:
    """All IPv4 frames of the container's link, both ways (packet(7))."""
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_IPV4))
    link.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
    link.bind(("eth0", ETH_IPV4))
    link.setblocking(False)
    return link


class Changes:
    """An endpoint on a stub host whose address changes, and the switch of h1 that hears of it."""

    def __init__(self, contender: Plait, network: str) -> None:
        self._lab = contender.lab
        self._network = network
        self._number = 0

    def begin(self) -> None:
        async def stub(intent: Intent) -> None:
            lease = await intent.store.grant(LEASE_S)
            host = LiveHost(name=STUB, vtep="172.16.100.250")
            await intent.store.commit([], [Put(keys.host(STUB), codec.encode(host), lease)])

        self._lab.frontend.run(stub)
        self.latencies_ms(5)

    def latencies_ms(self, count: int) -> list[float]:
        return self._lab.frontend.run(lambda intent: self._measure(intent, count), timeout_s=120)

    async def _measure(self, intent: Intent, count: int) -> list[float]:
        plane = WatchReach(intent.store, STUB)
        switch = await OpenFlowConnection.connect(f"unix:{self._lab.host('h1').switch.rundir}/br-int.mgmt")
        try:
            await switch.monitor()
            events = switch.events()
            took = []
            for _ in range(count):
                self._number += 1
                address = f"10.0.{200 + self._number // 250 % 50}.{1 + self._number % 250}"
                wanted = ipv4_number(address)
                endpoint = Endpoint(
                    network=self._network,
                    port="changing",
                    mac="0a:03:00:00:00:01",
                    host=STUB,
                    ips=(address,),
                    sequence=self._number,
                )
                began = time.monotonic()
                await plane.announce(endpoint)
                async for event in events:
                    if isinstance(event, ForeignFlowChange) and wanted == _number(event):
                        break
                took.append(1000 * (time.monotonic() - began))
                await asyncio.sleep(CHANGE_EVERY_S)
            return took
        finally:
            await switch.close()


def _number(event: ForeignFlowChange) -> object:
    return None if event.kind == "removed" else decode_match(event.match).get("arp_tpa")


def beside(container: Container, *, rate: int, seconds: float) -> "subprocess.Popen[bytes]":
    """A flood in a process of its own."""
    words = ("--flood", container.namespace, container.mac, container.v4, str(rate), str(seconds))
    return subprocess.Popen([sys.executable, __file__, *words], stdout=subprocess.PIPE)


def measure(record: Record, contender: Plait, rounds: int, rate: int, seconds: float) -> None:
    lab = contender.lab
    network = lab.frontend.run(lambda intent: intent.networks.get(plan.TESTED)).id
    client = lab.endpoint("client", network=network, host="h1", addresses=("10.0.3.1",))
    changes = Changes(contender, network)
    changes.begin()
    count = int(seconds / CHANGE_EVERY_S / 2)
    agent = pids(lab)["h1/agent"]
    quiet: list[float] = []
    loaded: list[float] = []
    floods: list[Flood] = []
    shares: list[float] = []
    for _ in range(rounds):
        wait_calm([lab])
        quiet += changes.latencies_ms(count)
        used, at = cpu_s(agent), time.monotonic()
        with beside(client, rate=rate, seconds=seconds) as process:
            loaded += changes.latencies_ms(count)
            said, _ = process.communicate(timeout=60)
        floods.append(Flood(**json.loads(said)))
        shares.append(100 * (cpu_s(agent) - used) / (time.monotonic() - at))
    report(record, floods, quiet, loaded, shares, rate)


def report(
    record: Record,
    floods: Sequence[Flood],
    quiet: Sequence[float],
    loaded: Sequence[float],
    shares: Sequence[float],
    rate: int,
) -> None:
    at = f"{rate:,} requests/s"
    answers = [each.answered / each.took_s for each in floods]
    record.add("DHCP answers", answers, at=at, unit="1/s", goal=at_least(GOAL_PER_S))
    record.add("DHCP, answered", [100 * each.answered / each.sent for each in floods], at=at, unit="%")
    record.add("DHCP, until the answer, p50", [each.rtt_p50_ms for each in floods], at=at)
    record.add("DHCP, until the answer, p99", [each.rtt_p99_ms for each in floods], at=at)
    record.add("agent's CPU", shares, at=at, unit="% of a core")
    record.add("flow update", quiet, at="no requests")
    record.add("flow update", loaded, at=at)
    later = percentile(loaded, 99) - percentile(quiet, 99)
    record.add("flow update, p99", [percentile(quiet, 99)], at="no requests")
    record.add("flow update, p99", [percentile(loaded, 99)], at=at)
    record.add("flow update, later at p99", [later], at=at, goal=at_most(GOAL_DELAY_MS))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=int, default=6000)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--flood", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.flood:
        namespace, mac, address, rate, seconds = options.flood
        result = flood(namespace, mac, address, rate=int(rate), seconds=float(seconds))
        print(json.dumps(asdict(result)))
        return
    record = Record("dhcp")
    with plait(f"b{os.getpid()}-dhcp", "sqlite") as contender:
        measure(record, contender, options.rounds, options.rate, options.seconds)


if __name__ == "__main__":
    main()
