"""What a change of policy costs, counted in flows: it grows with the change, not with what there is."""

from collections.abc import Iterable

import pytest

from plait.compile import Compiler, compile_all
from plait.model.entities import Endpoint, FixedAddress, LiveHost, Network, Port
from plait.model.facets import Attachment, Change, Facet
from plait.model.numbering import renumber
from plait.model.policy import AddressEntry, Direction, Group, Protocol, Rule
from plait.model.view import View

ME = "h1"
MEMBERS = 10_000
RULES = 200


class Agent:
    """A view and a compiler that are kept current, numbers included; `compiled` owners the last time."""

    def __init__(self, facets: Iterable[Facet]) -> None:
        self.view = View(ME)
        self.compiler = Compiler(self.view)
        self.compiler.update_all()
        self.compiled = 0
        self.hear(facets)

    def hear(self, facets: Iterable[Facet], gone: Iterable[Facet] = ()) -> set[bytes]:
        """The keys of flows that it takes to tell the switch."""
        changes = [Change(type(each), id_of(each), each) for each in facets]
        changes += [Change(type(each), id_of(each), None) for each in gone]
        dirty = self.view.apply(changes)
        dirty |= self.view.apply(renumber(self.view, dirty))
        self.compiled = len(self.compiler.affected(dirty))
        return self.compiler.update(dirty).flows


def id_of(facet: Facet) -> str:
    return facet.port if isinstance(facet, Attachment | Endpoint) else getattr(facet, "id", "") or facet.name


def member(number: int) -> Endpoint:
    high, low = divmod(number, 250)
    return Endpoint(
        network="n",
        port=f"member{number}",
        mac=f"02:00:00:00:{high:02x}:{low:02x}",
        host="h2",
        ips=(f"10.1.{high}.{low}", f"fd00:1::{number:x}"),
        groups=("web",),
    )


def rule(number: int, **words: object) -> Rule:
    words = {"protocol": Protocol.TCP, "ports": (1000 + number, 1000 + number)} | words
    return Rule(id=f"rule{number}", name=f"rule{number}", group="db", direction=Direction.INGRESS, **words)  # type: ignore[arg-type]


def own_port(number: int, *groups: str) -> tuple[Port, Attachment]:
    port = Port(
        id=f"own{number}",
        name=f"own{number}",
        network="n",
        mac=f"02:00:00:01:00:{number:02x}",
        addresses=(FixedAddress("s", f"10.2.0.{number}"), FixedAddress("s6", f"fd00:2::{number:x}")),
        host=ME,
        groups=groups,
    )
    return port, Attachment(port.id, number)


BASE: tuple[Facet, ...] = (
    Network(id="n", name="n", vni=7),
    *(LiveHost(name=name, vtep=f"172.16.0.{number}") for number, name in enumerate((ME, "h2"), 1)),
    Group(id="db", name="db"),
    *own_port(1, "db"),
)


@pytest.fixture(scope="module")
def large() -> Agent:
    """10,000 members elsewhere, and here a port with 200 rules about them."""
    rules = [rule(number, remote_group="web") for number in range(RULES)]
    return Agent([*BASE, *rules, *map(member, range(MEMBERS))])


def test_a_member_more_or_less_costs_two_flows_an_address_and_its_way(large: Agent) -> None:
    one = member(MEMBERS)
    way = 1 + 2 + 1  # L2; ARP and ND for its address and link-local address
    assert len(large.hear([one])) == 2 * len(one.ips) + way
    assert large.compiled == 1
    assert len(large.hear([], gone=[one])) == 2 * len(one.ips) + way


def test_what_members_and_rules_need_is_their_sum_and_not_their_product(large: Agent) -> None:
    assert len(large.compiler.flows) < 12 * MEMBERS + 20 * RULES


def test_a_rule_more_or_less_touches_flows_of_that_rule_alone(large: Agent) -> None:
    one = rule(RULES, remote_group="web")
    # What leads to the set and what decides: onward and back, for two families.
    assert len(large.hear([one])) == 2 * 2 * 2
    assert large.compiled == 1 + 2
    assert len(large.hear([], gone=[one])) == 2 * 2 * 2


def test_a_rule_about_a_prefix_is_two_flows(large: Agent) -> None:
    one = rule(RULES, cidr="10.0.0.0/8")
    assert len(large.hear([one])) == 2
    assert len(large.hear([], gone=[one])) == 2


def test_a_rule_about_one_more_set_for_the_same_traffic_changes_the_flows_they_share() -> None:
    agent = Agent([*BASE, rule(1, remote_group="web", family=4), member(1)])
    before = dict(agent.compiler.flows)
    other = rule(2, remote_group="cache", family=4, ports=(1001, 1001))
    touched = agent.hear([other])
    assert len(touched) == 2 + 2
    assert len(touched & before.keys()) == 2
    assert agent.compiler.flows == compile_all(agent.view).flows


def test_an_entry_of_an_address_group_costs_two_flows_however_many_rules_name_it() -> None:
    rules = [rule(number, address_group="offices") for number in range(RULES)]
    entries = [AddressEntry(group="offices", prefix=f"192.0.2.{number}/32") for number in range(250)]
    agent = Agent([*BASE, *rules, *entries])
    one = AddressEntry(group="offices", prefix="198.51.100.0/24")
    assert len(agent.hear([one])) == 2
    assert len(agent.hear([], gone=[one])) == 2


def test_one_more_port_with_a_known_policy_costs_as_much_as_without_rules() -> None:
    rules = [rule(number, cidr="10.0.0.0/8") for number in range(RULES)]
    assert len(Agent([*BASE, *rules]).hear(own_port(2, "db"))) == len(Agent(BASE).hear(own_port(2, "db")))


def test_two_groups_that_say_the_same_share_flows_without_a_conflict() -> None:
    words = {"protocol": Protocol.TCP, "ports": (22, 22), "remote_group": "admins"}
    twins = [rule(1, **words), rule(2, **words)]
    twins[1] = Rule(
        **{field: getattr(twins[1], field) for field in Rule.__struct_fields__} | {"group": "web"}
    )
    agent = Agent([*BASE, Group(id="web", name="web"), *own_port(2, "db", "web"), *twins])
    assert not agent.compiler.conflicts()
    before = dict(agent.compiler.flows)
    agent.hear([], gone=twins[:1])
    assert agent.compiler.flows == compile_all(agent.view).flows
    agent.hear(twins[:1])
    assert agent.compiler.flows == before


def test_a_rule_about_everybody_decides_for_those_about_sets_without_a_conflict() -> None:
    about_set = rule(1, remote_group="web")
    about_all = rule(2, ports=(1001, 1001))
    agent = Agent([*BASE, about_set, member(1)])
    alone = dict(agent.compiler.flows)
    agent.hear([about_all])
    assert not agent.compiler.conflicts()
    assert agent.compiler.flows == compile_all(agent.view).flows
    # What led to the set is now what decides for everybody.
    assert len(agent.compiler.flows) == len(alone)
    agent.hear([], gone=[about_all])
    assert agent.compiler.flows == alone
