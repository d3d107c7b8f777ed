"""`plait lab` as a user types it: what it prints, its exit status, and what is left on the machine."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.lab.conftest import lab_name

from plait.lab import netns
from plait.lab.host import plait_command


@dataclass(frozen=True)
class Plait:
    """Runs `plait` with labs kept in a folder of its own."""

    root: Path

    def __call__(self, *arguments: str, status: int = 0, **env: str) -> str:
        done = subprocess.run(
            [plait_command(), *arguments],
            env={**os.environ, "PLAIT_LAB_DIR": str(self.root), **env},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
        assert done.stderr.count("\n") <= 1
        return done.stdout if status == 0 else done.stderr


@pytest.fixture
def plait(tmp_path: Path) -> Iterator[Plait]:
    run = Plait(tmp_path)
    yield run
    if any(tmp_path.iterdir()):
        subprocess.run(
            [plait_command(), "lab", "down", "--all"],
            env={**os.environ, "PLAIT_LAB_DIR": str(tmp_path)},
            check=False,
        )


def test_a_lab_comes_up_serves_and_goes_down(plait: Plait) -> None:
    name = lab_name()
    assert "h1, h2" in plait("lab", "up", "--name", name, "--hosts", "2")
    exported = dict(line.removeprefix("export ").split("=", 1) for line in plait("lab", "env").splitlines())
    assert exported["PLAIT_LAB"] == name
    store = exported["PLAIT_STORE"]
    plait("network", "create", "blue", "--subnet", "10.0.0.0/24", PLAIT_STORE=store)
    assert "10.0.0.2" in plait("lab", "endpoint", "add", "a", "--network", "blue", "--host", "h1")
    assert "10.0.0.3" in plait("lab", "endpoint", "add", "b", "--network", "blue", "--host", "h2")
    assert " 0% packet loss" in plait("lab", "exec", "a", "--", "ping", "-c", "2", "10.0.0.3")
    plait("lab", "endpoint", "move", "b", "--host", "h1")
    assert " 0% packet loss" in plait("lab", "exec", "a", "--", "ping", "-c", "2", "10.0.0.3")
    assert "l2" in plait("flows", "--port", "a", **exported)
    assert "br-int" in plait("lab", "exec", "h1", "--", "ovs-vsctl", "show")
    assert "blue" in plait("lab", "exec", "h1", plait_command(), "network", "list")
    assert "port_security" in plait("lab", "exec", "h1", plait_command(), "flows", "--port", "a")
    (listed,) = json.loads(plait("lab", "list", "-o", "json"))
    assert (listed["name"], listed["state"], listed["agents"]) == (name, "up", 2)
    assert listed["endpoints"] == ["a", "b"]
    plait("lab", "endpoint", "rm", "a", "b")
    assert json.loads(plait("port", "list", "-o", "json", PLAIT_STORE=store)) == []
    plait("lab", "down")
    assert not netns.exists(f"{name}-h1")
    assert json.loads(plait("lab", "list", "-o", "json")) == []


def test_what_can_not_be_is_refused_in_one_line_and_leaves_nothing(plait: Plait) -> None:
    name = lab_name()
    assert "there is no lab" in plait("lab", "down", status=1)
    assert "`plait lab up` makes one" in plait("lab", "env", status=1)
    assert "0 hosts are out of range" in plait("lab", "up", "--hosts", "0", status=1)
    assert "'a/b' is not a name" in plait("lab", "up", "--name", "a/b", status=1)
    assert "underlay MTU 100 is out of range" in plait("lab", "up", "--underlay-mtu", "100", status=1)
    assert "too long for unix sockets" in plait(
        "lab", "up", status=1, PLAIT_LAB_DIR=str(plait.root / ("a" * 100))
    )
    assert not any(path.is_dir() and path.name != "a" * 100 for path in plait.root.iterdir())
    plait("lab", "up", "--name", name, "--hosts", "1", "--no-agents")
    assert "exists already" in plait("lab", "up", "--name", name, status=1)
    assert "no host or endpoint 'h2'" in plait("lab", "exec", "h2", "true", status=1)
    assert "no endpoint 'a'" in plait("lab", "endpoint", "rm", "a", status=1)
    assert "no host 'h7'" in plait(
        "lab", "endpoint", "add", "a", "--network", "blue", "--host", "h7", status=1
    )
    assert "'blue'" in plait("lab", "endpoint", "add", "a", "--network", "blue", "--host", "h1", status=1)
    assert json.loads(plait("lab", "list", "-o", "json"))[0]["endpoints"] == []
    assert not netns.exists(f"{name}-a")
    assert f"there are {name}" in plait("lab", "down", "--name", "other", status=1)
    plait("lab", "down", "--all")


def test_somebody_who_is_not_root_is_told_so(plait: Plait) -> None:
    refused = subprocess.run(
        ["setpriv", "--reuid", "65534", plait_command(), "lab", "up"],
        capture_output=True,
        text=True,
        check=False,
    )
    if "Permission denied" in refused.stderr:
        pytest.skip("this checkout can't be read by other users")
    assert refused.returncode == 1
    assert "a lab needs root" in refused.stderr


def test_a_missing_tool_is_named_with_its_package(plait: Plait, tmp_path: Path) -> None:
    refused = plait("lab", "up", status=1, PATH=str(tmp_path))
    assert "ovs-vswitchd" in refused
    assert "apt-get install iproute2 openvswitch-common openvswitch-switch" in refused
