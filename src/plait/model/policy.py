"""Policy: who may talk to whom. Ports are in groups, groups have rules.

    Group          ports that are treated alike; what no rule decides, its defaults decide
    Rule           allows or denies what comes into, or goes out of, the ports of a group
    AddressGroup   a named set of prefixes that rules can refer to; AddressEntry is one of them

A port without a group is not filtered at all.
"""

from enum import StrEnum
from typing import ClassVar

from plait.model import checks
from plait.model.checks import Invalid
from plait.model.entities import DEFAULT_PROJECT, Entity

MAX_PRIORITY = 1000
PERSONAL = "port-"
"""What the id of a group begins with that is one port's own: the port's id follows."""


class Direction(StrEnum):
    """As the port sees it."""

    INGRESS = "ingress"
    EGRESS = "egress"


class Action(StrEnum):
    """What happens to the first packet of a connection, and to all that belong to it."""

    ALLOW = "allow"
    DENY = "deny"


class Protocol(StrEnum):
    """What a rule can tell apart; ICMP is ICMPv6 for IPv6."""

    TCP = "tcp"
    UDP = "udp"
    SCTP = "sctp"
    ICMP = "icmp"
    ANY = "any"

    @property
    def has_ports(self) -> bool:
        return self in (Protocol.TCP, Protocol.UDP, Protocol.SCTP)


class Group(Entity, frozen=True, kw_only=True, gc=False):
    """Ports that are treated alike. `ingress` and `egress` say what happens where no rule decides.

    Of a port in several groups one that denies by default is enough.
    """

    kind: ClassVar[str] = "group"

    id: str
    name: str
    project: str = DEFAULT_PROJECT
    ingress: Action = Action.DENY
    egress: Action = Action.ALLOW

    def __post_init__(self) -> None:
        checks.name(self.id, "group id")
        checks.name(self.name, "group")
        checks.name(self.project, "project")

    @property
    def is_personal(self) -> bool:
        """Whether it is one port's own, made for a pair policy."""
        return self.id.startswith(PERSONAL)


class Rule(Entity, frozen=True, kw_only=True, gc=False):
    """One rule of a group; of those that match the highest `priority` decides, at equal ones deny does.

    `family` 4, 6 or None (both). `ports`: the closed range of destination ports, of TCP, UDP and SCTP.
    `icmp_type`, `icmp_code`: need `family`, since the two ICMPs number differently. At most one of `cidr`,
    `remote_group`, `address_group` says who the other side is; without any it is everybody. `log`: first
    packets, and what is denied, are logged.
    """

    kind: ClassVar[str] = "rule"

    id: str
    name: str
    group: str
    direction: Direction
    action: Action = Action.ALLOW
    priority: int = 0
    family: int | None = None
    protocol: Protocol = Protocol.ANY
    ports: tuple[int, int] | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None
    cidr: str | None = None
    remote_group: str | None = None
    address_group: str | None = None
    log: bool = False

    def __post_init__(self) -> None:
        checks.name(self.id, "rule id")
        checks.rule_name(self.name)
        checks.name(self.group, "group id")
        if not 0 <= self.priority <= MAX_PRIORITY:
            raise Invalid(f"priority {self.priority} is out of range: choose 0 to {MAX_PRIORITY}")
        if self.family not in (None, 4, 6):
            raise Invalid(f"family {self.family} does not exist: choose 4 or 6, or leave it out for both")
        self._check_ports()
        self._check_icmp()
        self._check_remote()

    @property
    def families(self) -> tuple[int, ...]:
        """4, 6 or both: what the rule says something about."""
        if self.cidr is not None:
            return (6 if ":" in self.cidr else 4,)
        return (4, 6) if self.family is None else (self.family,)

    @property
    def rank(self) -> int:
        """What decides between rules, as a number: 0 to 2001, the highest wins."""
        return 2 * self.priority + (self.action is Action.DENY)

    @property
    def remote_set(self) -> str | None:
        """The group or address group that the other side must be in."""
        return self.remote_group or self.address_group

    def _check_ports(self) -> None:
        if self.ports is None:
            return
        first, last = self.ports
        if not self.protocol.has_ports:
            raise Invalid(
                f"protocol {self.protocol} has no ports: leave them out, or choose tcp, udp or sctp"
            )
        if not 0 <= first <= last <= 65535:
            raise Invalid(f"ports {first}-{last} are no range: choose FIRST-LAST within 0-65535")

    def _check_icmp(self) -> None:
        if self.icmp_type is None and self.icmp_code is None:
            return
        if self.protocol is not Protocol.ICMP:
            raise Invalid(f"protocol {self.protocol} has no ICMP types: leave them out, or choose icmp")
        if self.icmp_type is None:
            raise Invalid(f"ICMP code {self.icmp_code} needs a type: choose one, or leave the code out")
        for what, value in (("type", self.icmp_type), ("code", self.icmp_code)):
            if value is not None and not 0 <= value <= 255:
                raise Invalid(f"ICMP {what} {value} is out of range: choose 0 to 255")
        if len(self.families) != 1:
            raise Invalid("ICMP types differ between IPv4 and IPv6: choose family 4 or 6")

    def _check_remote(self) -> None:
        if sum(each is not None for each in (self.cidr, self.remote_group, self.address_group)) > 1:
            raise Invalid("a rule has one other side: choose a CIDR, a group or an address group")
        if self.cidr is not None:
            version = checks.prefix(self.cidr).version
            if self.family not in (None, version):
                raise Invalid(
                    f"{self.cidr} is not of family {self.family}: leave the family out, or choose {version}"
                )
        for group in (self.remote_group, self.address_group):
            if group is not None:
                checks.name(group, "group id")


class AddressGroup(Entity, frozen=True, kw_only=True, gc=False):
    """A named set of prefixes; what is in it stands in entries of their own."""

    kind: ClassVar[str] = "address group"

    id: str
    name: str
    project: str = DEFAULT_PROJECT

    def __post_init__(self) -> None:
        checks.name(self.id, "address group id")
        checks.name(self.name, "address group")
        checks.name(self.project, "project")


class AddressEntry(Entity, frozen=True, kw_only=True, gc=False):
    """One prefix of an address group."""

    kind: ClassVar[str] = "address"

    group: str
    prefix: str

    def __post_init__(self) -> None:
        checks.name(self.group, "address group id")
        if str(checks.prefix(self.prefix)) != self.prefix:
            raise Invalid(
                f"prefix {self.prefix!r} is not in canonical form: write {checks.prefix(self.prefix)}"
            )

    @property
    def id(self) -> str:
        """Unique in the cluster."""
        return f"{self.group}/{self.prefix}"
