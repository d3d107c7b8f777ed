"""`plait trace` and `plait flows`, from a store in which agents said what they would say."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from plait.agent.api import listening
from plait.cli.main import run
from plait.model.codec import encode
from plait.model.entities import LiveHost, PortState, PortStatus, Transport
from plait.store import keys
from plait.store.api import Delete, Put

from .living import port_of, say_up

VTEPS = {"h1": "172.16.0.1", "h2": "172.16.0.2", "h3": "fd01::3"}
GROUP = "239.1.1.1"


@pytest.fixture
def world(plait):
    """Networks red and blue with the same subnets; red: a and b on h1, c on h2, e on h3; blue: d on h1."""
    subnets = ("--subnet", "10.0.0.0/24", "--subnet", "fd00::/64")
    plait.ok("network", "create", "red", *subnets)
    plait.ok("network", "create", "blue", *subnets, "--transport", "geneve")
    for host in VTEPS:
        plait.ok("host", "create", host)
        plait.put(Put(keys.host(host), encode(LiveHost(name=host, vtep=VTEPS[host]))))
    for name, network, host in (
        ("a", "red", "h1"),
        ("b", "red", "h1"),
        ("c", "red", "h2"),
        ("e", "red", "h3"),
    ):
        plait.ok("port", "create", name, "--network", network, "--host", host)
    plait.ok("port", "create", "d", "--network", "blue", "--host", "h1")
    for name in "abcde":
        say_up(plait, name)
    return plait


def trace(plait, *args: str, code: int) -> Any:
    answer = plait("trace", *args, "-o", "json")
    assert (answer.code, answer.err) == (code, "")
    assert answer.json["delivered"] == (code == 0)
    return answer.json


def test_a_port_of_the_same_host_is_reached(world) -> None:
    answer = trace(world, "a", "b", code=0)
    question, packet, _, back = answer["packets"]
    assert [each["sender"] for each in answer["packets"]] == ["a", "a", "b", "b"]
    assert back["delivered_to"] == [{"host": "h1", "port": "a"}]
    assert question["answer"] == f"it is at {port_of(world, 'b').mac}"
    assert packet["delivered_to"] == [{"host": "h1", "port": "b"}]
    (near,) = packet["hosts"]
    assert [step["table_name"] for step in near["steps"]] == [
        "classify",
        "port_security",
        "resolve",
        "egress",
        "gateway",
        "l2",
        "deliver",
    ]
    assert [step["owner_name"] for step in near["steps"]] == ["a", "a", "", "", "", "b", ""]
    assert [step["app"] for step in near["steps"]] == [
        "port_security",
        "port_security",
        "switch",
        "tracking",
        "switch",
        "l2",
        "switch",
    ]


@pytest.mark.parametrize(("target", "host", "vtep"), [("c", "h2", "172.16.0.2"), ("e", "h3", "fd01::3")])
def test_a_port_of_another_host_is_reached_through_a_tunnel(world, target: str, host: str, vtep: str) -> None:
    packet = trace(world, "a", target, code=0)["packets"][1]
    assert packet["delivered_to"] == [{"host": host, "port": target}]
    near, far = packet["hosts"]
    assert (near["host"], near["by"]) == ("h1", None)
    assert (far["host"], far["by"]) == (host, {"transport": "vxlan", "vni": 4096, "underlay": vtep})
    assert [step["table_name"] for step in far["steps"]] == ["classify", "l2", "deliver"]


@pytest.mark.parametrize("how", [("--icmp",), ("--tcp", "5432"), ("--udp", "53"), ("--size", "1400")])
@pytest.mark.parametrize("version", [0, 1])
def test_an_address_is_reached_by_everything_that_is_sent(world, how: tuple[str, ...], version: int) -> None:
    address = port_of(world, "c").ips[version]
    answer = trace(world, "a", address, *how, code=0)
    assert (answer["to"], answer["address"]) == ("c", address)


def test_ports_stand_in_flows_by_their_names(world) -> None:
    near, far = trace(world, "a", "c", code=0)["packets"][1]["hosts"]
    assert near["steps"][0]["match"].startswith("in_port=a,")
    assert "set_field:vxlan->reg3" in near["steps"][6]["actions"]
    assert "in_port=vxlan" in far["steps"][0]["match"]
    assert "set_field:c->reg1" in far["steps"][1]["actions"]


def test_only_the_question_for_the_mac_can_be_asked(world) -> None:
    answer = trace(world, "a", "c", "--arp", code=0)
    assert [packet["packet"] for packet in answer["packets"]] == [
        f"ARP request: who has {answer['address']}?"
    ]


def test_another_network_is_not_reached(world) -> None:
    answer = trace(world, "a", "d", code=4)
    assert (
        answer["reason"] == "networks are isolated: 'a' is in 'red', 'd' is in 'blue', and nothing joins them"
    )
    assert answer["packets"][-1]["lost"][0]["table"] == "l2"


def test_an_address_that_nobody_has_is_not_reached(world) -> None:
    answer = trace(world, "a", "10.0.0.200", code=4)
    assert answer["reason"] == "no port in network 'red' has the address 10.0.0.200"


def test_a_packet_larger_than_the_mtu_is_not_delivered_and_the_sender_is_told(world) -> None:
    answer = trace(world, "a", "c", "--size", "1431", code=4)
    assert answer["reason"].startswith("dropped in ENCAPSULATE on h1: it is larger than the network's MTU")


def test_the_sender_does_not_reach_itself_through_the_switch(world) -> None:
    assert "own address" in trace(world, "a", "a", code=4)["reason"]


def test_an_address_of_a_version_that_the_sender_does_not_have_is_not_reached(world) -> None:
    world.ok("network", "create", "old", "--subnet", "10.9.0.0/24")
    world.ok("port", "create", "f", "--network", "old", "--host", "h1")
    say_up(world, "f")
    assert trace(world, "f", "fd00::1", code=4)["reason"] == "port 'f' has no IPv6 address: give it one"


def test_an_address_outside_of_the_subnet_is_remarked_on(world) -> None:
    world.ok("subnet", "create", "10.1.0.0/24", "--network", "red")
    world.ok("port", "create", "g", "--network", "red", "--host", "h2", "--address", "10.1.0.9")
    say_up(world, "g")
    assert "10.1.0.9 lies outside 10.0.0.0/24" in trace(world, "a", "g", code=0)["notes"][0]


def test_multicast_reaches_those_who_want_it(world) -> None:
    assert trace(world, "a", GROUP, "--udp", "5000", code=4)["reason"].startswith("dropped in L2 on h1")
    for name in "bc":
        say_up(world, name, GROUP)
    (packet,) = trace(world, "a", GROUP, "--udp", "5000", code=0)["packets"]
    assert packet["delivered_to"] == [{"host": "h1", "port": "b"}, {"host": "h2", "port": "c"}]


@pytest.mark.parametrize("name", ["a", "c"])
def test_a_port_without_a_host_is_named(world, name: str) -> None:
    world.ok("port", "set", name, "--no-host")
    assert f"port '{name}' is on no host" in trace(world, "a", "c", code=4)["reason"]


@pytest.mark.parametrize(("name", "host"), [("a", "h1"), ("c", "h2")])
def test_a_host_that_is_not_alive_is_named(world, name: str, host: str) -> None:
    world.put(Delete(keys.host(host)))
    assert f"host '{host}' of port '{name}' is not alive" in trace(world, "a", "c", code=4)["reason"]


@pytest.mark.parametrize(("name", "host"), [("a", "h1"), ("c", "h2")])
def test_a_port_that_is_not_up_is_named_with_its_agents_reason(world, name: str, host: str) -> None:
    port = port_of(world, name)
    status = PortStatus(port=port.id, host=host, state=PortState.ERROR, reason="no device eth9", sequence=0)
    world.put(
        Put(keys.status(host, port.id), encode(status)), Delete(keys.reach(port.network, port.id, host))
    )
    assert (
        trace(world, "a", "c", code=4)["reason"] == f"port '{name}' is error on host '{host}': no device eth9"
    )


def test_a_port_that_moved_and_is_not_up_there_yet_is_named(world) -> None:
    world.ok("port", "set", "c", "--host", "h3")
    assert "'c' is not up: its host 'h3' has said nothing" in trace(world, "a", "c", code=4)["reason"]


def test_a_transport_that_the_host_lacks_is_named_by_its_table(world) -> None:
    world.put(
        Put(keys.host("h1"), encode(LiveHost(name="h1", vtep=VTEPS["h1"], transports=(Transport.GRE,))))
    )
    assert trace(world, "a", "c", code=4)["reason"].startswith("dropped in TRANSPORT on h1")


def test_people_read_the_verdict_first(world) -> None:
    said = world("trace", "a", "c").out.splitlines()
    assert said[0] == "delivered: a to c"
    assert said[1] == "  by vxlan with VNI 4096 to host h2 (172.16.0.2)"
    assert "  delivered to c on h2" in said
    said = world("trace", "a", "d").out.splitlines()
    assert said[0] == "not delivered: a to d"
    assert said[1].startswith("  because networks are isolated")


def test_what_is_wrong_with_the_question_is_said_in_one_line(world, refused) -> None:
    refused("trace", "x", "c", says="there is no port 'x' in project 'default'")
    refused("trace", "a", "x", says="there is no port 'x' in project 'default'")
    refused("trace", "a", "c", "--size", "70000", says="size 70000 is out of range: choose 60 to 65535")
    refused("trace", "a", "c", "--tcp", "1", "--arp", code=2, says="exclude each other")
    refused("trace", "a", "c", "--tcp", "0", code=2, says="0 is not in the range")
    refused("trace", "a", "c", "-p", "other", says="there is no port 'a' in project 'other'")


# -- flows


def flows(plait, *args: str) -> list[dict[str, Any]]:
    rows = plait.ok("flows", *args, "-o", "json").json
    assert isinstance(rows, list)
    return rows


def test_the_flows_of_any_host_are_shown_from_the_store_by_the_names_of_their_owners(world) -> None:
    rows = flows(world, "--from-store", "--host", "h1")
    assert {row["owner_name"] for row in rows} == {"", "red", "blue", *"abcde"}
    assert {row["packets"] for row in rows} == {None}
    assert {row["owner_name"] for row in flows(world, "--from-store", "--host", "h2")} == {"", "red", *"abce"}


def test_flows_are_narrowed_to_a_port_a_network_and_a_table(world) -> None:
    host = ("--from-store", "--host", "h1")
    assert {row["owner_name"] for row in flows(world, *host, "--port", "a")} == {"a"}
    assert {row["owner_name"] for row in flows(world, *host, "--network", "blue")} == {"blue", "d"}
    for table in ("l2", "L2", "30"):
        assert {row["table_name"] for row in flows(world, *host, "--table", table)} == {"l2"}
    (only,) = flows(world, *host, "--port", "c", "--table", "l2")
    assert (only["app"], only["owner_kind"], only["owner"]) == ("l2", "station", port_of(world, "c").id)


def test_what_is_wrong_with_the_wish_for_flows_is_said_in_one_line(world, refused, tmp_path: Path) -> None:
    nobody = ("--socket", str(tmp_path / "no.sock"))
    refused("flows", *nobody, says="no agent listens at")
    refused("flows", *nobody, says="'plait flows --from-store --host HOST'")
    refused("flows", "--from-store", code=2, says="--from-store needs --host")
    refused("flows", "--from-store", "--host", "h9", says="h9")
    refused(
        "flows",
        "--from-store",
        "--host",
        "h1",
        "--table",
        "l9",
        code=2,
        says="there is no table 'l9': choose classify",
    )
    refused("flows", "--from-store", "--host", "h1", "--port", "x", says="there is no port 'x'")


@contextmanager
def agent(path: Path, answers: dict[str, Any]) -> Iterator[None]:
    """An agent's socket in another thread, with these answers."""
    loop, ready = asyncio.new_event_loop(), threading.Event()
    done = asyncio.Event()

    def handler(answer: Any) -> Any:
        async def handle(request: dict[str, Any]) -> Any:
            return answer(request) if callable(answer) else answer

        return handle

    async def serve() -> None:
        async with listening(path, {name: handler(answer) for name, answer in answers.items()}):
            ready.set()
            await done.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()
        loop.close()


def test_the_agents_flows_are_shown_with_counters_and_whether_the_switch_has_them(
    world, tmp_path: Path
) -> None:
    rows = [
        {**row, "packets": 7, "bytes": 700, "in_step": index > 0}
        for index, row in enumerate(flows(world, "--from-store", "--host", "h1", "--port", "a"))
    ]
    for row in rows:
        del row["owner_name"]
    socket = tmp_path / "agent.sock"
    with agent(socket, {"flows": {"host": "h1", "flows": rows, "groups": []}}):
        shown = flows(world, "--socket", str(socket))
        assert {row["owner_name"] for row in shown} == {"a"}
        lines = world.ok("flows", "--socket", str(socket)).out.splitlines()
        assert lines[0].split()[:3] == ["STATE", "TABLE", "NAME"]
        assert lines[1].startswith("pending")
        assert world("flows", "--socket", str(socket), "--host", "h2").err == (
            "plait: the agent here is that of host 'h1': --from-store shows what 'h2' should have\n"
        )


def test_a_switch_that_goes_another_way_disagrees(world, tmp_path: Path) -> None:
    socket = tmp_path / "agent.sock"
    asked: list[dict[str, Any]] = []

    def other_way(request: dict[str, Any]) -> dict[str, str]:
        asked.append(request)
        return {"text": " 0. priority 0, cookie 0x504c014489602aca\n    drop\n"}

    with agent(socket, {"ofproto_trace": other_way}):
        assert trace(world, "a", "c", "--socket", str(socket), code=0)["switch_agrees"] is False
        assert "the switch DISAGREES" in world("trace", "a", "c", "--socket", str(socket)).out
    assert asked[0]["port"] == port_of(world, "a").id
    assert asked[0]["flow"].startswith("arp,")


def test_without_an_agent_here_the_switch_is_not_asked(world) -> None:
    assert trace(world, "a", "c", code=0)["switch_agrees"] is None
    assert run(["trace", "--help"]) == 0
