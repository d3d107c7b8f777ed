"""Groups, rules and address groups of small worlds: strategies, and one of everything.

Few ids, ranks and ranges, so that rules say the same, overlap and share what they share; numbers collide too.
"""

from hypothesis import strategies as st

from plait.model.facets import Change, Facet, Number
from plait.model.policy import Action, AddressEntry, Direction, Group, Protocol, Rule
from plait.model.view import CONJUNCTION, POLICY

GROUPS = ("g1", "g2", "g3")
RULES = ("r1", "r2", "r3", "r4")
SETS = ("g1", "g2", "a1", "a2")
PREFIXES = ("10.0.0.0/24", "10.0.0.2/32", "0.0.0.0/0", "fd00::/64", "fd00::2/128")
RANGES = ((80, 80), (80, 95), (80, 111), (0, 65535))

groups_of_port = st.sets(st.sampled_from(GROUPS), max_size=2).map(lambda groups: tuple(sorted(groups)))
_policies = st.sets(st.sampled_from(GROUPS), min_size=1, max_size=2).map(
    lambda groups: ",".join(sorted(groups))
)
_actions = st.sampled_from(tuple(Action))


@st.composite
def group(draw: st.DrawFn) -> tuple[str, Group]:
    id = draw(st.sampled_from(GROUPS))
    return id, Group(id=id, name=id, ingress=draw(_actions), egress=draw(_actions))


@st.composite
def rule(draw: st.DrawFn) -> tuple[str, Rule]:
    id = draw(st.sampled_from(RULES))
    protocol = draw(st.sampled_from(tuple(Protocol)))
    icmp_type = draw(st.sampled_from([None, 3, 8, 128])) if protocol is Protocol.ICMP else None
    other = draw(st.sampled_from(["nobody", "cidr", "group", "address group"]))
    cidr = draw(st.sampled_from(PREFIXES)) if other == "cidr" else None
    family = draw(st.sampled_from([4, 6] if icmp_type is not None else [None, 4, 6]))
    return id, Rule(
        id=id,
        name=id,
        group=draw(st.sampled_from(GROUPS)),
        direction=draw(st.sampled_from(tuple(Direction))),
        action=draw(_actions),
        priority=draw(st.sampled_from([0, 1])),
        family=family if cidr is None else 6 if ":" in cidr else 4,
        protocol=protocol,
        ports=draw(st.sampled_from([None, *RANGES])) if protocol.has_ports else None,
        icmp_type=icmp_type,
        icmp_code=draw(st.sampled_from([None, 0, 1])) if icmp_type is not None else None,
        cidr=cidr,
        remote_group=draw(st.sampled_from(SETS[:2])) if other == "group" else None,
        address_group=draw(st.sampled_from(SETS[2:])) if other == "address group" else None,
        log=draw(st.booleans()),
    )


@st.composite
def entry(draw: st.DrawFn) -> tuple[str, AddressEntry]:
    entry = AddressEntry(group=draw(st.sampled_from(SETS[2:])), prefix=draw(st.sampled_from(PREFIXES)))
    return entry.id, entry


@st.composite
def number(draw: st.DrawFn) -> tuple[str, Number]:
    """As `renumber` gives them, and as it never would: two with the same number."""
    if draw(st.booleans()):
        each = Number(POLICY, draw(_policies), draw(st.integers(1, 3)))
    else:
        owner = f"{draw(st.sampled_from(SETS))}@{draw(st.integers(0, 3))}"
        each = Number(CONJUNCTION, owner, draw(st.integers(1, 4)))
    return each.id, each


def everything() -> list[Change]:
    """Three groups with rules of every kind, and numbers for all of it."""
    facets: list[Facet] = [
        Group(id="g1", name="g1"),
        Group(id="g2", name="g2", ingress=Action.ALLOW, egress=Action.DENY),
        Group(id="g3", name="g3"),
        Rule(id="r1", name="r1", group="g1", direction=Direction.INGRESS, remote_group="g1", log=True),
        Rule(
            id="r2",
            name="r2",
            group="g1",
            direction=Direction.INGRESS,
            protocol=Protocol.TCP,
            ports=(80, 95),
            address_group="a1",
        ),
        Rule(
            id="r3",
            name="r3",
            group="g2",
            direction=Direction.EGRESS,
            action=Action.DENY,
            protocol=Protocol.UDP,
            cidr="10.0.0.0/24",
        ),
        Rule(id="r4", name="r4", group="g2", direction=Direction.EGRESS, remote_group="g2", priority=1),
        *(AddressEntry(group="a1", prefix=prefix) for prefix in PREFIXES),
        *(Number(POLICY, owner, each) for each, owner in enumerate(["g1", "g1,g2", "g2", "g3"], 1)),
        *(Number(CONJUNCTION, owner, each) for each, owner in enumerate(["g1@0", "a1@0", "g2@2"], 1)),
    ]
    return [Change(type(facet), facet.id, facet) for facet in facets]
