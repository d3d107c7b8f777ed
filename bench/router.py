"""How long a router takes to arrive on a host: from the call that creates a port to the first routed ping.

    bench/run router [--subnets 200] [--endpoints 1] [--runs 15]

Claim: a router with 200 subnets passes packets within 300 ms of the creation of the first port, in one of its
subnets, of a host that had no part in it.

The container and its link exist beforehand, as in port-up, and it pings a far one, in another of the router's
subnets on the other host, every 2 ms; that host has the router already. The clock starts when the frontend's
call begins and stops when the first reply is back: the request was routed by the flows of the new host, the
reply by those of the other. Every network has endpoints on hosts that exist in the store alone, and the new
host learns all of them. After each run the port is deleted, and the next one begins when the host has
forgotten all networks.

What one arrival takes is counted in runs of their own: flow-mods of the new host's agent, the requests that
etcd served meanwhile (for the frontend and the other agent, too), and how many watches it has more then.
"""

import argparse
import os
import re
import sys
import time
import urllib.request
from contextlib import ExitStack

from frame import plan
from frame.figures import at_most
from frame.meters import wait_calm
from frame.plait import STUB_LEASE_S, Plait, plait
from frame.record import Record
from plait.intent import Intent, PortSpec
from plait.lab.endpoint import Endpoint
from plait.lab.pinger import Pinger
from plait.lab.waiting import wait_until
from plait.model import codec
from plait.model.entities import LiveHost, Port
from plait.model.routers import RouterInterface
from plait.store import keys
from plait.store.api import Put

GOAL_MS = 300.0
COUNTED_RUNS = 3
STUBS = 20
METRICS = {
    "requests to etcd": r'grpc_server_msg_received_total{grpc_method="(?:Range|Txn)",.*}',
    "watches more": "etcd_debugging_mvcc_watcher_total",
}
NEAR, FAR = 0, 1
"""The networks of the new port, and of the container that it pings."""


class Tenant:
    """A router, its networks, the endpoints in them and the container that is pinged."""

    def __init__(self, contender: Plait, subnets: int, endpoints: int) -> None:
        self.lab = contender.lab
        self.name = contender.name
        self.subnets = subnets
        self.interfaces = self.lab.frontend.run(self._make, timeout_s=600)
        ports = self.lab.frontend.run(lambda intent: self._populate(intent, endpoints), timeout_s=600)
        contender.announce(ports)
        self.far = self.container("far", "h2", FAR, 250)
        port = self.create(self.far, FAR)
        self.lab.frontend.run(lambda intent: intent.ports.wait_up(port, timeout_s=60))

    async def _make(self, intent: Intent) -> list[RouterInterface]:
        lease = await intent.store.grant(STUB_LEASE_S)
        hosts = [LiveHost(name=f"stub{number}", vtep=plan.stub_address(number)) for number in range(STUBS)]
        await intent.store.commit(
            [], [Put(keys.host(host.name), codec.encode(host), lease) for host in hosts]
        )
        await intent.routers.create("router")
        made = []
        for number in range(self.subnets):
            network = await intent.networks.create(_name(number), subnets=[f"10.{number}.0.0/24"])
            (subnet,) = await intent.subnets.list(network.id)
            made.append(await intent.interfaces.add("router", subnet.id))
        return made

    async def _populate(self, intent: Intent, endpoints: int) -> list[Port]:
        specs = [
            PortSpec(name=f"bg{network}-{number}", network=_name(network), host=f"stub{network % STUBS}")
            for network in range(self.subnets)
            for number in range(endpoints)
        ]
        return await intent.ports.create_many(specs)

    def container(self, name: str, host: str, network: int, last: int) -> Endpoint:
        """A container whose default route leads to the router, and that knows the router's MAC."""
        made = self.lab.plain_endpoint(
            name,
            host,
            mac=f"0a:02:00:00:{network:02x}:{last:02x}",
            addresses=(f"10.{network}.0.{last}/24",),
            mtu_bytes=plan.MTU_BYTES,
        )
        gateway = self.interfaces[network]
        made.exec("ip", "route", "add", "default", "via", gateway.address)
        made.exec(
            "ip",
            "neigh",
            "replace",
            gateway.address,
            "lladdr",
            gateway.mac,
            "dev",
            "eth0",
            "nud",
            "permanent",
        )
        return made

    def create(self, container: Endpoint, network: int) -> Port:
        """Create the container's port, and wait for nothing."""
        spec = PortSpec(
            name=container.name,
            network=_name(network),
            host=container.host.name,
            device=container.device,
            mac=container.mac,
            addresses=container.addresses,
        )
        return self.lab.frontend.run(lambda intent: intent.ports.create(spec))

    def forgotten(self) -> bool:
        """Whether the new host knows nothing of the router any more."""
        status = self.lab.host("h1").ask("status")
        return not (status["networks"] or status["endpoints"] or status["pending"])

    def arrive(self, number: int) -> tuple[Endpoint, float]:
        """A new container, and how many milliseconds its port took."""
        new = self.container(f"new{number}", "h1", NEAR, 10 + number % 200)
        pings = Pinger(new.namespace, [self.far.v4], interval_s=0.002).start()
        wait_calm([self.lab])
        began = time.monotonic()
        self.create(new, NEAR)
        if not pings.wait_answered(1, timeout_s=60):
            sys.exit(f"{self.name}: no ping after 60 s; {self.lab.host('h1').ask('status')}")
        at = pings.first_answered_at
        assert at is not None
        pings.stop(wait_s=0)
        return new, 1000 * (at - began)

    def leave(self, new: Endpoint) -> None:
        """As if it had never come."""
        self.lab.frontend.run(lambda intent: intent.ports.delete(new.name))
        new.remove()
        wait_until(self.forgotten, "h1 has forgotten the router", timeout_s=60)


def _name(number: int) -> str:
    return f"routed{number}"


def count(record: Record, tenant: Tenant, first: int, at: str) -> None:
    """What is sent and asked from the creation of a port until all has come to rest."""
    counted: dict[str, list[float]] = {}
    for number in range(first, first + COUNTED_RUNS):
        wait_calm([tenant.lab])
        before = totals(tenant)
        new, _ = tenant.arrive(number)
        wait_calm([tenant.lab])
        for what, total in totals(tenant).items():
            counted.setdefault(what, []).append(total - before[what])
        tenant.leave(new)
    for what, numbers in counted.items():
        record.add(f"router arrives, {what}", numbers, who=tenant.name, at=at, unit="")


def totals(tenant: Tenant) -> dict[str, float]:
    """Counters, by what they count. Source: etcd's /metrics."""
    found = {"flow-mods": float(tenant.lab.host("h1").ask("status")["sent"])}
    url = tenant.lab.settings.store_url
    if url.startswith("etcd://"):
        with urllib.request.urlopen(url.replace("etcd://", "http://") + "/metrics") as answer:
            said = answer.read().decode()
        for what, pattern in METRICS.items():
            values = re.findall(rf"^{pattern} (\S+)$", said, re.MULTILINE)
            found[what] = sum(map(float, values))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--subnets", type=int, default=200, help="of the router, each of a network; up to 250"
    )
    parser.add_argument("--endpoints", type=int, default=1, help="in each network, on other hosts")
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    record = Record("router")
    at = f"{options.subnets} subnets, {options.subnets * options.endpoints:,} endpoints"
    with ExitStack() as stack:
        tenants = [
            Tenant(
                stack.enter_context(plait(f"b{os.getpid()}-{store}", store)),
                options.subnets,
                options.endpoints,
            )
            for store in ("etcd", "sqlite")
        ]
        took: dict[str, list[float]] = {tenant.name: [] for tenant in tenants}
        for run in range(options.runs + 1):
            for tenant in tenants:
                new, ms = tenant.arrive(run)
                tenant.leave(new)
                if run:  # the first one also warms caches
                    took[tenant.name].append(ms)
        for name, values in took.items():
            record.add("router arrives", values, who=name, at=at, goal=at_most(GOAL_MS))
        for tenant in tenants:
            count(record, tenant, options.runs + 1, at)


if __name__ == "__main__":
    main()
