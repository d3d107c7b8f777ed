"""What `plait trace` and `plait flows` say is what real switches do."""

import json
import subprocess
from typing import Any

import pytest
from tests.lab.conftest import MakeEndpoint, MakeNetwork

from plait.lab.endpoint import Endpoint
from plait.lab.host import plait_command
from plait.lab.lab import Lab
from plait.model.entities import Transport


def plait(lab: Lab, host: str, *args: str) -> tuple[int, Any]:
    """The exit code and the answer of a command, called on a host."""
    env = {**lab.host(host).env, "PLAIT_STORE": lab.settings.store_url, "PATH": "/usr/bin:/bin"}
    command = [plait_command(), *args, "-o", "json"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("transport", list(Transport))
def test_the_trace_says_what_pings_do_and_the_switch_agrees(
    lab: Lab, network: MakeNetwork, endpoint: MakeEndpoint, transport: Transport
) -> None:
    of, other = network(transport), network(transport)
    one, beside, far, stranger = (
        endpoint(of, "h1"),
        endpoint(of, "h1"),
        endpoint(of, "h2"),
        endpoint(other, "h2"),
    )
    for target in (beside, far):
        for address in target.addresses:
            code, answer = plait(lab, "h1", "trace", one.name, address)
            assert one.reaches(address)
            assert (code, answer["to"], answer["switch_agrees"]) == (0, target.name, True)
    code, answer = plait(lab, "h1", "trace", one.name, stranger.name)
    assert (code, answer["delivered"], answer["switch_agrees"]) == (4, False, True)
    code, answer = plait(lab, "h1", "trace", one.name, "10.0.0.250")
    assert not one.reaches("10.0.0.250")
    assert (code, answer["delivered"], answer["switch_agrees"]) == (4, False, True)


@pytest.mark.parametrize("size_over", [0, 1])
def test_the_trace_knows_the_mtu(
    lab: Lab, network: MakeNetwork, endpoint: MakeEndpoint, size_over: int
) -> None:
    of = network()
    one, far = endpoint(of, "h1"), endpoint(of, "h2")
    size = str((one.plug.mtu_bytes or 0) + size_over)
    code, answer = plait(lab, "h1", "trace", one.name, far.name, "--size", size)
    assert (code, answer["switch_agrees"]) == (4 if size_over else 0, True)


def _pair(network: MakeNetwork, endpoint: MakeEndpoint) -> tuple[Endpoint, Endpoint]:
    of = network()
    return endpoint(of, "h1"), endpoint(of, "h2")


def test_flows_are_shown_with_counters_and_by_the_names_of_their_owners(
    lab: Lab, network: MakeNetwork, endpoint: MakeEndpoint
) -> None:
    one, far = _pair(network, endpoint)
    assert one.reaches(far.v4)
    code, rows = plait(lab, "h1", "flows", "--port", one.name)
    assert code == 0
    assert {row["owner_name"] for row in rows} == {one.name}
    assert all(row["in_step"] for row in rows)
    (classify,) = (row for row in rows if row["table_name"] == "classify")
    assert classify["packets"] > 0


def test_flows_from_the_store_are_those_of_the_agent(
    lab: Lab, network: MakeNetwork, endpoint: MakeEndpoint
) -> None:
    one, far = _pair(network, endpoint)

    def described(*args: str) -> list[tuple[str, int, str, str]]:
        _, rows = plait(lab, "h1", "flows", "--host", "h1", *args)
        return sorted((row["table_name"], row["priority"], row["app"], row["owner_name"]) for row in rows)

    assert described("--from-store") == described()
    assert one.name in {row[3] for row in described()}
    assert far.name in {row[3] for row in described()}
