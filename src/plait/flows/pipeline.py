"""THE tables, in the order in which a packet meets them. Nothing else in Plait knows a table's number.

    CLASSIFY --from a port--> PORT_SECURITY --> RESOLVE --ARP, ND--> ANSWER --ND--> ANSWER_ND --> back out
        |                                          |
        |                                          v
        +--from a tunnel------------------------> L2 --here--> DELIVER
                                                   |
                                                   +--on another host--> TRANSPORT --> ENCAPSULATE

A packet goes down only, so no loop is possible. Between the numbers is room for tables to come.
"""

from enum import IntEnum

import msgspec

from plait.flows.flow import Flow
from plait.wire.openflow.decode import decode_instructions
from plait.wire.openflow.oxm import decode_match
from plait.wire.openflow.parsed import GotoTable


class Table(IntEnum):
    """Table numbers; the order is the pipeline's."""

    CLASSIFY = 0
    PORT_SECURITY = 5
    RESOLVE = 10
    ANSWER = 11
    ANSWER_ND = 12
    L2 = 30
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
        f"in_port eth_src arp_sha arp_spa ipv4_src ipv6_src udp_src udp_dst icmpv6_type {_IP_FIELDS}",
        (Table.RESOLVE,),
        "drop: not the port's own addresses",
    ),
    _declare(
        Table.RESOLVE,
        "who has this address? ARP, neighbour solicitations and group reports stop here",
        f"reg0 arp_op arp_tpa arp_sha icmpv6_type icmpv6_code nw_ttl nd_target eth_src {_IP_FIELDS}",
        (Table.ANSWER, Table.L2),
        "on to L2; but ARP, ND and router discovery that nobody answered are dropped",
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
        f"ipv6_dst icmpv6_type {_IP_FIELDS}",
        (),
        "drop",
    ),
    _declare(
        Table.L2,
        "where does the destination MAC live?",
        f"reg0 eth_dst ipv4_dst ipv6_dst {_IP_FIELDS}",
        (Table.TRANSPORT, Table.DELIVER),
        "drop: unknown unicast, broadcast and multicast that nobody subscribed to",
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
    for part in decode_instructions(flow.instructions):
        if isinstance(part, GotoTable) and part.table not in declaration.leads_to:
            raise Undeclared(f"{flow}: {declaration.table.name} does not lead to table {part.table}")


def table_name(number: int) -> str:
    """The table's name in lower case; a number that is not ours as it is."""
    return Table(number).name.lower() if number in DECLARATIONS else str(number)
