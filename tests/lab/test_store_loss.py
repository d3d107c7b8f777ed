"""The store goes away and comes back: traffic goes on, and afterwards nothing is stale or missing."""

from collections.abc import Iterator

import pytest
from tests.lab.conftest import lab_name

from plait.lab.lab import Lab
from plait.lab.pinger import Pinger
from plait.lab.waiting import wait_until

LEASE_TTL_S = 2


@pytest.fixture(scope="module")
def cluster() -> Iterator[Lab]:
    """Three hosts with an etcd, and leases that expire soon."""
    with Lab.up(lab_name(), hosts=3, store="etcd") as lab:
        lab.start_agents(lease_ttl_s=LEASE_TTL_S, reach_grace_s=3 * LEASE_TTL_S)
        lab.network("blue", "10.0.0.0/24", "fd00:10::/64")
        for host in lab.hosts:
            lab.endpoint(f"on-{host}", network="blue", host=host)
        yield lab


def test_traffic_goes_on_without_the_store_even_through_a_restart_of_the_agent(cluster: Lab) -> None:
    one, two, three = cluster.endpoints().values()
    pings = Pinger(one.namespace, [two.v4, three.v6], interval_s=0.001).start()
    assert pings.wait_answered(500)
    cluster.storage.stop()
    host = cluster.host("h1")
    host.kill_agent()
    host.start_agent(lease_ttl_s=LEASE_TTL_S, reach_grace_s=3 * LEASE_TTL_S)
    wait_until(lambda: "last view" in host.agent_log.read_text(), "the agent goes on with its last view")
    # Longer than any lease lasts.
    assert pings.wait_answered(int(3 * LEASE_TTL_S / 0.001), timeout_s=30)
    assert cluster.host("h1").ask("audit")["differences"] == []
    cluster.storage.start()
    cluster.wait_ready(*cluster.hosts)
    assert pings.wait_answered(1000)
    report = pings.stop()
    assert report.lost == 0, report
    wait_until(lambda: cluster.differences() == {}, "all agents agree with their switches")
    late = cluster.endpoint("late", network="blue", host="h1")
    assert late.ping(two.v4).lost == three.ping(late.v6).lost == 0
    late.delete()


def test_a_host_whose_lease_expires_has_its_endpoints_withdrawn_and_one_that_returns_has_them_back(
    cluster: Lab,
) -> None:
    one, two, _ = cluster.endpoints().values()
    dead = cluster.host("h2")
    assert one.ping(two.v4).lost == 0

    def knows_h2() -> bool:
        return any(dead.address in flow or two.mac in flow for flow in cluster.host("h1").switch.flows())

    before = cluster.host("h1").switch.flows()
    assert knows_h2() or _hex(dead.address) in " ".join(before)
    dead.kill_agent()
    wait_until(lambda: not one.reaches(two.v4), "the dead host's endpoint is withdrawn", timeout_s=30)
    assert cluster.host("h1").switch.flows() != before
    dead.start_agent(lease_ttl_s=LEASE_TTL_S)
    cluster.wait_ready("h2")
    wait_until(lambda: one.reaches(two.v4), "the returned host's endpoint is back")
    wait_until(lambda: cluster.host("h1").switch.flows() == before, "the flows are as they were")
    wait_until(lambda: cluster.differences() == {}, "all agents agree with their switches")


def _hex(address: str) -> str:
    return "0x" + "".join(f"{int(part):02x}" for part in address.split("."))
