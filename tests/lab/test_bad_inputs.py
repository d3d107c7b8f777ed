"""What an agent is told wrongly, or finds broken: one line says so, and nothing is half done."""

import subprocess
from pathlib import Path

import pytest
from tests.lab.conftest import MakeEndpoint, MakeNetwork

from plait.lab.host import plait_command
from plait.lab.lab import Lab
from plait.lab.waiting import wait_until


def _agent(lab: Lab, directory: Path, **options: str) -> subprocess.CompletedProcess[str]:
    """Run an agent of no host of the lab until it ends by itself."""
    keys = lab.host("h1").agent_config() | {
        "host": "stranger",
        "state_dir": str(directory),
        "socket": str(directory / "agent.sock"),
        "log_format": "text",
    }
    config = directory / "agent.toml"
    config.write_text("".join(f'{key} = "{value}"\n' for key, value in (keys | options).items()))
    return subprocess.run(
        ["ip", "netns", "exec", lab.host("h1").namespace, plait_command(), "agent", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("store", "postgres://db", "postgres://db"),
        ("store", "sqlite:///proc/nowhere/plait.db", "/proc/nowhere"),
        ("underlay_address", "172.16.0.999", "172.16.0.999"),
        ("bridge", "a bridge", "a bridge"),
        ("host", "a/b", "a/b"),
        ("lease_ttl_s", "soon", "soon"),
        ("state_dir", "/proc/nowhere", "/proc/nowhere"),
        ("no_such_option", "1", "no_such_option"),
        ("ovsdb", "pipe:/x", "pipe:/x"),
    ],
)
def test_a_wrong_option_ends_the_agent_with_one_line_that_names_it(
    lab: Lab, tmp_path: Path, option: str, value: str, said: str
) -> None:
    before = lab.host("h1").switch.flows()
    done = _agent(lab, tmp_path, **{option: value})
    assert done.returncode not in (0, -9)
    last = done.stderr.strip().splitlines()[-1]
    assert said in last
    assert "Traceback" not in done.stderr
    assert lab.host("h1").switch.flows() == before


def _health(lab: Lab, host: str) -> dict[str, str]:
    states = {state.host.name: state for state in lab.frontend.run(lambda intent: intent.hosts.list())}
    health = states[host].health if host in states else None
    return dict(health.components) if health is not None else {}


def test_a_wrong_socket_of_the_switch_is_said_and_tried_again(lab: Lab) -> None:
    host = lab.host("h3")
    host.kill_agent()
    host.start_agent(ovs_rundir="/nonexistent/openvswitch")
    wait_until(
        lambda: "/nonexistent/openvswitch/db.sock" in host.agent_log.read_text(), "the agent names the socket"
    )
    wait_until(lambda: "/nonexistent" in str(_health(lab, "h3")), "`plait status` can tell")
    assert host.agent is not None
    host.kill_agent()
    host.start_agent()
    lab.wait_ready("h3")


def test_an_unreachable_store_is_said_and_tried_again(lab: Lab) -> None:
    host = lab.host("h3")
    host.kill_agent()
    host.start_agent(store="etcd://172.16.0.77:2379")
    wait_until(
        lambda: "172.16.0.77:2379" in host.agent_log.read_text(), "the agent names the store", timeout_s=60
    )
    assert host.agent is not None
    host.kill_agent()
    host.start_agent()
    lab.wait_ready("h3")


@pytest.mark.parametrize(
    "damage", [b"", b"\0" * 4096, b"not a database at all" * 500], ids=["empty", "zeros", "text"]
)
def test_a_damaged_last_view_is_said_and_replaced_and_traffic_goes_on(
    lab: Lab, network: MakeNetwork, endpoint: MakeEndpoint, damage: bytes
) -> None:
    of = network()
    one, two = endpoint(of, "h3"), endpoint(of, "h1")
    host = lab.host("h3")
    host.kill_agent()
    damaged = [path for path in (host.directory / "state").rglob("*") if path.is_file()]
    assert damaged
    for path in damaged:
        path.write_bytes(damage)
    said = len(host.agent_log.read_text())
    host.start_agent()
    lab.wait_ready("h3")
    if damage:
        assert '"warning"' in host.agent_log.read_text()[said:]
    assert one.ping(two.v4, count=10).lost == 0
    assert lab.differences() == {}
    host.kill_agent()
    host.start_agent()
    lab.wait_ready("h3")
    assert one.ping(two.v4, count=10).lost == 0
