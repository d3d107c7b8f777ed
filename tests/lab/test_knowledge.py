"""What a host knows: all that its endpoints' routers and groups come to, and nothing else."""

import re
import urllib.request
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from tests.lab.conftest import lab_name

from plait.agent.api import CallFailed
from plait.intent import Intent
from plait.lab.endpoint import Endpoint
from plait.lab.flowwatch import FlowWatch
from plait.lab.host import LabHost
from plait.lab.lab import Lab
from plait.lab.pinger import Pinger
from plait.lab.streams import TcpStream
from plait.lab.waiting import wait_until
from plait.model.policy import Direction, Protocol

NETWORKS = {"web": 1, "app": 2, "db": 3}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Lab]:
    """Three hosts with an etcd."""
    with Lab.up(lab_name(), hosts=3, store="etcd") as lab:
        lab.start_agents()
        yield lab


class Tenant:
    """Routers r (web, app) and s (db), joined; a filtered endpoint in web on h1, and one in db on h2."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        lab.frontend.run(self._make)
        self.web = self._endpoint("on-web", "web", "h1", ("guarded",))
        self.db = self._endpoint("on-db", "db", "h2", ())

    async def _make(self, intent: Intent) -> None:
        for router in ("r", "s"):
            await intent.routers.create(router)
        for name, number in NETWORKS.items():
            prefixes = [f"10.{number}.0.0/24", f"fd00:{number}::/64"]
            network = await intent.networks.create(name, subnets=prefixes)
            for subnet in await intent.subnets.list(network.id):
                await intent.interfaces.add("s" if name == "db" else "r", subnet.id)
        await intent.peerings.add("r", "s")
        await intent.peerings.add("s", "r")
        await intent.address_groups.create("dbs", ["10.3.0.0/24", "fd00:3::/64"])
        await intent.groups.create("guarded", isolated=True)
        await intent.rules.add("guarded", Direction.INGRESS, address_group="dbs")
        await intent.rules.add("guarded", Direction.INGRESS, protocol=Protocol.TCP, cidr="10.9.0.0/16")

    def _endpoint(self, name: str, network: str, host: str, groups: tuple[str, ...]) -> Endpoint:
        made = self.lab.endpoint(name, network=network, host=host, groups=groups)
        for gateway in (f"10.{NETWORKS[network]}.0.1", f"fd00:{NETWORKS[network]}::1"):
            made.exec("ip", "route", "add", "default", "via", gateway)
        return made

    def leave(self) -> None:
        for end in (self.web, self.db):
            end.delete()

    def remove(self) -> None:
        self.leave()
        self.lab.frontend.run(self._remove)

    async def _remove(self, intent: Intent) -> None:
        for router in ("r", "s"):
            await intent.routers.delete(router, cascade=True)
        for network in NETWORKS:
            await intent.networks.delete(network, cascade=True)
        await intent.groups.delete("guarded")
        await intent.address_groups.delete("dbs")


@pytest.fixture
def tenant(cluster: Lab) -> Iterator[Tenant]:
    made = Tenant(cluster)
    yield made
    made.remove()
    wait_until(partial(_knows, cluster.host("h1"), networks=0), "h1 has forgotten the tenant")


def known(host: LabHost) -> dict[str, Any]:
    """How much a host knows, and how much it has told its switch."""
    status = host.ask("status")
    assert status["awaited"] == []
    return {what: status[what] for what in ("networks", "endpoints", "own_ports", "flows", "sent", "pending")}


def _knows(host: LabHost, **numbers: int) -> bool:
    return known(host).items() >= numbers.items()


def _has_flows(host: LabHost, flows: list[str]) -> bool:
    return host.switch.flows() == flows


def watches(lab: Lab) -> int:
    """How many watches etcd has. Source: its /metrics."""
    with urllib.request.urlopen(lab.settings.store_url.replace("etcd://", "http://") + "/metrics") as answer:
        found = re.search(r"^etcd_debugging_mvcc_watcher_total (\S+)$", answer.read().decode(), re.MULTILINE)
    assert found is not None
    return int(float(found[1]))


def wait_reached(tenant: Tenant) -> None:
    for address in tenant.db.addresses:
        target = address.partition("/")[0]
        wait_until(partial(tenant.web.reaches, target), f"{target} is reached")


def test_a_host_follows_what_its_endpoints_need_and_a_host_without_any_is_told_nothing(cluster: Lab) -> None:
    before = {name: known(host) for name, host in cluster.hosts.items()}
    watched = watches(cluster)
    flows = {name: host.switch.flows() for name, host in cluster.hosts.items()}
    tenant = Tenant(cluster)
    wait_reached(tenant)
    # Three networks with their endpoints, and two routers, each on both hosts; one group with its addresses.
    wait_until(lambda: watches(cluster) == watched + 2 * (3 + 3 + 2) + 2, "everything is followed")
    for name in ("h1", "h2"):
        wait_until(partial(_knows, cluster.host(name), endpoints=2, networks=3), f"{name} knows all of it")
    assert known(cluster.host("h3")) == before["h3"]
    tenant.leave()
    wait_until(lambda: watches(cluster) == watched, "nothing is followed any more")
    for name, host in cluster.hosts.items():
        wait_until(partial(_has_flows, host, flows[name]), f"{name} is as it was")
        assert known(host) | {"sent": 0} == before[name] | {"sent": 0}
    assert known(cluster.host("h3")) == before["h3"]
    tenant.remove()


def test_a_router_that_is_left_takes_along_all_that_it_led_to(cluster: Lab, tenant: Tenant) -> None:
    wait_reached(tenant)
    host = cluster.host("h1")
    cluster.frontend.run(lambda intent: intent.peerings.remove("s", "r"))
    wait_until(partial(_knows, host, networks=2), "h1 has forgotten what s leads to")
    assert not any(tenant.db.mac in flow for flow in host.switch.flows())
    assert not any(tenant.web.reaches(address.partition("/")[0]) for address in tenant.db.addresses)
    cluster.frontend.run(lambda intent: intent.peerings.add("s", "r"))
    wait_reached(tenant)
    cluster.frontend.run(lambda intent: intent.routers.delete("r", cascade=True))
    wait_until(partial(_knows, host, networks=1), "h1 knows its own network alone")
    cluster.frontend.run(lambda intent: intent.routers.create("r"))
    assert cluster.differences() == {}


def test_an_agent_that_starts_without_the_store_changes_nothing_about_routes_and_rules(
    cluster: Lab, tenant: Tenant
) -> None:
    wait_reached(tenant)
    host = cluster.host("h1")
    flows = host.switch.flows()
    pings = Pinger(tenant.db.namespace, [tenant.web.v4, tenant.web.v6], interval_s=0.002).start()
    stream = TcpStream(tenant.db.namespace, tenant.web.namespace, tenant.web.v6).start()
    assert pings.wait_answered(100)
    watch = FlowWatch.start(host)
    cluster.storage.stop()
    host.kill_agent()
    host.start_agent()
    wait_until(lambda: _is_in_step(host), "the agent goes on with its last view", timeout_s=60)
    assert pings.wait_answered(500)
    assert stream.wait_received(1 << 18)
    cluster.storage.start()
    cluster.wait_ready(*cluster.hosts)
    assert pings.wait_answered(500)
    assert watch.stop() == []
    report = pings.stop(wait_s=10)
    assert report.lost == 0, report
    assert stream.stop().whole
    assert host.switch.flows() == flows
    assert cluster.differences() == {}


def _is_in_step(host: LabHost) -> bool:
    try:
        audit = host.ask("audit")
    except CallFailed:
        return False
    return audit["flows"] > 0 and not audit["pending"] and not audit["differences"]
