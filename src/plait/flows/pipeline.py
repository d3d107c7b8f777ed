"""THE tables, in the order in which a packet meets them. Nothing else in Plait knows a table's number.

    CLASSIFY --from a port--> PORT_SECURITY --> RESOLVE --ARP, ND--> ANSWER --ND--> ANSWER_ND --> back out
        |                                          |
        |                                          +--pings of the gateway--> LOCAL --> back out
        |                                          +--DHCP, RS, reports of groups--> the agent
        |                                          v
        |             EGRESS --has a policy--> conntrack --> EGRESS_RULES --> EGRESS_ADMIT
        |                |                                                        |
        |                +------------------------- GATEWAY <---------------------+
        |                                              |
        |             NEIGHBOUR <-- NEXT_HOP <-- ROUTE <--to a router's MAC
        |                 v                       |    |
        |                 |                       +----|--its own address--> LOCAL
        +--from a tunnel-> L2 <------------------------+
                           |
                           +--here, has a policy--> conntrack --> INGRESS_RULES --> INGRESS_ADMIT
                           |                                                             v
                           +--here, has none-----------------------------------------> DELIVER
                           |
                           +--on another host--> TRANSPORT --> ENCAPSULATE

What a router can't do for a packet (ROUTE, NEIGHBOUR, LOCAL), and what is too large for where it goes
(NEIGHBOUR, ENCAPSULATE), goes to the agent, which tells the sender. A route with one next hop leads to
NEIGHBOUR at once.
A packet goes down only, so no loop is possible. Between the numbers is room for tables to come.
"""

from collections.abc import Iterator
from enum import IntEnum

import msgspec

from plait.flows.flow import Flow
from plait.wire.openflow.decode import decode_instructions
from plait.wire.openflow.oxm import decode_match
from plait.wire.openflow.parsed import ApplyActions, Ct, GotoTable


class Table(IntEnum):
    """Table numbers; the order is the pipeline's."""

    CLASSIFY = 0
    PORT_SECURITY = 5
    RESOLVE = 10
    ANSWER = 11
    ANSWER_ND = 12
    EGRESS = 15
    EGRESS_RULES = 16
    EGRESS_ADMIT = 17
    GATEWAY = 20
    ROUTE = 21
    NEXT_HOP = 22
    NEIGHBOUR = 23
    LOCAL = 24
    L2 = 30
    INGRESS_RULES = 41
    INGRESS_ADMIT = 42
    TRANSPORT = 50
    ENCAPSULATE = 51
    DELIVER = 60


class Declaration(msgspec.Struct, frozen=True):
    """What a table is for: the fields it may match, the tables it may lead to, and what happens on a miss."""

    table: Table
    purpose: str
    matches: frozenset[str]
    leads_to: tuple[Table, ...]
    miss: str


def _declare(table: Table, purpose: str, matches: str, leads_to: tuple[Table, ...], miss: str) -> Declaration:
    return Declaration(table, purpose, frozenset(matches.split()), leads_to, miss)


_IP_FIELDS = "eth_type ip_proto"
_ADDRESSES = "ipv4_src ipv4_dst ipv6_src ipv6_dst"
_PORTS = "tcp_src tcp_dst udp_src udp_dst sctp_src sctp_dst icmpv4_type icmpv4_code icmpv6_type icmpv6_code"
_RULE_FIELDS = f"ct_state conj_id reg5 reg8 ip_frag {_ADDRESSES} {_PORTS} {_IP_FIELDS}"

PIPELINE: tuple[Declaration, ...] = (
    _declare(
        Table.CLASSIFY,
        "which network is it in, and did it come from an endpoint or from another host?",
        "in_port vlan_vid tun_id",
        (Table.PORT_SECURITY, Table.L2),
        "drop: an unknown port, or a network that has no part here",
    ),
    _declare(
        Table.PORT_SECURITY,
        "does the endpoint send as itself?",
        f"in_port eth_src eth_dst arp_op arp_sha arp_spa arp_tpa udp_src udp_dst icmpv6_type nd_target"
        f" {_ADDRESSES} {_IP_FIELDS}",
        (Table.RESOLVE,),
        "drop: not the port's own addresses",
    ),
    _declare(
        Table.RESOLVE,
        "who has this address? ARP, ND, group reports, DHCP and pings of the gateway stop here",
        "reg0 in_port arp_op arp_spa arp_tpa arp_sha icmpv6_type icmpv6_code nw_ttl nd_target eth_src eth_dst"
        f" ip_frag udp_src udp_dst {_ADDRESSES} {_IP_FIELDS}",
        (Table.ANSWER, Table.EGRESS, Table.LOCAL),
        "on to EGRESS; but ARP, ND and router discovery that nobody answered are dropped",
    ),
    _declare(
        Table.ANSWER,
        "turn a question about an address into its answer",
        f"ipv6_src icmpv6_type {_IP_FIELDS}",
        (Table.ANSWER_ND,),
        "drop",
    ),
    _declare(
        Table.ANSWER_ND,
        "fill in what only an advertisement has",
        f"reg9 ipv6_dst icmpv6_type {_IP_FIELDS}",
        (),
        "drop",
    ),
    _declare(
        Table.EGRESS,
        "is the sender filtered? Then by its connection",
        f"reg5 {_IP_FIELDS}",
        (Table.EGRESS_RULES, Table.GATEWAY),
        "drop: the sender is filtered, and this belongs to no connection",
    ),
    _declare(
        Table.EGRESS_RULES,
        "may the sender send this, and may it answer this?",
        _RULE_FIELDS,
        (Table.EGRESS_ADMIT, Table.GATEWAY),
        "drop: no rule of the sender's groups allows it",
    ),
    _declare(
        Table.EGRESS_ADMIT,
        "remember a new connection of the sender's",
        f"ct_state ip_frag {_IP_FIELDS}",
        (Table.GATEWAY,),
        "on to GATEWAY: the connection is known",
    ),
    _declare(
        Table.GATEWAY,
        "is it for a router?",
        f"reg0 eth_dst {_IP_FIELDS}",
        (Table.ROUTE, Table.L2),
        "on to L2: it stays in its network",
    ),
    _declare(
        Table.ROUTE,
        "where to by the router's routes? A used-up TTL ends here",
        f"reg0 reg9 nw_ttl {_ADDRESSES} {_IP_FIELDS}",
        (Table.NEXT_HOP, Table.NEIGHBOUR, Table.LOCAL),
        "the sender is told that there is no route",
    ),
    _declare(
        Table.NEXT_HOP,
        "which of the route's next hops?",
        f"reg9 reg11 {_ADDRESSES} {_IP_FIELDS}",
        (Table.NEIGHBOUR,),
        "drop: the next hop is unknown",
    ),
    _declare(
        Table.NEIGHBOUR,
        "which MAC has the next hop?",
        f"reg0 reg2 reg10 reg12 reg13 reg14 reg15 {_IP_FIELDS}",
        (Table.L2,),
        "the sender is told that nobody has the address",
    ),
    _declare(
        Table.LOCAL,
        "for the router itself: it answers pings, and has nothing else to offer",
        f"ip_frag icmpv4_type icmpv6_type {_IP_FIELDS}",
        (),
        "the sender is told that nobody listens there",
    ),
    _declare(
        Table.L2,
        "where does the destination MAC live?",
        f"reg0 eth_dst ipv4_dst ipv6_dst {_IP_FIELDS}",
        (Table.TRANSPORT, Table.INGRESS_RULES, Table.DELIVER),
        "drop: unknown unicast, broadcast and multicast that nobody subscribed to",
    ),
    _declare(
        Table.INGRESS_RULES,
        "may the receiver receive this, and is this its answer?",
        _RULE_FIELDS,
        (Table.INGRESS_ADMIT, Table.DELIVER),
        "drop: no rule of the receiver's groups allows it",
    ),
    _declare(
        Table.INGRESS_ADMIT,
        "remember a new connection of the receiver's",
        f"ct_state ip_frag {_IP_FIELDS}",
        (Table.DELIVER,),
        "on to DELIVER: the connection is known",
    ),
    _declare(
        Table.TRANSPORT,
        "by which tunnel, and does it fit?",
        "reg0 reg2",
        (Table.ENCAPSULATE,),
        "drop: the network's transport is not ready",
    ),
    _declare(
        Table.ENCAPSULATE,
        "out to the other host; of what is too large the sender is told",
        "reg2 eth_type",
        (),
        "output to the tunnel",
    ),
    _declare(Table.DELIVER, "out to the endpoint", "", (), "output to the port"),
)

DECLARATIONS: dict[int, Declaration] = {declaration.table: declaration for declaration in PIPELINE}


class Undeclared(ValueError):
    """A flow does what its table's declaration does not allow."""


def check(flow: Flow) -> None:
    """Raises `Undeclared` when a flow matches, or leads to, what its table does not declare."""
    declaration = DECLARATIONS.get(flow.table)
    if declaration is None:
        raise Undeclared(f"{flow}: table {flow.table} is not declared")
    undeclared = decode_match(flow.match).keys() - declaration.matches
    if undeclared:
        raise Undeclared(f"{flow}: {declaration.table.name} does not match {', '.join(sorted(undeclared))}")
    for table in _leads_to(flow):
        if table not in declaration.leads_to:
            raise Undeclared(f"{flow}: {declaration.table.name} does not lead to table {table}")


def _leads_to(flow: Flow) -> Iterator[int]:
    """The tables that a flow sends packets to, at once or by way of the connection tracker."""
    for part in decode_instructions(flow.instructions):
        if isinstance(part, GotoTable):
            yield part.table
        elif isinstance(part, ApplyActions):
            for action in part.actions:
                if isinstance(action, Ct) and action.table is not None:
                    yield action.table


def table_name(number: int) -> str:
    """The table's name in lower case; a number that is not ours as it is."""
    return Table(number).name.lower() if number in DECLARATIONS else str(number)
