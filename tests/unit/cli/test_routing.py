"""`plait router` and what it says when something can't be."""

import pytest


@pytest.fixture(autouse=True)
def things(plait) -> None:
    plait.ok("network", "create", "web", "--subnet", "10.0.0.0/24")
    plait.ok("subnet", "create", "fd00::/64", "--network", "web", "--name", "six")
    plait.ok("network", "create", "db")
    plait.ok("subnet", "create", "10.1.0.0/24", "--network", "db", "--name", "db4")
    plait.ok("subnet", "create", "10.7.0.0/24", "--network", "db", "--name", "bare", "--no-gateway")
    plait.ok("network", "create", "twin")
    plait.ok("subnet", "create", "10.1.0.0/16", "--network", "twin", "--name", "wide")
    plait.ok("router", "create", "edge")
    plait.ok("router", "interface", "add", "edge", "db4", "six")
    plait.ok("router", "create", "second")
    plait.ok("-p", "other", "router", "create", "theirs")
    plait.ok("port", "create", "a", "--network", "db", "--subnet", "db4")
    plait.ok("router", "route", "add", "edge", "10.8.0.0/16", "--next-hop", "10.1.0.9")


def test_a_router_is_shown_with_all_that_it_joins(plait) -> None:
    plait.ok("router", "peer", "add", "edge", "other/theirs")
    plait.ok("-p", "other", "router", "peer", "add", "theirs", "default/edge")
    plait.ok("router", "route", "add", "edge", "10.9.0.0/16", "--via", "other/theirs")
    shown = plait.ok("router", "show", "edge", "-o", "json").json
    assert [(each["address"], each["network"]) for each in shown["interfaces"]] == [
        ("10.1.0.1", "db"),
        ("fd00::1", "web"),
    ]
    assert shown["routes"] == [
        {"destination": "10.8.0.0/16", "next_hops": ["10.1.0.9"], "router": None},
        {"destination": "10.9.0.0/16", "next_hops": [], "router": "other/theirs"},
    ]
    assert [(each["name"], each["state"]) for each in shown["peers"]] == [("other/theirs", "joined")]
    lines = plait.ok("router", "show", "edge").out.splitlines()
    assert lines[4:7] == ["", "interfaces", "ADDRESS   SUBNET       NETWORK  MAC"]
    assert plait.ok("router", "list").out.splitlines()[1].split()[3:] == [
        "10.1.0.0/24,fd00::/64",
        "10.8.0.0/16,10.9.0.0/16",
    ]
    assert plait.ok("router", "peer", "list", "edge").out.splitlines()[1].split()[:2] == [
        "other/theirs",
        "joined",
    ]


def test_a_peering_waits_for_the_other_side(plait) -> None:
    made = plait.ok("router", "peer", "add", "edge", "other/theirs", "-o", "json").json
    assert (made["name"], made["state"]) == ("other/theirs", "waiting")
    listed = plait.ok("-p", "other", "router", "peer", "list", "theirs", "-o", "json").json
    assert [(each["name"], each["state"]) for each in listed] == [("default/edge", "asked")]
    assert plait.ok("router", "peer", "remove", "edge", "other/theirs").out == (
        "peering of router edge to router other/theirs deleted\n"
    )


def test_a_router_is_put_on_all_subnets_of_a_network_at_once(plait, refused) -> None:
    plait.ok("router", "create", "whole")
    plait.ok("network", "create", "office", "--subnet", "10.50.0.0/24", "--subnet", "fd50::/64")
    plait.ok("router", "interface", "add", "whole", "--network", "office")
    shown = plait.ok("router", "show", "whole", "-o", "json").json
    assert [each["address"] for each in shown["interfaces"]] == ["10.50.0.1", "fd50::1"]
    refused("router", "interface", "add", "whole", code=2, says="--network NETWORK for all subnets")


def test_a_router_goes_with_its_interfaces_if_told_so(plait) -> None:
    removed = plait.ok("router", "interface", "remove", "edge", "fd00::/64")
    assert removed.out == "interface fd00::/64 of router edge deleted\n"
    plait.ok("router", "set", "edge", "--name", "core")
    plait.ok(
        "router", "route", "add", "core", "0.0.0.0/0", "--next-hop", "10.1.0.7", "--next-hop", "10.1.0.8"
    )
    plait.ok("router", "route", "remove", "core", "0.0.0.0/0")
    assert plait.ok("router", "delete", "core", "second", "--force").out == (
        "router core deleted\nrouter second deleted\n"
    )
    assert plait.audit() == []


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("router create edge", "there is a router 'edge' in project 'default' already"),
        ("router create b --vni 4096", "VNI 4096 is taken by network"),
        ("router show nope", "there is no router 'nope' in project 'default'"),
        ("router delete edge", "router 'edge' is on 2 subnets (10.1.0.0/24, fd00::/64): remove these first"),
        ("router interface add edge db4", "router 'edge' is on subnet 10.1.0.0/24 already, at 10.1.0.1"),
        (
            "router interface add edge wide",
            "subnets 10.1.0.0/16 and 10.1.0.0/24 overlap, and both would be on",
        ),
        ("router interface add second db4", "has the gateway 10.1.0.1 of subnet 10.1.0.0/24: choose another"),
        ("router interface add second db4 --address 10.1.0.2", "address 10.1.0.2 is taken by port 'a'"),
        ("router interface add second db4 --address 10.2.0.2", "10.2.0.2 lies outside 10.1.0.0/24"),
        ("router interface add second bare", "subnet 10.7.0.0/24 has no gateway"),
        ("router interface add second nope", "there is no subnet 'nope'"),
        ("-p other router interface add theirs db4", "there is no subnet 'db4' in project 'other'"),
        ("router interface remove edge bare", "router 'edge' is not on subnet 'bare'"),
        ("router interface remove edge db4", "route 10.8.0.0/16 of router 'edge' goes by 10.1.0.9"),
        (
            "router route add edge 10.9.0.0/16 --next-hop 10.2.0.9",
            "10.2.0.9 lies in no subnet of router 'edge'",
        ),
        ("router route add edge 10.9.0.0/16 --next-hop fd00::9", "are of two families"),
        ("router route add edge 10.9.0.1/16 --next-hop 10.1.0.9", "did you mean 10.9.0.0/16?"),
        (
            "router route add edge 10.8.0.0/16 --next-hop 10.1.0.8",
            "router 'edge' has a route for 10.8.0.0/16",
        ),
        ("router route add edge 10.9.0.0/16 --via second", "router 'edge' is not joined to router 'second'"),
        ("router route remove edge 10.9.0.0/16", "router 'edge' has no route for 10.9.0.0/16"),
        ("router peer add edge edge", "router 'edge' can't be joined to itself"),
        ("router peer add edge other/nope", "there is no router 'nope' in project 'other'"),
        ("router peer remove edge second", "router 'edge' does not ask to be joined to router 'second'"),
        ("subnet delete db4", "subnet 10.1.0.0/24 is joined to router 'edge'"),
        ("subnet set db4 --gateway 10.1.0.7", "has the gateway 10.1.0.1 of subnet 10.1.0.0/24"),
        ("network delete db --force", "network 'db' is joined to 1 router (edge)"),
    ],
)
def test_what_can_not_be_is_refused_in_one_line(refused, command: str, says: str) -> None:
    refused(*command.split(), says=says)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("router route add edge 10.9.0.0/16", "a route needs either --next-hop or --via"),
        ("router route add edge 10.9.0.0/16 --via second --next-hop 10.1.0.9", "either --next-hop or --via"),
        ("router interface add edge bare wide --address 10.7.0.9", "--address is for one subnet"),
        ("router set edge", "Missing option '--name'"),
    ],
)
def test_a_wrong_call_is_refused_in_one_line(refused, command: str, says: str) -> None:
    refused(*command.split(), code=2, says=says)


def test_a_route_through_a_router_that_has_not_agreed_is_refused(plait, refused) -> None:
    plait.ok("router", "peer", "add", "edge", "other/theirs")
    refused(
        "router",
        "route",
        "add",
        "edge",
        "10.9.0.0/16",
        "--via",
        "other/theirs",
        says="router 'other/theirs' has not agreed to be joined to router 'edge': "
        "it waits for 'plait -p other router peer add theirs default/edge'",
    )


def test_routes_that_go_round_are_refused(plait, refused) -> None:
    plait.ok("router", "peer", "add", "edge", "second")
    plait.ok("router", "peer", "add", "second", "edge")
    plait.ok("router", "route", "add", "edge", "10.9.0.0/16", "--via", "second")
    refused(
        "router",
        "route",
        "add",
        "second",
        "10.9.0.0/16",
        "--via",
        "edge",
        says="packets would go round in a circle: second -> edge -> second",
    )
    refused("router", "interface", "add", "second", "wide", says="10.1.0.0/16 of router 'second'")
