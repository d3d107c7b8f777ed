"""Groups, rules, address groups and pair policies at the command line; what subnets and ports are told."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def things(plait) -> None:
    plait.ok("network", "create", "net", "--subnet", "10.0.0.0/24")
    plait.ok("port", "create", "p", "--network", "net", "--count", "3")
    plait.ok("port", "create", "bridge", "--network", "net", "--no-port-security")
    plait.ok("group", "create", "web")
    plait.ok("group", "create", "db", "--isolated")
    plait.ok("addresses", "create", "bad", "192.0.2.0/24", "2001:db8::1")
    plait.ok("group", "member", "add", "web", "p-1", "p-2")
    plait.ok("rule", "add", "db", "--name", "sql", "--protocol", "tcp", "--port", "5432", "--group", "web")
    plait.ok("rule", "add", "web", "--name", "no-bad", "--deny", "--priority", "9", "--addresses", "bad")


def test_a_group_is_shown_with_its_members_and_rules(plait) -> None:
    shown = plait.ok("group", "show", "web", "-o", "json").json
    assert (shown["members"], shown["ingress"], shown["egress"]) == (["p-1", "p-2"], "deny", "allow")
    assert [(rule["name"], rule["action"], rule["other_side"]) for rule in shown["rules"]] == [
        ("no-bad", "deny", "addresses bad"),
        ("members", "allow", "group web"),
    ]
    text = plait.ok("group", "show", "web").out
    assert "members  2 ports (p-1, p-2)\n" in text
    assert "no-bad   ingress    deny    9" in text
    assert plait.ok("group", "set", "web", "--name", "front", "--egress", "deny", "-o", "json").json[
        "egress"
    ] == ("deny")
    assert [each["name"] for each in plait.ok("group", "list", "-o", "json").json] == ["db", "front"]


def test_members_come_from_a_file_too(plait, tmp_path: Path) -> None:
    names = tmp_path / "names"
    names.write_text("p-1\n\np-3\n")
    assert plait.ok("group", "member", "add", "db", "--from", str(names)).out == "2 ports added, group db\n"
    assert plait.ok("group", "member", "remove", "web", "p-1", "-o", "json").json == {
        "group": "web",
        "removed": 1,
    }
    assert plait.ok("port", "show", "p-1", "-o", "json").json["groups"] == ["db"]
    plait.ok("port", "set", "p-1", "--group", "web", "--group", "db")
    assert sorted(plait.ok("port", "show", "p-1", "-o", "json").json["groups"]) == ["db", "web"]
    plait.ok("port", "set", "p-1", "--no-groups")
    assert plait.ok("port", "create", "q", "--network", "net", "--group", "db", "-o", "json").json[
        "groups"
    ] == ["db"]


def test_rules_are_listed_with_what_decides_first_on_top(plait) -> None:
    plait.ok(
        "rule", "add", "db", "--egress", "--family", "6", "--protocol", "icmp", "--icmp-type", "128", "--log"
    )
    rows = plait.ok("rule", "list", "db", "-o", "json").json
    assert [(row["direction"], row["protocol"], row["ports"], row["log"]) for row in rows] == [
        ("egress", "icmp", "type 128", True),
        ("ingress", "tcp", "5432", False),
    ]
    assert rows[1]["remote_group"] == "web"
    assert plait.ok("rule", "list").out.splitlines()[0].startswith("GROUP  NAME")
    assert plait.ok("rule", "remove", "db", "sql", rows[0]["id"]).out == (
        f"rule sql deleted\nrule {rows[0]['name']} deleted\n"
    )
    plait.ok("rule", "add", "db", "--protocol", "udp", "--port", "53-54", "--cidr", "10.0.0.0/8")
    assert plait.ok("rule", "list", "db", "-o", "json").json[0]["ports"] == "53-54"


def test_address_groups_are_filled_and_emptied(plait, tmp_path: Path) -> None:
    prefixes = tmp_path / "prefixes"
    prefixes.write_text("198.51.100.0/24\n")
    assert (
        plait.ok("addresses", "add", "bad", "--from", str(prefixes)).out
        == "1 prefix added, address group bad\n"
    )
    assert plait.ok("addresses", "show", "bad", "-o", "json").json["prefixes"] == [
        "192.0.2.0/24",
        "198.51.100.0/24",
        "2001:db8::1/128",
    ]
    plait.ok("addresses", "remove", "bad", "2001:db8::1", "192.0.2.0/24")
    plait.ok("addresses", "set", "bad", "--name", "worse")
    assert [each["name"] for each in plait.ok("addresses", "list", "-o", "json").json] == ["worse"]
    plait.ok("rule", "remove", "web", "no-bad")
    assert plait.ok("addresses", "delete", "worse").out == "address group worse deleted\n"
    assert plait.audit() == []


def test_two_are_connected_and_disconnected_by_one_command(plait) -> None:
    assert plait.ok("connect", "web", "db").out == "web and db connected\n"
    assert plait.ok("disconnect", "p-1", "p-3").out == "p-1 and p-3 disconnected\n"
    assert plait.ok("connections", "-o", "json").json == [
        {"one": "db", "other": "web", "state": "connected"},
        {"one": "p-1", "other": "p-3", "state": "disconnected"},
    ]
    assert plait.ok("port", "show", "p-1", "-o", "json").json["groups"] == ["web"]
    rows = plait.ok("rule", "list", "web", "-o", "json").json
    assert "connect:db" in [row["name"] for row in rows]
    assert len(plait.ok("group", "list", "-o", "json").json) == 2
    plait.ok("disconnect", "db", "web")
    assert (
        plait.ok("disconnect", "--forget", "db", "web").out
        == "db and web neither connected nor disconnected\n"
    )
    plait.ok("port", "delete", "p-1", "p-3")
    assert plait.ok("connections", "-o", "json").json == []
    assert plait.audit() == []


def test_a_subnet_tells_what_it_is_told_to(plait) -> None:
    made = said(
        plait,
        "subnet create 10.5.0.0/24 --network net --name told --no-dhcp --lease 600 --dns 10.5.0.2 "
        "--dns 10.5.0.3 --ntp 10.5.0.4 --domain example.com --search example.com --route "
        "10.9.0.0/16=10.5.0.9 --option 66=text:tftp --option 67=hex:00ff -o json",
    ).json
    assert (made["dhcp"], made["lease_s"], made["dns"], made["ntp"]) == (
        False,
        600,
        ["10.5.0.2", "10.5.0.3"],
        ["10.5.0.4"],
    )
    assert (made["routes"], made["options"]) == (
        ["10.9.0.0/16=10.5.0.9"],
        ["66=hex:74667470", "67=hex:00ff"],
    )
    changed = said(plait, "subnet set told --dhcp --no-dns --no-options --domain example.org -o json").json
    assert (changed["dhcp"], changed["dns"], changed["options"], changed["domain"], changed["ntp"]) == (
        True,
        [],
        [],
        "example.org",
        ["10.5.0.4"],
    )
    six = said(plait, "subnet create fd00::/64 --network net --ipv6-mode slaac --option 59=text:x -o json")
    assert (six.json["ipv6_mode"], six.json["options"]) == ("slaac", ["6/59=hex:78"])


def test_a_port_has_more_addresses_pairs_and_options(plait) -> None:
    made = said(
        plait,
        "port create q --network net --address-pair 10.244.0.0/24 --address-pair "
        "10.0.0.99,02:00:00:00:00:ff --hostname www --option 67=text:boot -o json",
    ).json
    assert made["address_pairs"] == ["10.0.0.99/32,02:00:00:00:00:ff", "10.244.0.0/24"]
    assert (made["hostname"], made["options"]) == ("www", ["67=hex:626f6f74"])
    assert plait.ok("port", "address", "add", "q", "--subnet", "10.0.0.0/24", "-o", "json").json[
        "addresses"
    ] == [
        "10.0.0.6",
        "10.0.0.7",
    ]
    plait.ok("port", "address", "add", "q", "10.0.0.42")
    assert plait.ok("port", "address", "remove", "q", "10.0.0.6", "-o", "json").json["addresses"] == [
        "10.0.0.7",
        "10.0.0.42",
    ]
    after = said(plait, "port set q --no-address-pairs --no-hostname --no-options -o json").json
    assert (after["address_pairs"], after["hostname"], after["options"]) == ([], None, [])


def said(plait, command: str):
    return plait.ok(*command.split())


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("group create web", "there is a group 'web' in project 'default' already"),
        ("group delete web", "group 'web' is in use by 2 ports (p-1, p-2): 'plait group member remove web"),
        ("group delete nope", "there is no group 'nope' in project 'default'"),
        ("group member add web p-3 nope", "there is no port 'nope'"),
        ("group member add web bridge", "port 'bridge' has no port security, which groups need"),
        ("addresses delete bad", "address group 'bad' is in use by rule 'no-bad' of group 'web'"),
        ("addresses add bad 10.0.0.1/8", "did you mean 10.0.0.0/8?"),
        ("addresses remove bad 10.0.0.0/8", "address group 'bad' has no 10.0.0.0/8"),
        ("rule add web --name members", "group 'web' has a rule 'members' already"),
        ("rule add web --protocol tcp --port 90-80", "ports 90-80 are no range"),
        ("rule add web --protocol tcp --port 70000", "ports 70000-70000 are no range"),
        ("rule add web --port 80", "protocol any has no ports"),
        ("rule add web --family 6 --cidr 10.0.0.0/8", "10.0.0.0/8 is not of family 6"),
        ("rule add web --protocol icmp --icmp-type 8", "choose family 4 or 6"),
        ("rule add web --priority 1001", "priority 1001 is out of range"),
        ("rule add web --group nope", "there is no group 'nope'"),
        ("rule add web --group db --cidr 10.0.0.0/8", "a rule has one other side"),
        ("rule remove web nope", "group 'web' has no rule 'nope'"),
        ("connect web nope", "there is no group and no port 'nope' in project 'default'"),
        ("connect p-1 p-1", "p-1 and p-1 are the same port"),
        ("connect p-1 bridge", "port 'bridge' has no port security"),
        (
            "port create b --network net --address-pair 10.0.0.0/30",
            "covers 10.0.0.1, the gateway of 10.0.0.0/24",
        ),
        (
            "port create b --network net --address-pair 10.0.0.2",
            "address 10.0.0.2 of an address pair is taken by",
        ),
        ("port create b --network net --address-pair 10.9.0.0/16 --no-port-security", "has no port security"),
        ("port create b --network net --option 53=hex:01", "DHCP option 53 belongs to the protocol itself"),
        ("port create b --network net --option 66", "DHCP option '66' can't be read: write it like 66=text:"),
        ("port create b --network net --group nope", "there is no group 'nope'"),
        ("port address add p-1 10.0.0.3", "address 10.0.0.3 is taken by port 'p-2'"),
        ("port address remove p-1 10.0.0.99", "port 'p-1' has no address 10.0.0.99"),
        ("subnet create fd00::/80 --network net --ipv6-mode slaac", "is no /64, which SLAAC needs"),
        (
            "subnet create 10.5.0.0/24 --network net --dns fd00::1",
            "is not of the family of subnet 10.5.0.0/24",
        ),
        ("subnet create 10.5.0.0/24 --network net --lease 1", "lease 1 s is out of range"),
        ("subnet create 10.5.0.0/24 --network net --route 10.9.0.0/16", "route '10.9.0.0/16' can't be read"),
    ],
)
def test_what_can_not_be_is_refused_in_one_line(refused, command: str, says: str) -> None:
    refused(*command.split(), says=says)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("group member add web", "no port is named"),
        ("addresses add bad", "no prefix is named"),
        ("rule add web --protocol gre", "'gre' is not one of"),
        ("rule add web --protocol tcp --port http", "'http' is neither PORT nor FIRST-LAST"),
        ("port address add p-1", "name either an ADDRESS or a --subnet"),
        ("port set p-1 --group web --no-groups", "--group and --no-groups exclude each other"),
        ("subnet set 10.0.0.0 --dns 10.0.0.2 --no-dns", "--dns and --no-dns exclude each other"),
    ],
)
def test_a_wrong_call_is_refused_in_one_line(plait, refused, command: str, says: str) -> None:
    id = plait.ok("subnet", "list", "-o", "json").json[0]["id"]
    refused(*command.replace("10.0.0.0 ", f"{id} ").split(), code=2, says=says)


def test_the_shell_completes_groups_and_ports_where_either_may_stand(
    plait, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plait.ok("port", "create", "wide", "--network", "net")
    monkeypatch.setenv("_PLAIT_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "plait connect w")
    monkeypatch.setenv("COMP_CWORD", "2")
    with pytest.raises(SystemExit):
        plait("connect", "w")
    assert capsys.readouterr().out.split() == ["plain,web", "plain,wide"]
