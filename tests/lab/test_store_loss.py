"""The store goes away and comes back: traffic goes on, and afterwards nothing is stale or missing."""

import time
from collections.abc import Iterator

import pytest
from tests.lab.assigning import asked
from tests.lab.conftest import lab_name

from plait.agent.api import CallFailed
from plait.lab.host import LabHost
from plait.lab.lab import Lab
from plait.lab.pinger import Pinger
from plait.lab.streams import TcpStream
from plait.lab.waiting import wait_until
from plait.wire.dhcp import Kind

LEASE_TTL_S = 2
OPTIONS = {"lease_ttl_s": LEASE_TTL_S, "reach_grace_s": 3 * LEASE_TTL_S}
OUTAGE_S = 60


@pytest.fixture(scope="module")
def cluster() -> Iterator[Lab]:
    """Three hosts with an etcd, and leases that expire soon."""
    with Lab.up(lab_name(), hosts=3, store="etcd") as lab:
        lab.start_agents(**OPTIONS)
        lab.network("blue", "10.0.0.0/24", "fd00:10::/64")
        for host in lab.hosts:
            lab.endpoint(f"on-{host}", network="blue", host=host)
        yield lab


def test_a_minute_without_the_store_loses_no_packet_through_restarts_of_an_agent_and_of_containers(
    cluster: Lab,
) -> None:
    one, two, three = cluster.endpoints().values()
    pings = Pinger(one.namespace, [two.v4, two.v6], interval_s=0.001).start()
    stream = TcpStream(two.namespace, one.namespace, one.v4).start()
    assert pings.wait_answered(500)
    began = time.monotonic()
    cluster.storage.stop()

    restarted = cluster.host("h1")
    restarted.kill_agent()
    restarted.start_agent(**OPTIONS)
    wait_until(lambda: _is_in_step(restarted), "the agent goes on with its last view")
    # A container stops and starts again: its device is another one, its port is known from before.
    three.relink(three.host)
    three.configure(three.plug)
    wait_until(lambda: three.ping(one.v4, count=1).lost == 0, "the container is plugged in again")
    assert all(one.ping(address).lost == 0 for address in three.addresses)
    assert all(asked(end, Kind.DISCOVER) is not None for end in (one, two, three))

    while time.monotonic() < began + OUTAGE_S:
        assert pings.wait_answered(500)
    assert restarted.ask("audit")["differences"] == []
    cluster.storage.start()
    cluster.wait_ready(*cluster.hosts)
    assert pings.wait_answered(int(3 * LEASE_TTL_S / 0.001), timeout_s=60)
    report = pings.stop(wait_s=10)
    assert report.lost == 0, report
    assert report.sent > OUTAGE_S / 0.001 / 2
    assert stream.stop().whole
    wait_until(lambda: cluster.differences() == {}, "all agents agree with their switches")
    late = cluster.endpoint("late", network="blue", host="h1")
    assert two.ping(late.v4).lost == late.ping(three.v6).lost == 0
    late.delete()


def _is_in_step(host: LabHost) -> bool:
    try:
        audit = host.ask("audit")
    except CallFailed:
        return False
    return audit["flows"] > 0 and not audit["pending"] and not audit["differences"]


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
    dead.start_agent(**OPTIONS)
    cluster.wait_ready("h2")
    wait_until(lambda: one.reaches(two.v4), "the returned host's endpoint is back")
    wait_until(lambda: cluster.host("h1").switch.flows() == before, "the flows are as they were")
    wait_until(lambda: cluster.differences() == {}, "all agents agree with their switches")


def _hex(address: str) -> str:
    return "0x" + "".join(f"{int(part):02x}" for part in address.split("."))
