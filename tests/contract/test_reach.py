"""What every reach plane promises. A plane takes part by a `Cluster` of its own in `PLANES`."""

from contextlib import aclosing

import pytest

from plait.reach.api import Announced, InSync, Interest, Left, Withdrawn

from .reach_clusters import endpoint, several_turns


async def test_what_is_announced_is_heard_elsewhere_and_what_is_withdrawn_is_forgotten(
    cluster, listen
) -> None:
    await cluster.begin("a")
    listener = listen(cluster.plane("b"), "n")
    await listener.until_in_sync("n")
    owner = cluster.plane("a")
    await owner.announce(endpoint("p", "a"))
    await listener.until_known(endpoint("p", "a"))
    await owner.withdraw(endpoint("p", "a"))
    await listener.until_known()
    assert listener.heard == [InSync("n"), Announced(endpoint("p", "a")), Withdrawn("n", "p")]


async def test_announcing_what_stands_tells_nothing(cluster, listen) -> None:
    await cluster.begin("a")
    owner = cluster.plane("a")
    listener = listen(cluster.plane("b"), "n")
    for _ in range(3):
        await owner.announce(endpoint("p", "a"))
    await owner.announce(endpoint("q", "a"))
    await listener.until_known(endpoint("p", "a"), endpoint("q", "a"))
    assert listener.heard.count(Announced(endpoint("p", "a"))) == 1


async def test_a_change_of_addresses_is_heard(cluster, listen) -> None:
    await cluster.begin("a")
    owner = cluster.plane("a")
    listener = listen(cluster.plane("b"), "n")
    await owner.announce(endpoint("p", "a"))
    await owner.announce(endpoint("p", "a", ip="10.0.0.9"))
    await listener.until_known(endpoint("p", "a", ip="10.0.0.9"))


async def test_a_late_joiner_hears_everything_before_it_is_in_sync(cluster, listen) -> None:
    await cluster.begin("a")
    owner = cluster.plane("a")
    for port in ("p", "q"):
        await owner.announce(endpoint(port, "a"))
    listener = listen(cluster.plane("b"), "n")
    await listener.until_in_sync("n")
    assert set(listener.known) == {("n", "p"), ("n", "q")}
    assert listener.heard[-1] == InSync("n")


async def test_a_move_is_one_event_and_the_old_owners_withdrawal_is_none(cluster, listen) -> None:
    for host in ("a", "b"):
        await cluster.begin(host)
    old, new = cluster.plane("b"), cluster.plane("a")
    listener = listen(cluster.plane("c"), "n")
    await old.announce(endpoint("p", "b", sequence=1))
    await listener.until_known(endpoint("p", "b", sequence=1))
    await new.announce(endpoint("p", "a", sequence=2))
    await listener.until_known(endpoint("p", "a", sequence=2))
    await old.withdraw(endpoint("p", "b", sequence=1))
    await new.announce(endpoint("end", "a"))
    await listener.until_known(endpoint("p", "a", sequence=2), endpoint("end", "a"))
    assert not any(isinstance(event, Withdrawn) for event in listener.heard)


async def test_of_two_owners_everybody_believes_the_same(cluster, listen) -> None:
    for host in ("a", "b"):
        await cluster.begin(host)
    owners = {host: cluster.plane(host) for host in ("a", "b")}
    early = listen(cluster.plane("c"), "n")
    for host in ("b", "a"):
        await owners[host].announce(endpoint("p", host, sequence=3))
    late = listen(cluster.plane("d"), "n")
    for listener in (early, late):
        await listener.until_known(endpoint("p", "b", sequence=3))


async def test_a_withdrawal_never_touches_another_hosts_record(cluster, listen) -> None:
    for host in ("a", "b"):
        await cluster.begin(host)
    await cluster.plane("a").announce(endpoint("p", "a"))
    with pytest.raises(ValueError, match="only 'b' speaks here"):
        await cluster.plane("b").withdraw(endpoint("p", "a"))
    with pytest.raises(ValueError, match="only 'b' speaks here"):
        await cluster.plane("b").announce(endpoint("p", "a"))
    await cluster.plane("b").withdraw(endpoint("p", "b"))
    listener = listen(cluster.plane("c"), "n")
    await listener.until_known(endpoint("p", "a"))


async def test_a_dead_hosts_endpoints_are_withdrawn_and_return_with_it(cluster, listen) -> None:
    for host in ("a", "b"):
        await cluster.begin(host)
    await cluster.plane("a").announce(endpoint("p", "a"))
    await cluster.plane("b").announce(endpoint("q", "b"))
    listener = listen(cluster.plane("c"), "n")
    await listener.until_known(endpoint("p", "a"), endpoint("q", "b"))
    await cluster.die("a")
    await listener.until_known(endpoint("q", "b"))
    await cluster.begin("a")
    await listener.until_known(endpoint("p", "a"), endpoint("q", "b"))


async def test_endpoints_of_a_host_that_was_never_alive_are_not_told(cluster, listen) -> None:
    await cluster.plane("ghost").announce(endpoint("p", "ghost"))
    listener = listen(cluster.plane("c"), "n")
    await listener.until_in_sync("n")
    assert listener.known == {}
    await cluster.begin("ghost")
    await listener.until_known(endpoint("p", "ghost"))


async def test_a_restarted_owner_goes_on_where_it_was(cluster, listen) -> None:
    await cluster.begin("a")
    listener = listen(cluster.plane("b"), "n")
    await cluster.plane("a").announce(endpoint("p", "a", sequence=1))
    await listener.until_known(endpoint("p", "a", sequence=1))
    restarted = cluster.plane("a")
    await restarted.announce(endpoint("p", "a", sequence=1))
    await restarted.withdraw(endpoint("p", "a", sequence=1))
    await listener.until_known()
    assert [type(event) for event in listener.heard if not isinstance(event, InSync)] == [
        Announced,
        Withdrawn,
    ]


async def test_interest_that_grows_is_told_and_of_interest_that_goes_nothing_comes_but_that_it_was_left(
    cluster, listen
) -> None:
    await cluster.begin("a")
    owner = cluster.plane("a")
    await owner.announce(endpoint("p", "a", network="n"))
    await owner.announce(endpoint("p", "a", network="m"))
    listener = listen(cluster.plane("b"), "n")
    await listener.until_in_sync("n")
    listener.interest.set(frozenset({"m"}))
    await listener.until_in_sync("m")
    assert listener.heard.count(Left("n")) == 1
    heard = len(listener.heard)
    await owner.withdraw(endpoint("p", "a", network="n"))
    await owner.withdraw(endpoint("p", "a", network="m"))
    await listener.until(lambda seen: len(seen.heard) > heard)
    assert listener.heard[heard:] == [Withdrawn("m", "p")]


async def test_interest_that_returns_is_told_from_the_start(cluster, listen) -> None:
    await cluster.begin("a")
    await cluster.plane("a").announce(endpoint("p", "a"))
    listener = listen(cluster.plane("b"), "n")
    await listener.until_in_sync("n")
    listener.interest.set(frozenset({"other"}))
    await listener.until_in_sync("other")
    listener.heard.clear()
    listener.interest.set(frozenset({"n"}))
    await listener.until_in_sync("n")
    assert listener.heard == [Left("other"), Announced(endpoint("p", "a")), InSync("n")]


async def test_what_was_on_its_way_when_interest_went_is_not_told(cluster) -> None:
    await cluster.begin("a")
    owner, interest = cluster.plane("a"), Interest()
    interest.set(frozenset({"n"}))
    async with aclosing(cluster.plane("b").events(interest)) as events:
        assert await anext(events) == InSync("n")
        await several_turns()
        interest.set(frozenset({"m"}))
        await several_turns()
        await owner.announce(endpoint("p", "a"))
        await several_turns()
        assert [await anext(events), await anext(events)] == [Left("n"), InSync("m")]


async def test_a_host_hears_and_pays_nothing_for_networks_that_it_has_no_part_in(cluster, listen) -> None:
    await cluster.begin("a")
    listener = listen(cluster.plane("b"), "mine")
    await listener.until_in_sync("mine")
    paid = cluster.cost("b")
    owner = cluster.plane("a")
    for number in range(100):
        await owner.announce(endpoint(f"p{number}", "a", network="foreign"))
        await owner.withdraw(endpoint(f"p{number}", "a", network="foreign"))
    assert cluster.cost("b") == paid
    await owner.announce(endpoint("p", "a", network="mine"))
    await listener.until_known(endpoint("p", "a", network="mine"))
    assert cluster.cost("b") == paid + 1


async def test_ten_thousand_endpoints_are_heard_by_a_late_joiner_and_by_an_early_one(cluster, listen) -> None:
    await cluster.begin("a")
    early = listen(cluster.plane("b"), "n")
    await early.until_in_sync("n")
    endpoints = [endpoint(f"p{number}", "a") for number in range(10_000)]
    await cluster.plane("a").announce_many(endpoints)
    late = listen(cluster.plane("c"), "n")
    for listener in (early, late):
        await listener.until_known(*endpoints)
    await cluster.die("a")
    for listener in (early, late):
        await listener.until_known()
