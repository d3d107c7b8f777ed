"""`plait why`, and `plait trace` across routers and policies, from a store that agents have written to."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import msgspec
import pytest

from plait.intent import records
from plait.intent.why import Question, why
from plait.model.codec import encode
from plait.model.entities import LiveHost, Port
from plait.model.policy import Protocol
from plait.store import keys
from plait.store.api import Delete, Put, Snapshot, Store
from plait.store.open import open_store

from .living import port_of, say_up

VTEPS = {"h1": "172.16.0.1", "h2": "172.16.0.2"}
MANY = 10_000


@pytest.fixture
def world(plait):
    """Router r joins web (a on h1, b on h2) and data (d on h2); other (o on h1) is on a router of its own.

    a is in group clients, d in group servers; servers let clients in to TCP 443 and UDP 53, and nobody else.
    """
    for host, vtep in VTEPS.items():
        plait.ok("host", "create", host)
        plait.put(Put(keys.host(host), encode(LiveHost(name=host, vtep=vtep))))
    for number, network in enumerate(("web", "data", "other")):
        plait.ok("network", "create", network)
        for name, prefix in (
            (f"{network}4", f"10.0.{number}.0/24"),
            (f"{network}6", f"fd00:0:0:{number}::/64"),
        ):
            plait.ok("subnet", "create", prefix, "--network", network, "--name", name)
    for group in ("clients", "servers"):
        plait.ok("group", "create", group, "--isolated")
    for name, network, host in (
        ("a", "web", "h1"),
        ("b", "web", "h2"),
        ("d", "data", "h2"),
        ("o", "other", "h1"),
    ):
        plait.ok("port", "create", name, "--network", network, "--host", host)
    plait.ok("group", "member", "add", "clients", "a")
    plait.ok("group", "member", "add", "servers", "d")
    rule = ("rule", "add", "servers", "--group", "clients")
    plait.ok(*rule, "--name", "https", "--protocol", "tcp", "--port", "443")
    plait.ok(*rule, "--name", "names", "--protocol", "udp", "--port", "53")
    for router, subnets in (("r", ("web4", "web6", "data4", "data6")), ("far", ("other4", "other6"))):
        plait.ok("router", "create", router)
        plait.ok("router", "interface", "add", router, *subnets)
    for name in "abdo":
        say_up(plait, name)
    return plait


def ask(plait, *args: str, passes: bool) -> Any:
    answer = plait("why", *args, "-o", "json")
    assert (answer.code, answer.err) == (0 if passes else 1, ""), answer.out + answer.err
    assert answer.json["passes"] == passes, answer.json
    return answer.json


def trace(plait, *args: str, code: int) -> Any:
    answer = plait("trace", *args, "-o", "json")
    assert (answer.code, answer.err) == (code, ""), answer.out + answer.err
    return answer.json


@pytest.mark.parametrize("version", [0, 1])
def test_the_rule_that_lets_it_in_and_the_route_that_it_takes_are_named(world, version: int) -> None:
    a, d = port_of(world, "a").ips[version], port_of(world, "d").ips[version]
    asked = ("a", "d", "--port", "443", "--from-address", a, "--to-address", d)
    answer = ask(world, *asked, passes=True)
    there, back = answer["there"], answer["back"]
    assert (answer["from_address"], answer["to_address"]) == (a, d)
    prefix = ("10.0.1.0/24", "fd00:0:0:1::/64")[version]
    assert (there["router"], there["route"], there["next_hops"]) == ("r", prefix, [d])
    assert (there["out"]["allowed"], there["out"]["rule"]) == (True, None)
    (into,) = there["in"]
    assert (into["rule"], into["group"], into["priority"]) == ("https", "servers", 0)
    assert [(each["rule"], each["reason"]) for each in into["others"]] == [("names", "it is for udp")]
    assert (back["router"], back["next_hops"]) == ("r", [a])
    assert back["out"]["rule"] == "https"


def test_the_default_that_denies_is_named_with_the_rules_that_do_not_help(world) -> None:
    answer = ask(world, "a", "d", "--port", "22", passes=False)
    assert answer["reason"] == "group 'servers' denies by default what goes into 'd', and no rule allows it"
    reasons = {each["rule"]: each["reason"] for each in answer["there"]["in"][0]["others"]}
    assert reasons == {"https": "it is for port 443", "names": "it is for udp"}
    answer = ask(world, "b", "d", "--port", "443", passes=False)
    reasons = {each["rule"]: each["reason"] for each in answer["there"]["in"][0]["others"]}
    assert reasons["https"] == f"{port_of(world, 'b').ips[0]} is no member of group 'clients'"


def test_a_rule_that_denies_outranks_one_that_allows(world) -> None:
    world.ok(
        "rule", "add", "servers", "--deny", "--name", "closed", "--priority", "5", "--cidr", "10.0.0.0/8"
    )
    answer = ask(world, "a", "d", "--port", "443", passes=False)
    assert answer["reason"] == "rule 'closed' (priority 5) of group 'servers' denies it into 'd'"
    reasons = {each["rule"]: each["reason"] for each in answer["there"]["in"][0]["others"]}
    assert reasons["https"] == "its priority is 0, and 5 comes first"


def test_what_may_not_leave_the_sender_is_said_of_the_sender(world) -> None:
    world.ok("rule", "add", "clients", "--egress", "--deny", "--name", "quiet", "--protocol", "udp")
    answer = ask(world, "a", "d", "--protocol", "udp", "--port", "53", passes=False)
    assert answer["reason"] == "rule 'quiet' (priority 0) of group 'clients' denies it out of 'a'"
    ask(world, "a", "d", "--port", "443", passes=True)


def test_pair_policies_decide_like_other_rules(world) -> None:
    world.ok("disconnect", "a", "b")
    for name in "ab":
        say_up(world, name)
    answer = ask(world, "a", "b", passes=False)
    assert "(priority 1000) of group 'a' denies it out of 'a'" in answer["reason"]
    world.ok("connect", "a", "b")
    for name in "ab":
        say_up(world, name)
    ask(world, "a", "b", passes=True)


def test_a_peering_that_one_side_wants_is_named_with_the_way_out(world) -> None:
    reason = ask(world, "a", "o", passes=False)["reason"]
    assert reason.startswith("router 'r' has no route to 10.0.2.")
    assert "wants to be joined" not in reason
    world.ok("router", "peer", "add", "r", "far")
    reason = ask(world, "a", "o", passes=False)["reason"]
    assert reason.endswith(
        "router 'r' wants to be joined to 'far', which does not say the same yet: "
        "'plait router peer add far r'"
    )
    world.ok("router", "peer", "add", "far", "r")
    assert ask(world, "a", "o", passes=True)["back"]["router"] == "far"


def test_an_answer_without_a_way_back_is_told_apart(world) -> None:
    world.ok("router", "peer", "add", "r", "far")
    world.ok("router", "peer", "add", "far", "r")
    world.ok("router", "interface", "remove", "far", "other4")
    world.ok("router", "interface", "add", "far", "other4", "--address", "10.0.2.254")
    answer = ask(world, "a", "o", passes=False)
    assert answer["there"]["passes"] is True
    assert answer["reason"] == (
        "its answer does not come back: the gateway of subnet 10.0.2.0/24 is 10.0.2.1, where no router is: "
        "the one there is at 10.0.2.254"
    )
    traced = trace(world, "a", "o", code=4)
    assert (traced["delivered"], traced["answered"]) == (True, False)
    assert traced["reason"] == answer["reason"]


def test_a_subnet_without_a_router_is_named(world) -> None:
    world.ok("network", "create", "odd", "--subnet", "10.0.9.0/24")
    world.ok("port", "create", "x", "--network", "odd", "--host", "h1")
    say_up(world, "x")
    assert "no router is on that subnet" in ask(world, "x", "a", passes=False)["reason"]


def test_an_address_outside_is_handed_to_the_next_hop_of_its_route(world) -> None:
    assert "no route to 198.51.100.7" in ask(world, "a", "198.51.100.7", passes=False)["reason"]
    hop = port_of(world, "b").ips[0]
    world.ok("router", "route", "add", "r", "198.51.100.0/24", "--next-hop", hop)
    answer = ask(world, "a", "198.51.100.7", "--port", "443", passes=True)
    assert answer["there"]["next_hops"] == [hop]
    assert answer["there"]["in"][0]["port"] == "b"
    assert answer["notes"] == ["it is handed on from there; what comes back is not known"]


def test_the_gateway_itself_answers(world) -> None:
    assert ask(world, "b", "10.0.1.1", passes=True)["there"]["router"] == "r"


def test_what_is_not_up_is_named(world) -> None:
    world.put(Delete(keys.host("h2")))
    assert (
        "host 'h2' of port 'd' is not alive" in ask(world, "a", "d", "--port", "443", passes=False)["reason"]
    )
    world.ok("port", "set", "d", "--no-host")
    assert "port 'd' is on no host" in ask(world, "a", "d", "--port", "443", passes=False)["reason"]


def test_ports_without_an_ip_version_in_common_are_named(world) -> None:
    world.ok("network", "create", "old", "--subnet", "10.9.0.0/24")
    world.ok("port", "create", "v4", "--network", "old", "--host", "h1")
    address = port_of(world, "d").ips[1]
    answer = ask(world, "v4", "d", "--to-address", address, passes=False)
    assert answer["reason"] == "ports 'v4' and 'd' have no addresses of the same IP version"


def test_people_read_the_verdict_first(world) -> None:
    said = world("why", "a", "d", "--port", "443").out.splitlines()
    assert said[0].startswith("passes: a to d, tcp 443 (10.0.0.")
    assert "  into d: allowed by rule 'https' (priority 0) of group 'servers'" in said
    said = world("why", "a", "d", "--port", "22").out.splitlines()
    assert said[0].startswith("does not pass: a to d, tcp 22")
    assert said[1].startswith("  because group 'servers' denies by default")
    https = "    not by rule 'https' (allow, priority 0) of group 'servers': it is for port 443"
    assert https in said


def test_what_is_wrong_with_the_question_is_said_in_one_line(world, refused) -> None:
    refused("why", "a", "x", says="there is no port 'x'")
    refused("why", "a", "d", "--from-address", "10.0.0.250", says="port 'a' does not have 10.0.0.250: choose")
    refused("why", "a", "d", "--protocol", "tcp", code=2, says="--protocol tcp needs --port")
    refused("why", "a", "d", "--protocol", "icmp", "--port", "1", code=2, says="icmp has no ports")
    refused("why", "a", "d", "--port", "65536", code=2, says="65536 is not in the range")


# -- trace says the same of the flows


@pytest.mark.parametrize("version", [0, 1])
def test_a_trace_names_router_and_rules_both_ways(world, version: int) -> None:
    answer = trace(world, "a", port_of(world, "d").ips[version], "--tcp", "443", code=0)
    _, there, _, back = answer["packets"]
    prefix = ("10.0.1.0/24", "fd00:0:0:1::/64")[version]
    assert [each["text"] for each in there["decisions"]] == [
        "no rule decides: the defaults of 'clients' let it out of 'a'",
        f"routed by router 'r': {prefix}",
        "rule 'https' (priority 0) of group 'servers' lets it into 'd'",
    ]
    assert [(each["rule"], each["router"]) for each in back["decisions"]] == [
        ("https", None),
        (None, "r"),
        (None, None),
    ]
    assert answer["answered"] is True
    assert [each["host"] for each in there["hosts"]] == ["h1", "h2"]


def test_a_trace_names_who_denies(world) -> None:
    answer = trace(world, "a", "d", "--tcp", "22", code=4)
    assert answer["reason"] == "no rule decides: the defaults of 'servers' deny it into 'd', on h2"
    world.ok("rule", "add", "clients", "--egress", "--deny", "--name", "quiet", "--priority", "3")
    answer = trace(world, "a", "d", "--tcp", "443", code=4)
    assert answer["reason"] == "rule 'quiet' (priority 3) of group 'clients' denies it out of 'a', on h1"


def test_a_trace_names_the_router_without_a_route(world) -> None:
    assert "the router has no route to it" in trace(world, "a", "o", code=4)["reason"]


def test_a_trace_to_the_gateway_is_answered_by_it(world) -> None:
    answer = trace(world, "b", "10.0.1.1", code=0)
    assert answer["packets"][-1]["answer"] == "the router itself answers"


def test_a_trace_outside_ends_at_the_next_hop(world) -> None:
    hop = port_of(world, "b").ips[0]
    world.ok("router", "route", "add", "r", "198.51.100.0/24", "--next-hop", hop)
    answer = trace(world, "a", "198.51.100.7", "--udp", "53", code=0)
    assert answer["packets"][-1]["delivered_to"] == [{"host": "h2", "port": "b"}]
    assert answer["answered"] is None


# -- in a moment


class Counting:
    """A store that counts what it is asked for."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.items = 0

    async def snapshot(self, prefix: str) -> Snapshot:
        found = await self._store.snapshot(prefix)
        self.items += len(found.items)
        return found

    async def get(self, keys: Sequence[str]) -> Snapshot:
        found = await self._store.get(keys)
        self.items += len(found.items)
        return found


async def read_for_an_answer(url: str) -> int:
    """How many records the answer takes."""
    store = open_store(url)
    try:
        counting = Counting(store)
        question = Question(protocol=Protocol.TCP, number=443)
        assert (await why(cast(Store, counting), "default", "a", "d", question)).passes
        return counting.items
    finally:
        await store.close()


def test_ten_thousand_ports_more_are_not_read(world) -> None:
    before = asyncio.run(read_for_an_answer(world.url))
    like = port_of(world, "d")
    writes = []
    for number in range(MANY):
        id = f"{like.network}{number:08x}"
        mac = f"02:00:01:00:{number >> 8:02x}:{number & 255:02x}"
        writes += [Put(key, value) for key, value in records_of(like, id, mac).items()]
    for first in range(0, len(writes), 100):
        world.put(*writes[first : first + 100])
    assert asyncio.run(read_for_an_answer(world.url)) == before


def records_of(like: Port, id: str, mac: str) -> dict[str, bytes]:
    """Of a port of the same network and groups, with addresses elsewhere."""
    return records.of_port(msgspec.structs.replace(like, id=id, name=id, mac=mac, addresses=(), device=None))
