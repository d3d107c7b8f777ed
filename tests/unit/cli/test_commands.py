import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from plait.cli import document, output
from plait.cli.main import run
from plait.model.codec import encode
from plait.model.entities import Health, LiveHost, PortState, PortStatus
from plait.store import keys
from plait.store.api import Put


def test_things_are_made_shown_changed_and_deleted_by_name(plait) -> None:
    made = plait.ok("network", "create", "web", "--subnet", "10.0.0.0/24", "--mtu", "1400", "-o", "json").json
    assert (made["name"], made["vni"], made["mtu"], made["subnets"]) == ("web", 4096, 1400, ["10.0.0.0/24"])
    assert (
        plait.ok("network", "set", "web", "--name", "front", "--auto-mtu", "-o", "json").json["mtu"] is None
    )
    subnet = plait.ok(
        "subnet", "create", "fd00::/64", "--network", "front", "--name", "six", "-o", "json"
    ).json
    assert (subnet["gateway"], subnet["network"]) == ("fd00::1", "front")
    assert plait.ok("subnet", "set", "six", "--no-gateway", "-o", "json").json["gateway"] is None
    plait.ok("host", "create", "h1", "--label", "rack=a", "--label", "row=1")
    assert plait.ok("host", "set", "h1", "--no-label", "row", "-o", "json").json["labels"] == {"rack": "a"}
    port = plait.ok("port", "create", "a", "--network", "front", "--host", "h1", "-o", "json").json
    assert (port["addresses"], port["host"], port["state"]) == (["10.0.0.2", "fd00::1"], "h1", "silent")
    assert plait.ok("port", "set", "a", "--no-host", "-o", "json").json["sequence"] == 1
    plait.ok("port", "create", "b", "--network", "front")
    assert plait.ok("port", "delete", "a", "b", "a").out == "port a deleted\nport b deleted\n"
    assert plait.ok("subnet", "delete", "six").out == "subnet six deleted\n"
    assert plait.ok("host", "delete", "h1").out == "host h1 deleted\n"
    assert plait.ok("network", "delete", "front", "--force").out == "network front deleted\n"
    assert plait.ok("audit").out == "nothing is leaked, missing or doubled\n"


def test_tables_are_aligned_and_plain(plait) -> None:
    plait.ok("network", "create", "a-long-name", "--subnet", "10.0.0.0/24", "--subnet", "fd00::/64")
    plait.ok("network", "create", "b", "--vni", "7", "--transport", "gre")
    head, first, second = plait.ok("network", "list").out.splitlines()
    columns = [head.index(name) for name in ("NAME", "ID", "VNI", "TRANSPORT", "MTU", "SUBNETS")]
    assert [first[column:].split(" ")[0] for column in columns][2:] == [
        "4096",
        "vxlan",
        "-",
        "10.0.0.0/24,fd00::/64",
    ]
    assert [second[column:].split(" ")[0] for column in columns][2:] == ["7", "gre", "-", "-"]
    assert "\033" not in head + first + second


def test_lists_can_be_narrowed(plait) -> None:
    for network in ("web", "db"):
        plait.ok("network", "create", network, "--subnet", "10.0.0.0/24")
    plait.ok("host", "create", "h1")
    plait.ok("port", "create", "x", "--network", "db", "--host", "h1", "--count", "3", "--device", "tap{n}")
    plait.ok("port", "create", "y", "--network", "web")
    on_host = plait.ok("port", "list", "--host", "h1", "-o", "json").json
    assert [(port["name"], port["device"]) for port in on_host] == [
        ("x-1", "tap1"),
        ("x-2", "tap2"),
        ("x-3", "tap3"),
    ]
    assert [port["name"] for port in plait.ok("port", "list", "--network", "web", "-o", "json").json] == ["y"]
    assert len(plait.ok("subnet", "list", "--network", "db", "-o", "json").json) == 1
    assert len(plait.ok("subnet", "list", "-o", "json").json) == 2


def test_projects_do_not_see_each_other(plait) -> None:
    plait.ok("network", "create", "web")
    plait.ok("-p", "other", "network", "create", "web")
    assert len(plait.ok("network", "list", "-o", "json").json) == 1
    assert plait.ok("network", "list", "-p", "other", "-o", "json").json[0]["project"] == "other"


def live(plait, host: str, *, health: str = "ok") -> None:
    plait.put(
        Put(keys.inventory(host), b'{"name":"%s"}' % host.encode()),
        Put(keys.host(host), encode(LiveHost(name=host, vtep="172.16.0.1", version="0.1.0"))),
        Put(keys.health(host), encode(Health(host=host, components=(("switch", health),)))),
    )


def say(plait, port: dict[str, str], state: PortState, reason: str = "") -> None:
    status = PortStatus(
        port=port["id"], host=port["host"], state=state, reason=reason, mtu_bytes=1450, took_ms=4.2
    )
    plait.put(Put(keys.status(port["host"], port["id"]), encode(status)))


def test_status_says_what_is_not_well_and_exits_accordingly(plait) -> None:
    nothing = plait("status")
    assert (nothing.code, "no host is known" in nothing.out) == (3, True)
    live(plait, "h1")
    assert "all is well: 1 of 1 hosts alive, 0 of 0 ports up" in plait.ok("status").out
    plait.ok("network", "create", "web")
    port = plait.ok("port", "create", "a", "--network", "web", "--host", "h1", "-o", "json").json
    silent = plait("status")
    assert (silent.code, "h1: 1 port not yet seen" in silent.out) == (3, True)
    say(plait, port, PortState.UP)
    row = plait.ok("status").out.splitlines()[3].split()
    assert row == ["h1", "ok", "172.16.0.1", "netdev", "0.1.0", "1", "ok", *"1000"]
    say(plait, port, PortState.ERROR, "no device")
    assert "h1: 1 port in error ('plait port list --host h1' says why)" in plait("status").out
    assert plait.ok("port", "list").out.splitlines()[1].endswith("  no device")
    say(plait, port, PortState.UP)
    live(plait, "h2", health="no connection")
    answer = plait("status", "-o", "json")
    assert (answer.code, answer.json["well"], answer.json["hosts"][1]["problems"]) == (
        3,
        False,
        ["switch: no connection"],
    )
    plait.ok("host", "create", "h3")
    assert "h3: not alive" in plait("status").out


def test_status_waits_until_all_is_well_or_time_is_over(plait) -> None:
    assert plait("status", "--wait", "0.05").code == 3
    live(plait, "h1")
    assert plait.ok("status", "--wait", "20").code == 0


def test_a_port_is_waited_for_and_its_status_shown(plait) -> None:
    live(plait, "h1")
    plait.ok("network", "create", "web")
    port = plait.ok("port", "create", "a", "--network", "web", "--host", "h1", "-o", "json").json
    answer = plait("port", "set", "a", "--device", "veth0", "--wait", "--timeout", "0.05")
    assert answer.code == 1
    assert (
        "port 'a' is not up after 0.05 s: the agent of 'h1' has said nothing; is there a device 'veth0'?"
        in answer.err
    )
    say(plait, port, PortState.UP)
    shown = plait.ok("port", "set", "a", "--device", "veth1", "--wait", "-o", "json").json
    assert (shown["state"], shown["mtu"], shown["took_ms"]) == ("up", 1450, 4.2)
    say(plait, port, PortState.ERROR, "there is no device veth1")
    refused = plait("port", "set", "a", "--device", "veth1", "--wait")
    assert (refused.code, "is in error: there is no device veth1" in refused.err) == (1, True)


def test_the_audit_tells_of_what_is_leaked(plait) -> None:
    plait.ok("network", "create", "web")
    plait.put(Put(keys.address("gone", "10.0.0.9"), b"nobody"))
    answer = plait("audit")
    assert (answer.code, answer.out) == (
        3,
        "plait/v1/alloc/ip/gone/10.0.0.9 belongs to nothing that exists\n",
    )


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_has_its_completion(plait, shell: str) -> None:
    assert "_PLAIT_COMPLETE" in plait.ok("completion", shell).out


def test_the_shell_completes_names_out_of_the_store(
    plait, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plait.ok("network", "create", "web")
    plait.ok("network", "create", "wide")
    plait.ok("network", "create", "db")
    monkeypatch.setenv("_PLAIT_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "plait network show w")
    monkeypatch.setenv("COMP_CWORD", "3")
    with pytest.raises(SystemExit):
        plait("network", "show", "w")
    assert capsys.readouterr().out.split() == ["plain,web", "plain,wide"]


def test_without_a_command_help_is_shown(plait) -> None:
    assert "Commands:" in plait("--help").out
    assert run(["network"]) == 0


def test_the_page_of_commands_is_up_to_date() -> None:
    page = Path(__file__).parents[3] / document.PAGE
    assert page.read_text() == document.document(), "run: python -m plait.cli.document"


def plait_process(*args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from plait.cli.main import main; main()", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_help_comes_without_loading_what_it_does_not_need() -> None:
    script = (
        "import sys\nfrom plait.cli.main import run\nrun(['--help'])\nprint(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert "plait.cli.lazy" in loaded
    assert not {"asyncio", "msgspec", "grpc", "sqlite3", "structlog", "plait.intent"} & loaded


def test_an_interrupted_command_ends_in_one_line(plait) -> None:
    plait.ok("host", "create", "h1")
    waiting = plait_process("status", "--wait", "60")
    # It is at work once it has the store open: then the store's shared memory is among its own.
    while "plait.db-shm" not in Path(f"/proc/{waiting.pid}/maps").read_text():
        assert waiting.poll() is None
    waiting.send_signal(signal.SIGINT)
    out, err = waiting.communicate(timeout=30)
    assert (waiting.returncode, out, err.strip()) == (130, "", "plait: interrupted")


def test_an_interrupted_bulk_creation_takes_everything_back(plait) -> None:
    plait.ok("network", "create", "web", "--subnet", "10.0.0.0/14")
    making = plait_process("port", "create", "p", "--network", "web", "--count", "60000")
    while not any(key.startswith(keys.PORTS) for key in plait.stored()):
        assert making.poll() is None
    making.send_signal(signal.SIGINT)
    out, err = making.communicate(timeout=60)
    assert (making.returncode, out, err.strip()) == (130, "", "plait: interrupted")
    assert not any(key.startswith(keys.PORTS) for key in plait.stored())
    assert plait.audit() == []


def test_colours_do_not_count_as_width() -> None:
    lines = output.table([{"state": "up", "id": "1"}, {"state": "error", "id": "2"}], ("state", "id"))
    assert "\033" in lines[1]
    assert [click.unstyle(line) for line in lines] == ["STATE  ID", "up     1", "error  2"]


def test_a_reader_that_leaves_is_no_error(plait) -> None:
    plait.ok("network", "create", "web")
    plait.ok("port", "create", "p", "--network", "web", "--count", "2000")
    listing = plait_process("port", "list", "-o", "json")
    assert listing.stdout is not None
    assert listing.stderr is not None
    listing.stdout.readline()
    listing.stdout.close()
    assert listing.stderr.read() == ""
    listing.wait(timeout=30)
