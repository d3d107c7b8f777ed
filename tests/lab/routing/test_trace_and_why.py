"""What `plait trace` and `plait why` say of routers, groups and rules is what packets meet."""

import json
import subprocess
from typing import Any

import pytest
from tests.lab.routing.conftest import VERSIONS, Routed, address, wait_loses, wait_reaches

from plait.lab.host import plait_command
from plait.lab.lab import Lab

both = pytest.mark.parametrize("version", VERSIONS)


def plait(lab: Lab, host: str, *args: str) -> tuple[int, Any]:
    """The exit code and the answer of a command, called on a host."""
    env = {**lab.host(host).env, "PLAIT_STORE": lab.settings.store_url, "PATH": "/usr/bin:/bin"}
    command = [plait_command(), *args, "-o", "json"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


@both
def test_who_reaches_whom_by_a_router_and_through_a_group(lab: Lab, routed: Routed, version: int) -> None:
    router = routed.router()
    inner, outer = (routed.endpoint(routed.network(n, router), f"h{n}") for n in (1, 2))
    wait_reaches(inner, address(outer, version))
    routed.filter(inner)
    wait_loses(outer, address(inner, version))
    wait_reaches(inner, address(outer, version))

    code, traced = plait(lab, "h1", "trace", inner.name, address(outer, version))
    assert (code, traced["answered"], traced["switch_agrees"]) == (0, True, True)
    _, there, _, back = traced["packets"]
    assert [each["router"] for each in there["decisions"]] == [None, router.name]
    assert [each["router"] for each in back["decisions"]] == [router.name, None]
    code, said = plait(lab, "h1", "why", inner.name, address(outer, version))
    assert (code, said["there"]["router"]) == (0, router.name)

    code, traced = plait(lab, "h2", "trace", outer.name, address(inner, version))
    assert (code, traced["delivered"], traced["switch_agrees"]) == (4, False, True)
    assert traced["packets"][-1]["decisions"][-1]["denied"] is True
    code, said = plait(lab, "h2", "why", outer.name, address(inner, version))
    assert (code, said["there"]["in"][0]["group"]) == (1, f"of-{inner.name}")


def test_a_peering_that_one_side_wants_is_told_of_and_used_once_both_do(lab: Lab, routed: Routed) -> None:
    routers = routed.router(), routed.router()
    one, other = (
        routed.endpoint(routed.network(number, router), f"h{number}")
        for number, router in enumerate(routers, 1)
    )
    routed.peer(*routers)
    code, said = plait(lab, "h1", "why", one.name, other.name)
    assert (code, "does not say the same yet" in said["reason"]) == (1, True)
    assert plait(lab, "h1", "trace", one.name, other.name)[0] == 4
    routed.peer(*routers[::-1])
    wait_reaches(one, other.v4, other.v6)
    assert plait(lab, "h1", "why", one.name, other.name)[0] == 0
    code, traced = plait(lab, "h1", "trace", one.name, other.name)
    assert (code, traced["answered"], traced["switch_agrees"]) == (0, True, True)


def test_of_several_next_hops_any_will_do(lab: Lab, routed: Routed) -> None:
    router = routed.router()
    near, far = routed.network(1, router), routed.network(2, router)
    one = routed.endpoint(near, "h1")
    hops = [routed.endpoint(far, "h1", security=False), routed.endpoint(far, "h2", security=False)]
    routed.route(router, "198.51.100.0/24", *(hop.v4 for hop in hops))
    for hop in hops:
        hop.exec("ip", "address", "add", "198.51.100.7/32", "dev", "lo")
    wait_reaches(one, "198.51.100.7")
    code, traced = plait(lab, "h1", "trace", one.name, "198.51.100.7")
    assert (code, traced["switch_agrees"]) == (0, True)
    (arrival,) = traced["packets"][-1]["delivered_to"]
    assert arrival["port"] in {hop.name for hop in hops}
    code, said = plait(lab, "h1", "why", one.name, "198.51.100.7")
    assert (code, set(said["there"]["next_hops"])) == (0, {hop.v4 for hop in hops})


def test_flows_from_the_store_are_those_of_the_agent_with_routers_and_groups(
    lab: Lab, routed: Routed
) -> None:
    router = routed.router()
    inner, outer = (routed.endpoint(routed.network(n, router), f"h{n}") for n in (1, 2))
    wait_reaches(inner, outer.v4, outer.v6)
    routed.filter(inner)
    wait_loses(outer, inner.v4, inner.v6)

    def described(*args: str) -> list[tuple[str, int, str, str]]:
        _, rows = plait(lab, "h1", "flows", "--host", "h1", *args)
        return sorted((row["table_name"], row["priority"], row["app"], row["owner_name"]) for row in rows)

    assert described("--from-store") == described()
    owners = {row[3] for row in described()}
    assert {inner.name, outer.name, router.name, f"of-{inner.name}"} <= owners
