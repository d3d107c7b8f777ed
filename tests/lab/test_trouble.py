"""What rarely happens and must not hurt: agents that sleep, two of one name, a store from a backup."""

import shutil
import signal
from collections.abc import Iterator

import pytest
from tests.lab.conftest import lab_name

from plait.intent import audit
from plait.lab.lab import Lab
from plait.lab.pinger import Pinger
from plait.lab.waiting import wait_until

OPTIONS: dict[str, str | int | float | bool] = {"lease_ttl_s": 2, "reach_grace_s": 4, "stopped_ttl_s": 600}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Lab]:
    """Three hosts with an etcd and leases that expire soon; the third is free."""
    with Lab.up(lab_name(), hosts=3, store="etcd") as lab:
        for name in ("h1", "h2"):
            lab.host(name).start_agent(**OPTIONS)
        lab.wait_ready("h1", "h2")
        lab.network("blue", "10.0.0.0/24")
        for name in ("h1", "h2"):
            lab.endpoint(f"on-{name}", network="blue", host=name)
        yield lab


def is_sound(lab: Lab) -> bool:
    audits = [lab.host(name).ask("audit") for name in ("h1", "h2")]
    agree = not any(audit["differences"] or audit["pending"] for audit in audits)
    return agree and not lab.frontend.run(lambda intent: audit(intent.store))


def test_an_agent_that_slept_for_longer_than_its_lease_is_alive_again_and_its_endpoints_are_back(
    cluster: Lab,
) -> None:
    one, two = cluster.endpoints()["on-h1"], cluster.endpoints()["on-h2"]
    agent = cluster.host("h2").agent
    assert agent is not None
    agent.id.signal(signal.SIGSTOP)
    try:
        wait_until(lambda: not one.reaches(two.v4), "the sleeper's endpoint is withdrawn", timeout_s=30)
    finally:
        agent.id.signal(signal.SIGCONT)
    cluster.wait_ready("h1", "h2")
    wait_until(lambda: one.reaches(two.v4), "the endpoint is back")
    wait_until(lambda: is_sound(cluster), "all is as before")


def test_a_host_whose_agent_is_stopped_stays_alive_and_reachable(cluster: Lab) -> None:
    one, two = cluster.endpoints()["on-h1"], cluster.endpoints()["on-h2"]
    pings = Pinger(one.namespace, [two.v4], interval_s=0.002).start()
    cluster.host("h2").kill_agent(signal.SIGTERM)
    # Longer than the lease of an agent that runs.
    assert pings.wait_answered(int(2 * float(OPTIONS["lease_ttl_s"]) / 0.002), timeout_s=30)
    cluster.host("h2").start_agent(**OPTIONS)
    cluster.wait_ready("h1", "h2")
    assert pings.wait_answered(200)
    assert pings.stop().lost == 0


def test_a_second_agent_of_one_name_says_so_and_disturbs_nobody_until_the_first_is_gone(cluster: Lab) -> None:
    one, two = cluster.endpoints()["on-h1"], cluster.endpoints()["on-h2"]
    stranger = cluster.host("h3")
    pings = Pinger(one.namespace, [two.v4], interval_s=0.002).start()
    stranger.start_agent(**OPTIONS | {"host": "h2"})

    def trouble() -> str:
        return str(stranger.ask("status")["components"].get("host name", ""))

    wait_until(lambda: stranger.agent_socket.exists() and "another agent" in trouble(), "it says so")
    assert cluster.host("h2").address in trouble()
    assert stranger.ask("status")["flows"] == 0
    assert pings.wait_answered(500)
    cluster.wait_ready("h1", "h2")
    stranger.kill_agent()
    assert pings.stop().lost == 0
    wait_until(lambda: is_sound(cluster), "nothing was disturbed")


def test_a_store_that_comes_back_from_a_backup_is_what_counts_and_is_told_what_it_forgot(
    cluster: Lab,
) -> None:
    one, two = cluster.endpoints()["on-h1"], cluster.endpoints()["on-h2"]
    data, backup = cluster.directory / "etcd", cluster.directory / "etcd.backup"
    doomed = cluster.endpoint("doomed", network="blue", host="h2")
    cluster.storage.stop(signal.SIGTERM)
    shutil.copytree(data, backup)
    cluster.storage.start()
    cluster.wait_ready("h1", "h2")
    doomed.delete()
    late = cluster.endpoint("late", network="blue", host="h1")
    assert late.ping(two.v4).lost == 0
    pings = Pinger(one.namespace, [two.v4], interval_s=0.002).start()
    cluster.storage.stop()
    shutil.rmtree(data)
    backup.rename(data)
    cluster.storage.start()
    cluster.wait_ready("h1", "h2")
    wait_until(lambda: not late.reaches(two.v4), "what the backup does not know is gone", timeout_s=30)

    def ports() -> set[str]:
        return {port.name for port in cluster.frontend.run(lambda intent: intent.ports.list())}

    assert ports() == {"on-h1", "on-h2", "doomed"}
    cluster.frontend.run(lambda intent: intent.ports.delete("doomed"))
    wait_until(
        lambda: is_sound(cluster), "the store holds what follows from it, and agents agree", timeout_s=30
    )
    assert pings.wait_answered(200)
    assert pings.stop().lost == 0
    late.remove()
