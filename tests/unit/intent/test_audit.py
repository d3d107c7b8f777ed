import pytest

from plait.intent import Intent, PortSpec
from plait.intent.address_pairs import parse_pair
from plait.intent.audit import find_faults
from plait.model.codec import encode
from plait.model.entities import Endpoint, PortState, PortStatus
from plait.model.policy import AddressEntry, Direction
from plait.store import keys
from plait.store.api import Item, Revision
from plait.store.memory import MemoryStore

Stored = dict[str, Item]


@pytest.fixture
async def stored(store: MemoryStore, intent: Intent) -> Stored:
    """A store that adds up."""
    await intent.networks.create("web", subnets=["10.0.0.0/24"])
    await intent.hosts.create("h1")
    await intent.ports.create(PortSpec(network="web", name="a", host="h1", device="veth0"))
    await intent.ports.create(PortSpec(network="web", name="b"))
    found = dict((await store.snapshot("")).items)
    assert list(find_faults(found)) == []
    return found


def item(value: bytes) -> Item:
    return Item(value, Revision(1))


def of_intent(stored: Stored) -> list[str]:
    return [key for key in stored if not key.startswith((keys.CURSORS, keys.INVENTORY))]


def test_whatever_is_missing_is_noticed(stored: Stored) -> None:
    assert len(of_intent(stored)) == 15
    for lost in of_intent(stored):
        assert list(find_faults({key: value for key, value in stored.items() if key != lost})), lost


def test_whatever_belongs_to_somebody_else_is_noticed(stored: Stored) -> None:
    for key in of_intent(stored):
        if not key.startswith((keys.NETWORKS, keys.PORTS)):
            assert list(find_faults({**stored, key: item(b"nobody")})) != [], key


def test_what_can_not_be_read_is_named(stored: Stored) -> None:
    port = next(key for key in stored if key.startswith(keys.PORTS))
    faults = list(find_faults({**stored, port: item(b"{")}))
    assert faults[0].startswith(f"{port} is unreadable: port is not a JSON object of ours")


def test_one_address_of_two_ports_is_noticed(stored: Stored) -> None:
    a, b = (key for key in stored if key.startswith(keys.PORTS))
    twin = {**stored, b: item(stored[b].value.replace(b"10.0.0.3", b"10.0.0.2"))}
    twin |= {a: item(stored[a].value.replace(b"10.0.0.3", b"10.0.0.2"))}
    assert any("10.0.0.2 is claimed twice" in fault for fault in find_faults(twin))


def test_words_about_ports_that_are_gone_or_elsewhere_are_noticed(stored: Stored) -> None:
    bound = next(key for key in stored if key.startswith(keys.BOUND)).rpartition("/")[2]
    for host, port, fault in (("h1", "gone", "does not exist"), ("h2", bound, "is on host h1")):
        status = encode(PortStatus(port=port, host=host, state=PortState.UP))
        assert [fault in each for each in find_faults({**stored, keys.status(host, port): item(status)})] == [
            True
        ]
        endpoint = encode(Endpoint(network="n", port=port, mac="02:00:00:00:00:01", host=host))
        assert [
            fault in each for each in find_faults({**stored, keys.reach("n", port, host): item(endpoint)})
        ] == [True]


@pytest.fixture
async def policies(intent: Intent, store: MemoryStore, stored: Stored) -> Stored:
    """A store with one of everything that joins or filters, which adds up."""
    (subnet,) = await intent.subnets.list()
    for router in ("r", "s"):
        await intent.routers.create(router)
    await intent.interfaces.add("r", subnet.id)
    await intent.peerings.add("r", "s")
    await intent.groups.create("g")
    await intent.members.add("g", ["a"])
    await intent.address_groups.create("set", ["192.0.2.0/24"])
    await intent.rules.add("g", Direction.EGRESS, name="no", address_group="set")
    await intent.connections.connect("a", "b")
    await intent.ports.set("b", address_pairs=(parse_pair("10.244.0.0/16"),))
    found = dict((await store.snapshot("")).items)
    assert list(find_faults(found)) == []
    return found


def test_whatever_is_missing_of_routers_and_policies_is_noticed(policies: Stored) -> None:
    for lost in of_intent(policies):
        if "/entry/" not in lost:
            assert list(find_faults({key: value for key, value in policies.items() if key != lost})), lost


def test_whatever_of_routers_and_policies_is_somebody_elses_is_noticed(policies: Stored) -> None:
    for key in of_intent(policies):
        assert list(find_faults({**policies, key: item(b"nobody")})) != [], key


def test_what_belongs_to_nothing_is_noticed(policies: Stored) -> None:
    for key in (
        keys.member("g", "nobody"),
        keys.reference("g", "h", "rule"),
        keys.asked("r", "nobody"),
        keys.address_pairs("n", "nobody"),
        keys.router_on_network("n", "nobody", "s"),
        keys.name("rule", "g", "nobody"),
    ):
        assert [key in fault for fault in find_faults({**policies, key: item(b"x")})] == [True]
    entry = encode(AddressEntry(group="gone", prefix="10.0.0.0/8"))
    orphan = {**policies, keys.address_entry("gone", "10.0.0.0/8"): item(entry)}
    assert list(find_faults(orphan)) == [
        f"address gone/10.0.0.0/8 needs {keys.address_group('gone')}, which does not exist"
    ]
