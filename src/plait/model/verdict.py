"""Which rule decides? Policy as people mean it, over entities alone: no flows, no packets.

An attempt is the first packet of a connection. Whatever belongs to the connection is judged as it is, at
both ends, in both directions: an answer passes where the attempt that it answers would.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import ip_network

import msgspec

from plait.model.checks import Invalid, ip
from plait.model.entities import Port
from plait.model.policy import Action, Direction, Group, Protocol, Rule
from plait.model.topology import span

MAX_NUMBER = 65535


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """The first packet of a connection. `number`: the destination port, of protocols that have ports."""

    source: str
    target: str
    protocol: Protocol
    number: int = 0
    icmp_type: int = 0
    icmp_code: int = 0

    def __post_init__(self) -> None:
        if ip(self.source).version != ip(self.target).version:
            raise Invalid(f"{self.source} and {self.target} are of two families: choose two of one")
        if self.protocol is Protocol.ANY:
            raise Invalid("an attempt has one protocol: choose tcp, udp, sctp or icmp")
        if not 0 <= self.number <= MAX_NUMBER:
            raise Invalid(f"port {self.number} is out of range: choose 0 to {MAX_NUMBER}")

    @property
    def family(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.target else 4

    def other(self, direction: Direction) -> str:
        """The address of the other side, seen from the end that this direction is of."""
        return self.target if direction is Direction.EGRESS else self.source


class PassedOver(msgspec.Struct, frozen=True):
    """A rule that does not decide, and why not."""

    rule: Rule
    reason: str


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What one end says. `rule` decided; without one the default of `group` did, without that either nobody.

    `others` are the rules of this direction that did not, the highest first.
    """

    port: Port
    direction: Direction
    is_allowed: bool
    rule: Rule | None = None
    group: Group | None = None
    others: tuple[PassedOver, ...] = ()


class Sets(msgspec.Struct, frozen=True):
    """Who is who. `members`: address of another side -> the groups that its holders are in, as far as the
    port's domain reaches; `prefixes`: what address groups contain; `names` of groups. All by ids."""

    members: Mapping[str, frozenset[str]]
    prefixes: Mapping[str, frozenset[str]]
    names: Mapping[str, str] = {}

    def name(self, id: str) -> str:
        """Of a group or address group; its id if nobody knows more."""
        return self.names.get(id, id)


def judge(
    port: Port,
    direction: Direction,
    attempt: Attempt,
    *,
    groups: Iterable[Group],
    rules: Iterable[Rule],
    sets: Sets,
) -> Judgement:
    """What `port` says to an attempt that it makes (egress) or is the target of (ingress).

    `groups` and `rules` are those of all its groups. Of rules that match the highest rank decides, then
    the first by id.
    """
    own = sorted((each for each in groups if each.id in port.groups), key=lambda each: each.id)
    if not port.security or not port.groups:
        return Judgement(port=port, direction=direction, is_allowed=True)
    candidates = sorted(
        (rule for rule in rules if rule.group in port.groups and rule.direction is direction),
        key=lambda rule: (-rule.rank, rule.id),
    )
    decisive: Rule | None = None
    others: list[PassedOver] = []
    for rule in candidates:
        reason = mismatch(rule, attempt, sets)
        if not reason and decisive is None:
            decisive = rule
            continue
        others.append(PassedOver(rule, reason or _outranked(rule, decisive)))
    if decisive is not None:
        return Judgement(
            port=port,
            direction=direction,
            is_allowed=decisive.action is Action.ALLOW,
            rule=decisive,
            group=next((each for each in own if each.id == decisive.group), None),
            others=tuple(others),
        )
    denying = next((each for each in own if default_of(each, direction) is Action.DENY), None)
    return Judgement(
        port=port,
        direction=direction,
        is_allowed=denying is None,
        group=denying,
        others=tuple(others),
    )


def default_of(group: Group, direction: Direction) -> Action:
    """What a group says where no rule decides."""
    return group.ingress if direction is Direction.INGRESS else group.egress


def mismatch(rule: Rule, attempt: Attempt, sets: Sets) -> str:
    """Why a rule has nothing to say to an attempt; "" when it has."""
    if attempt.family not in rule.families:
        return f"it is for IPv{rule.families[0]}"
    if rule.protocol is not Protocol.ANY and rule.protocol is not attempt.protocol:
        return f"it is for {rule.protocol}"
    if rule.ports is not None and not rule.ports[0] <= attempt.number <= rule.ports[1]:
        first, last = rule.ports
        return f"it is for port {first}" if first == last else f"it is for ports {first}-{last}"
    if rule.icmp_type is not None and rule.icmp_type != attempt.icmp_type:
        return f"it is for ICMP type {rule.icmp_type}"
    if rule.icmp_code is not None and rule.icmp_code != attempt.icmp_code:
        return f"it is for ICMP code {rule.icmp_code}"
    return _not_the_other_side(rule, attempt.other(rule.direction), sets)


def _not_the_other_side(rule: Rule, other: str, sets: Sets) -> str:
    if rule.cidr is not None and not span(rule.cidr).covers(span(other)):
        return f"{other} is not in {rule.cidr}"
    if rule.remote_group is not None and rule.remote_group not in sets.members.get(other, frozenset()):
        return f"{other} is no member of group {sets.name(rule.remote_group)!r}"
    if rule.address_group is not None:
        prefixes = sets.prefixes.get(rule.address_group, frozenset())
        if not prefixes & _prefixes_with(other):
            return f"{other} is not in address group {sets.name(rule.address_group)!r}"
    return ""


@lru_cache(maxsize=64)
def _prefixes_with(address: str) -> frozenset[str]:
    """Every prefix that an address is in, as text: address groups may be large."""
    lengths = range(ip(address).max_prefixlen + 1)
    return frozenset(str(ip_network((address, bits), strict=False)) for bits in lengths)


def _outranked(rule: Rule, decisive: Rule | None) -> str:
    assert decisive is not None
    if rule.priority < decisive.priority:
        return f"its priority is {rule.priority}, and {decisive.priority} comes first"
    if rule.action is not decisive.action:
        return "of equal priority, and deny comes first"
    return "it says the same, and one is enough"
