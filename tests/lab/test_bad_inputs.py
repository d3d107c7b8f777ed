"""What an agent is told wrongly, or finds broken: one line says so, and nothing is half done."""

import subprocess
from pathlib import Path

import pytest
from tests.lab.conftest import MakeEndpoint, MakeNetwork

from plait.agent.api import CallFailed
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
        ("underlay_address", "172.16.0.999", "172.16.0.999"),
        ("bridge", "a bridge", "a bridge"),
        ("host", "a/b", "a/b"),
        ("lease_ttl_s", "soon", "soon"),
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


@pytest.mark.parametrize(
    ("option", "value", "component", "said"),
    [
        ("ovs_rundir", "/proc/nowhere", "switch database", "/proc/nowhere/db.sock"),
        ("store", "etcd://172.16.0.77:2379", "store", "172.16.0.77:2379"),
        ("store", "sqlite:///proc/nowhere/plait.db", "store", "/proc/nowhere"),
        ("state_dir", "/proc/nowhere", "disk", "/proc/nowhere"),
    ],
)
def test_what_can_not_be_reached_is_said_and_tried_again_and_the_agent_lives(
    lab: Lab, option: str, value: str, component: str, said: str
) -> None:
    host = lab.host("h3")
    host.kill_agent()
    log_begins_at = len(host.agent_log.read_text())
    host.start_agent(**{option: value})

    def is_said() -> bool:
        try:
            is_well = host.ask("status")["components"].get(component) in ("ok", None)
        except CallFailed:
            return False
        return not is_well and said in host.agent_log.read_text()[log_begins_at:]

    wait_until(is_said, f"the agent says what is wrong with its {component}", timeout_s=60)
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
