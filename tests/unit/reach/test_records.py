"""Which record wins, and that nothing is told twice."""

import random

import pytest

from plait.model.entities import Endpoint, LiveHost
from plait.reach.api import Announced, Withdrawn
from plait.reach.liveness import Liveness
from plait.reach.records import Records


def endpoint(
    port: str, host: str, *, sequence: int = 0, network: str = "n", ip: str = "10.0.0.1"
) -> Endpoint:
    return Endpoint(
        network=network, port=port, mac="02:00:00:00:00:01", host=host, ips=(ip,), sequence=sequence
    )


@pytest.fixture
def records() -> Records:
    records = Records()
    for host in ("a", "b", "c"):
        records.host_up(host)
    return records


def test_the_higher_sequence_wins(records: Records) -> None:
    records.put(endpoint("p", "b", sequence=1))
    assert records.put(endpoint("p", "a", sequence=2)) == [Announced(endpoint("p", "a", sequence=2))]


def test_a_record_that_loses_is_no_event(records: Records) -> None:
    records.put(endpoint("p", "a", sequence=2))
    assert records.put(endpoint("p", "b", sequence=1)) == []
    assert records.remove("n", "p", "b") == []


def test_at_equal_sequence_the_greater_host_name_wins_in_either_order(records: Records) -> None:
    assert records.put(endpoint("p", "a")) == [Announced(endpoint("p", "a"))]
    assert records.put(endpoint("p", "b")) == [Announced(endpoint("p", "b"))]
    assert records.put(endpoint("p", "a")) == []


def test_the_same_record_again_is_no_event(records: Records) -> None:
    records.put(endpoint("p", "a"))
    assert records.put(endpoint("p", "a")) == []


def test_a_changed_address_is_told_at_the_same_sequence(records: Records) -> None:
    records.put(endpoint("p", "a"))
    assert records.put(endpoint("p", "a", ip="10.0.0.2")) == [Announced(endpoint("p", "a", ip="10.0.0.2"))]


def test_the_next_best_record_follows_when_the_winner_is_removed(records: Records) -> None:
    records.put(endpoint("p", "a", sequence=1))
    records.put(endpoint("p", "b", sequence=2))
    assert records.remove("n", "p", "b") == [Announced(endpoint("p", "a", sequence=1))]
    assert records.remove("n", "p", "a") == [Withdrawn("n", "p")]
    assert len(records) == 0


def test_a_dead_hosts_endpoints_are_withdrawn_and_come_back_with_it(records: Records) -> None:
    for port in ("p", "q"):
        records.put(endpoint(port, "a"))
    assert records.host_down("a") == [Withdrawn("n", "p"), Withdrawn("n", "q")]
    assert records.host_down("a") == []
    assert records.host_up("a") == [Announced(endpoint("p", "a")), Announced(endpoint("q", "a"))]
    assert records.host_up("a") == []


def test_a_dead_winner_leaves_the_port_to_the_living_claimant(records: Records) -> None:
    records.put(endpoint("p", "a", sequence=1))
    records.put(endpoint("p", "b", sequence=2))
    assert records.host_down("b") == [Announced(endpoint("p", "a", sequence=1))]
    assert records.host_up("b") == [Announced(endpoint("p", "b", sequence=2))]


def test_records_of_unknown_hosts_wait_for_them() -> None:
    records = Records()
    assert records.put(endpoint("p", "a")) == []
    assert records.host_up("a") == [Announced(endpoint("p", "a"))]


def test_a_forgotten_network_leaves_nothing_behind(records: Records) -> None:
    records.put(endpoint("p", "a", network="n"))
    records.put(endpoint("p", "a", network="m"))
    records.forget("n")
    assert len(records) == 1
    assert records.host_down("a") == [Withdrawn("m", "p")]


@pytest.mark.parametrize("seed", range(20))
def test_who_applies_the_events_knows_every_winner_and_hears_nothing_twice(seed: int) -> None:
    dice = random.Random(seed)
    records = Records()
    known: dict[tuple[str, str], Endpoint] = {}
    for _ in range(400):
        network, port, host = dice.choice("nm"), dice.choice("pqr"), dice.choice("abc")
        match dice.randrange(6):
            case 0:
                events = records.host_up(host)
            case 1:
                events = records.host_down(host)
            case 2:
                events = records.remove(network, port, host)
            case _:
                events = records.put(endpoint(port, host, network=network, sequence=dice.randrange(4)))
        for event in events:
            match event:
                case Announced(said):
                    assert known.get((said.network, said.port)) != said
                    known[said.network, said.port] = said
                case Withdrawn(network, port):
                    del known[network, port]
        winners = [winner for network in "nm" for winner in records.winners(network)]
        assert known == {(winner.network, winner.port): winner for winner in winners}


HOST = LiveHost(name="a", vtep="172.16.0.1")


def test_a_host_dies_when_its_record_goes() -> None:
    hosts = Liveness(grace_s=10)
    assert hosts.seen(HOST) == [("a", HOST)]
    assert hosts.seen(HOST) == []
    assert hosts.gone("a", now=1) == [("a", None)]
    assert hosts.gone("a", now=2) == []


def test_after_an_outage_a_host_may_renew_its_record_before_it_counts_as_dead() -> None:
    hosts = Liveness(grace_s=10)
    hosts.seen(HOST)
    hosts.outage_began()
    hosts.outage_ended(now=100)
    assert hosts.gone("a", now=101) == []
    assert hosts.next_deadline() == 110
    assert hosts.tick(now=109) == []
    assert hosts.seen(HOST) == []
    assert hosts.next_deadline() is None


def test_a_host_that_does_not_return_within_the_grace_is_dead() -> None:
    hosts = Liveness(grace_s=10)
    hosts.seen(HOST)
    hosts.outage_began()
    hosts.outage_ended(now=100)
    hosts.gone("a", now=101)
    assert hosts.tick(now=110) == [("a", None)]
    assert hosts.next_deadline() is None


def test_nobody_dies_while_the_store_is_away() -> None:
    hosts = Liveness(grace_s=10)
    hosts.seen(HOST)
    hosts.outage_began()
    hosts.outage_ended(now=100)
    hosts.gone("a", now=101)
    hosts.outage_began()
    assert hosts.next_deadline() is None
    assert hosts.tick(now=200) == []
    hosts.outage_ended(now=300)
    assert hosts.tick(now=310) == [("a", None)]
