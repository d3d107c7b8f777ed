"""Every bad input: one clear line, a non-zero exit, nothing half done."""

import socket

import pytest


@pytest.fixture(autouse=True)
def things(plait) -> None:
    plait.ok("network", "create", "web", "--subnet", "10.0.0.0/24")
    plait.ok("network", "create", "tiny", "--subnet", "10.0.0.0/30")
    plait.ok("host", "create", "h1")
    plait.ok("port", "create", "a", "--network", "web", "--host", "h1", "--device", "veth0")
    plait.ok("port", "create", "last", "--network", "tiny")


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (
            "subnet create 10.0.0.128/25 --network web",
            "subnet 10.0.0.128/25 overlaps subnet 10.0.0.0/24 of network 'web'",
        ),
        (
            "subnet create 10.0.0.1/24 --network web",
            "'10.0.0.1/24' is not a subnet: did you mean 10.0.0.0/24?",
        ),
        (
            "subnet create nonsense --network web",
            "prefix 'nonsense' is not a subnet: write it like 10.0.0.0/24",
        ),
        (
            "subnet create 10.9.0.0/24 --network web --gateway 10.8.0.1",
            "gateway 10.8.0.1 lies outside 10.9.0.0/24",
        ),
        (
            "port create b --network web --address 10.0.9.9",
            "address 10.0.9.9 lies outside the subnets of network 'web'",
        ),
        ("port create b --network web --address 10.0.0.2", "address 10.0.0.2 is taken by port 'a'"),
        ("port create b --network web --address 10.0.0.1", "address 10.0.0.1 is the gateway of 10.0.0.0/24"),
        ("port create b --network tiny", "subnet 10.0.0.0/30 is full: 1 of 1 addresses in use"),
        (
            "port create b --network web --mac 02:zz:00:00:00:01",
            "MAC '02:zz:00:00:00:01' is not six bytes in hex",
        ),
        (
            "port create b --network web --mac 03:00:00:00:00:01",
            "MAC '03:00:00:00:00:01' is a multicast address",
        ),
        ("port create b --network nope", "there is no network 'nope' in project 'default'"),
        ("port create a --network web", "port name 'a' is taken by port 'a'"),
        ("port create b --network web --host h9", "host 'h9' is not known: known hosts are h1"),
        (
            "port create b --network web --host h1 --device veth0",
            "device 'veth0' of host 'h1' is taken by port 'a'",
        ),
        ("port create b --network web --host h1 --device a/b", "device 'a/b' is not a Linux interface name"),
        ("port create b/c --network web", "port 'b/c' is not a name"),
        ("port create b --network web --multicast 10.0.0.1", "'10.0.0.1' is not a multicast address"),
        (
            "port create b --network web --subnet nope",
            "network 'web' has no subnet 'nope': it has 10.0.0.0/24",
        ),
        ("port set a --host h9", "host 'h9' is not known"),
        ("port set nope --host h1", "there is no port 'nope'"),
        ("port show nope", "there is no port 'nope' in project 'default'"),
        ("port delete a nope", "there is no port 'nope' in project 'default'"),
        ("network delete web", "network 'web' has 1 port (a): delete them first"),
        ("network create web", "there is a network 'web' in project 'default' already"),
        ("network create n --mtu 10", "MTU 10 is out of range: choose 576 to 65535 bytes"),
        ("network create n --vni 16777216", "VNI 16777216 is out of range"),
        ("network create n --vni 4096", "VNI 4096 is taken by network"),
        ("network create n --subnet 10.0.0.0/24 --subnet 10.0.0.0/25", "overlaps subnet 10.0.0.0/24"),
        ("host delete h1", "host 'h1' has 1 port: delete or move them first"),
        ("host show h9", "host 'h9' is not known"),
        ("-p other port list --network web", "there is no network 'web' in project 'other'"),
        ("-p a/b network list", "project 'a/b' is not a name"),
    ],
)
def test_what_can_not_be_is_refused_in_one_line(refused, command: str, says: str) -> None:
    refused(*command.split(), says=says)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("bogus", "No such command 'bogus' (see 'plait --help')"),
        ("network create", "Missing argument 'NAME' (see 'plait network create --help')"),
        ("port create b", "Missing option '--network'"),
        ("network create n --mtu many", "'many' is not a valid integer"),
        ("network create n --transport pigeon", "'pigeon' is not one of"),
        ("port create b --network web --count 0", "0 is not in the range"),
        ("port create b --network web --count 2 --mac 02:00:00:00:00:01", "--mac is for one port"),
        (
            "port create b --network web --host h1 --count 2 --device veth",
            "write {n} where its number belongs",
        ),
        ("port create b --network web --wait", "--wait needs --host"),
        ("port set a --host h1 --no-host", "--host and --no-host exclude each other"),
        ("host create h2 --label nonsense", "'nonsense' is not KEY=VALUE"),
        ("-o yaml network list", "'yaml' is not one of"),
    ],
)
def test_a_wrong_call_is_refused_in_one_line(refused, command: str, says: str) -> None:
    refused(*command.split(), code=2, says=says)


@pytest.mark.parametrize("url", ["nonsense", "bogus://x", "sqlite:", "etcd://", "etcd://h:port"])
def test_a_wrong_store_url_is_named_with_the_valid_forms(refused, url: str) -> None:
    refused("--store", url, "network", "list", says="etcd")


def test_a_store_that_can_not_be_reached_is_said(refused, tmp_path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    refused("--store", f"etcd://127.0.0.1:{port}", "network", "list", says=f"127.0.0.1:{port}")
    refused("--store", f"etcd://127.0.0.1:{port}", "status", says=f"127.0.0.1:{port}")
    refused("--store", f"etcd://127.0.0.1:{port}", "status", "--wait", "0.3", says="store")


def test_a_store_file_in_no_directory_or_of_another_kind_is_said(refused, tmp_path) -> None:
    refused("--store", f"sqlite://{tmp_path}/no/such/plait.db", "network", "list", says=f"{tmp_path}/no/such")
    (tmp_path / "text.db").write_text("this is no database, and long enough to be read as one\n" * 40)
    refused("--store", f"sqlite://{tmp_path}/text.db", "network", "list", says="text.db")


def test_a_broken_configuration_file_is_said(
    plait, refused, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plait.toml").write_text("store = ")
    monkeypatch.delenv("PLAIT_STORE")
    refused("network", "list", says="plait.toml can't be read")
    (tmp_path / "plait.toml").write_text("store = 7")
    refused("network", "list", says="store = 7 in")
    (tmp_path / "plait.toml").write_text(f'store = "{plait.url}"\nproject = "default"\n')
    assert plait.ok("network", "list").out.count("\n") == 3


def test_a_failed_bulk_creation_takes_everything_back(plait, refused) -> None:
    plait.ok("port", "create", "many-77", "--network", "web")
    before = [key for key in plait.stored() if "/cursor/" not in key]
    answer = plait("port", "create", "many", "--network", "web", "--count", "100")
    assert (answer.code, answer.out) == (1, "")
    assert "port name 'many-77' is taken by port 'many-77'" in answer.err
    answer = plait("port", "create", "more", "--network", "web", "--count", "300")
    assert (answer.code, answer.out) == (1, "")
    assert "subnet 10.0.0.0/24 is full: 253 of 253 addresses in use" in answer.err
    assert [key for key in plait.stored() if "/cursor/" not in key] == before
    assert plait.audit() == []
