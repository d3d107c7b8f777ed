"""How a rule's words become matches, in the table of its direction and, mirrored, in the other one.

A packet that goes the way of its connection meets the rules of its own direction. One that comes back meets,
mirrored, those that the connection came in by: so each packet is judged by the rules as they stand now.

    egress rule    EGRESS_RULES, ct -rpl: to the other side, to its port     --> EGRESS_ADMIT
                   INGRESS_RULES, ct +rpl: from the other side, from its port --> INGRESS_ADMIT
    ingress rule   the same with the tables exchanged
"""

import ipaddress

import msgspec

from plait.flows.connection import State
from plait.flows.pipeline import Table
from plait.flows.registers import DOMAIN, POLICY
from plait.model.policy import Direction, Protocol
from plait.model.slots import Slot
from plait.wire.internet import ETH_IPV4, ETH_IPV6, PROTO_ICMP, PROTO_ICMPV6, PROTO_TCP, PROTO_UDP
from plait.wire.openflow.actions import goto
from plait.wire.openflow.oxm import Value

Fields = dict[str, Value]

PROTO_SCTP = 132

DEFAULT_PRIORITY = 5
_FIRST_RULE_PRIORITY = 10

_NUMBERS = {Protocol.TCP: PROTO_TCP, Protocol.UDP: PROTO_UDP, Protocol.SCTP: PROTO_SCTP}
_ETH_TYPES = {4: ETH_IPV4, 6: ETH_IPV6}
_ANSWERS = {4: {8: 0, 13: 14, 15: 16, 17: 18}, 6: {128: 129, 139: 140}}
"""The ICMP type that answers each type which is answered (RFC 792, RFC 950, RFC 4443, RFC 4620)."""

ONWARD: Fields = {"ct_state": (State.TRACKED, State.TRACKED | State.REPLY)}
"""Goes the way of its connection."""
FIRST: Fields = {"ct_state": (State.TRACKED | State.NEW, State.TRACKED | State.REPLY | State.NEW)}
NOT_FIRST: Fields = {"ct_state": (State.TRACKED, State.TRACKED | State.REPLY | State.NEW)}
"""Of those that go onward: the first ones of connections, and the others."""
BACK: Fields = {"ct_state": (State.TRACKED | State.REPLY, State.TRACKED | State.REPLY)}
"""Comes back on it."""

ADMIT = {Table.EGRESS_RULES: goto(Table.EGRESS_ADMIT), Table.INGRESS_RULES: goto(Table.INGRESS_ADMIT)}
"""What to allow is, by the table that decides."""


class Side(msgspec.Struct, frozen=True):
    """Where a rule is looked up: a table, and which way of a connection."""

    table: Table
    is_onward: bool

    @property
    def way(self) -> Fields:
        return ONWARD if self.is_onward else BACK


_SIDES = {
    Direction.EGRESS: (Side(Table.EGRESS_RULES, True), Side(Table.INGRESS_RULES, False)),
    Direction.INGRESS: (Side(Table.INGRESS_RULES, True), Side(Table.EGRESS_RULES, False)),
}


def sides(direction: Direction) -> tuple[Side, Side]:
    """The two places where rules of a direction are looked up: onward and back."""
    return _SIDES[direction]


def priority_of(rank: int) -> int:
    """The OpenFlow priority of a rule's rank: what allows and what denies never share one."""
    return _FIRST_RULE_PRIORITY + rank


def of_policy(number: int) -> Fields:
    """Packets that have to pass this policy."""
    return {**POLICY.is_(number)}


def traffic(slot: Slot, side: Side) -> Fields | None:
    """A piece of traffic as `side` sees it; None where there is none: the way back of ICMP unanswered."""
    fields: Fields = {"eth_type": _ETH_TYPES[slot.family]}
    match slot.protocol:
        case Protocol.ANY:
            return fields
        case Protocol.ICMP:
            return _icmp(slot, side, fields)
    fields["ip_proto"] = _NUMBERS[slot.protocol]
    if slot.ports is not None:
        fields[f"{slot.protocol}_{'dst' if side.is_onward else 'src'}"] = slot.ports
    return fields


def _icmp(slot: Slot, side: Side, fields: Fields) -> Fields | None:
    name = "icmpv4" if slot.family == 4 else "icmpv6"
    fields["ip_proto"] = PROTO_ICMP if slot.family == 4 else PROTO_ICMPV6
    if slot.icmp_type is None:
        return fields
    if not side.is_onward:
        answer = _ANSWERS[slot.family].get(slot.icmp_type)
        if answer is None or slot.icmp_code not in (None, 0):
            return None
        fields[f"{name}_type"] = answer
    else:
        fields[f"{name}_type"] = slot.icmp_type
    if slot.icmp_code is not None:
        fields[f"{name}_code"] = slot.icmp_code
    return fields


def from_or_to(table: Table, prefix: str) -> Fields:
    """Packets whose other side, seen from the port that `table` judges for, is in a prefix or an address."""
    network = ipaddress.ip_network(prefix)
    end = "dst" if table is Table.EGRESS_RULES else "src"
    value = int(network.network_address), int(network.netmask)
    return {"eth_type": _ETH_TYPES[network.version], f"ipv{network.version}_{end}": value}


def in_domain(number: int) -> Fields:
    """Packets of ports whose networks these are."""
    return {**DOMAIN.is_(number)}
