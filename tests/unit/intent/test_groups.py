import pytest

from plait.intent import Intent, InUse, NotFound, PortSpec, Taken
from plait.model.checks import Invalid
from plait.model.codec import decode
from plait.model.entities import Port
from plait.model.policy import Action, Direction, Protocol
from plait.store import keys
from plait.store.memory import MemoryStore


@pytest.fixture
async def ports(intent: Intent) -> list[Port]:
    await intent.networks.create("n", subnets=["10.0.0.0/16", "fd00::/64"])
    await intent.hosts.create("h")
    return await intent.ports.create_many(
        [PortSpec(network="n", name=f"p{number}", host="h") for number in range(100)]
    )


async def test_members_of_a_group_reach_each_other_by_a_rule_of_its_own(intent: Intent) -> None:
    web = await intent.groups.create("web")
    (rule,) = await intent.rules.list("web")
    assert (rule.name, rule.direction, rule.action, rule.remote_group) == (
        "members",
        Direction.INGRESS,
        Action.ALLOW,
        web.id,
    )
    await intent.groups.create("quiet", isolated=True)
    assert await intent.rules.list("quiet") == []
    assert [group.name for group in await intent.groups.list()] == ["quiet", "web"]
    await intent.groups.delete("web")
    await intent.groups.delete("quiet")


async def test_the_name_of_a_group_is_taken_once(intent: Intent, refused) -> None:
    await intent.groups.create("web")
    await refused(intent.groups.create("web"), Taken, "there is a group 'web' in project 'default' already")
    await intent.groups.create("db")
    await refused(intent.groups.set("db", name="web"), Taken, "there is a group 'web'")
    changed = await intent.groups.set("db", name="data", ingress=Action.ALLOW, egress=Action.DENY)
    assert (changed.name, changed.ingress, changed.egress) == ("data", Action.ALLOW, Action.DENY)
    assert await intent.groups.get("data") == changed


async def test_members_come_and_go_in_few_commits_and_stay_where_they_live(
    intent: Intent, store: MemoryStore, ports: list[Port]
) -> None:
    web = await intent.groups.create("web")
    before = (await store.snapshot("")).revision
    await intent.members.add("web", [port.name for port in ports])
    after = await store.snapshot("")
    assert after.revision - before == 3
    for port in ports:
        now = await intent.ports.get(port.id)
        assert (now.groups, now.sequence) == ((web.id,), port.sequence)
        assert decode(Port, after.items[keys.bound("h", port.id)].value) == now
    assert await intent.groups.members("web") == {port.id: port.name for port in ports}
    await intent.members.add("web", ["p1", "p2", "p1"])
    assert (await store.snapshot("")).revision == after.revision
    await intent.members.remove("web", [port.id for port in ports[:99]])
    assert list((await intent.groups.members("web")).values()) == ["p99"]
    await intent.ports.set("p99", name="last")
    assert list((await intent.groups.members("web")).values()) == ["last"]
    await intent.ports.delete("last")
    assert await intent.groups.members("web") == {}


async def test_one_name_that_is_wrong_changes_nobody(intent: Intent, refused, ports: list[Port]) -> None:
    await intent.groups.create("web")
    await refused(intent.members.add("web", ["p1", "nope"]), NotFound, "there is no port 'nope'")
    await refused(intent.members.add("nope", ["p1"]), NotFound, "there is no group 'nope'")
    await intent.ports.set("p2", security=False)
    await refused(intent.members.add("web", ["p1", "p2"]), Invalid, "port 'p2' has no port security")


async def test_a_group_in_use_stays(intent: Intent, refused, ports: list[Port]) -> None:
    await intent.groups.create("web")
    await intent.groups.create("db")
    await intent.members.add("web", ["p1", "p2"])
    await refused(intent.groups.delete("web"), InUse, "group 'web' is in use by 2 ports (p1, p2)")
    await intent.members.remove("web", ["p1", "p2"])
    await intent.rules.add("db", Direction.INGRESS, name="from-web", remote_group="web")
    await refused(
        intent.groups.delete("web"), InUse, "group 'web' is in use by rule 'from-web' of group 'db'"
    )
    await intent.rules.remove("db", "from-web")
    await intent.groups.delete("web")
    await refused(intent.groups.get("web"), NotFound, "there is no group 'web'")


async def test_a_group_goes_with_all_its_rules(intent: Intent, store: MemoryStore) -> None:
    await intent.groups.create("web")
    for number in range(130):
        await intent.rules.add("web", Direction.EGRESS, remote_group="web", priority=number)
    await intent.groups.delete("web")
    assert (await store.snapshot(keys.GROUPS)).items == {}


async def test_a_rule_says_what_it_was_told(intent: Intent, refused) -> None:
    await intent.groups.create("web", isolated=True)
    made = await intent.rules.add(
        "web",
        Direction.INGRESS,
        name="https",
        action=Action.DENY,
        priority=7,
        protocol=Protocol.TCP,
        ports=(443, 444),
        cidr="10.0.0.0/8",
        log=True,
    )
    assert await intent.rules.list("web") == [made]
    await refused(
        intent.rules.add("web", Direction.EGRESS, name="https"),
        Taken,
        "group 'web' has a rule 'https' already",
    )
    await refused(intent.rules.remove("web", "nope"), NotFound, "group 'web' has no rule 'nope'")
    await intent.groups.create("db", isolated=True)
    await intent.rules.add("db", Direction.INGRESS, name="https")
    assert await intent.rules.remove("web", made.id) == made


@pytest.mark.parametrize(
    ("fields", "error", "why"),
    [
        ({"ports": (80, 79), "protocol": Protocol.TCP}, Invalid, "ports 80-79 are no range"),
        ({"ports": (80, 65536), "protocol": Protocol.TCP}, Invalid, "ports 80-65536 are no range"),
        ({"ports": (80, 80)}, Invalid, "protocol any has no ports"),
        ({"priority": 1001}, Invalid, "priority 1001 is out of range"),
        ({"family": 5}, Invalid, "family 5 does not exist"),
        ({"family": 6, "cidr": "10.0.0.0/8"}, Invalid, "10.0.0.0/8 is not of family 6"),
        ({"cidr": "10.0.0.1/8"}, Invalid, "did you mean 10.0.0.0/8?"),
        ({"icmp_type": 8, "protocol": Protocol.ICMP}, Invalid, "choose family 4 or 6"),
        ({"icmp_type": 8, "family": 4}, Invalid, "protocol any has no ICMP types"),
        ({"cidr": "10.0.0.0/8", "remote_group": "web"}, Invalid, "a rule has one other side"),
        ({"remote_group": "nope"}, NotFound, "there is no group 'nope'"),
        (
            {"address_group": "nope"},
            NotFound,
            "there is no address group 'nope' in project 'default': 'plait addresses list'",
        ),
        ({"name": "connect:db"}, Invalid, "rule 'connect:db' is not a name"),
    ],
)
async def test_a_rule_that_can_not_be_is_refused(intent: Intent, refused, fields, error, why) -> None:
    await intent.groups.create("web")
    await refused(intent.rules.add("web", Direction.INGRESS, **fields), error, why)


async def test_an_address_group_holds_ten_thousand_prefixes(
    intent: Intent, store: MemoryStore, refused
) -> None:
    prefixes = [f"10.{number >> 8}.{number & 255}.0/24" for number in range(10_000)]
    await intent.address_groups.create("bad", prefixes)
    assert await intent.address_groups.entries("bad") == prefixes
    assert (await store.snapshot("")).revision < 100
    assert await intent.address_groups.remove("bad", prefixes[:9_990]) == 9_990
    await refused(intent.address_groups.remove("bad", prefixes[:1]), NotFound, "'bad' has no 10.0.0.0/24")
    assert len(await intent.address_groups.entries("bad")) == 10
    await intent.address_groups.add("bad", ["fd00::1", "0.0.0.0/0", "10.0.0.1"])
    assert (await intent.address_groups.entries("bad"))[:2] == ["0.0.0.0/0", "10.0.0.1/32"]
    await refused(intent.address_groups.add("bad", ["10.0.0.0/8", "nonsense"]), Invalid, "'nonsense'")
    await intent.address_groups.delete("bad")
    assert (await store.snapshot(keys.ADDRESS_GROUPS)).items == {}


async def test_an_address_group_in_use_stays(intent: Intent, refused) -> None:
    await intent.groups.create("web")
    await intent.address_groups.create("bad")
    await refused(intent.address_groups.create("bad"), Taken, "there is an address group 'bad'")
    await intent.rules.add(
        "web", Direction.INGRESS, name="no-bad", address_group="bad", action=Action.DENY, priority=9
    )
    await refused(
        intent.address_groups.delete("bad"),
        InUse,
        "address group 'bad' is in use by rule 'no-bad' of group 'web'",
    )
    await intent.groups.delete("web")
    assert (await intent.address_groups.set("bad", name="worse")).name == "worse"
    await intent.address_groups.delete("worse")
