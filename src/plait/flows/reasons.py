"""Why a packet ends where it ends, in words for people."""

from plait.flows.flow import Flow
from plait.flows.pipeline import DECLARATIONS, Table, table_name
from plait.flows.punt import Punt
from plait.flows.registers import ROUTER
from plait.wire.openflow.oxm import decode_match

_OF_TABLE: dict[int, str] = {
    Table.PORT_SECURITY: "endpoints are neither routers nor DHCP servers, and announce no neighbours",
    Table.RESOLVE: "no endpoint of this network has the address that is asked for",
    Table.EGRESS_RULES: "the sender's groups do not allow it, or it belongs to no connection",
    Table.INGRESS_RULES: "the receiver's groups do not allow it, or it belongs to no connection",
    Table.ROUTE: "link-local, multicast and local addresses are not routed",
    Table.LOCAL: "a router answers echo requests, and no other ICMP",
    Table.TRANSPORT: "it came from another host, and never leaves for one",
    Table.ENCAPSULATE: "it is larger than the network's MTU",
}
_OWN_ADDRESS = "the sender asks for its own address: nobody else has it, so nobody answers"
_NOT_HERE_YET = "the network that the route leads to is not known here yet"
_ASKS_AS_OWNER = frozenset({"arp_sha", "eth_src"})
_OF_PUNT: dict[int, str] = {
    Punt.TOO_BIG: "it is larger than the network's MTU; the sender is told so by ICMP",
    Punt.TTL_EXPIRED: "its TTL has run out at the router; the sender is told so by ICMP",
    Punt.NO_ROUTE: "the router has no route to it; the sender is told so by ICMP",
    Punt.NO_HOST: "no endpoint has the address, or the next hop's; the sender is told so by ICMP",
    Punt.NO_PORT: "nobody listens there at the router; the sender is told so by ICMP",
    Punt.DHCP: "it asks for an address; its host answers, if it comes from the port's own MAC",
    Punt.DHCPV6: "it asks for an address or options; its host answers, if it comes from the port's own MAC",
    Punt.ROUTER_SOLICITATION: "it asks who is a router; its host answers",
    Punt.CLAIM: "it says that an address of its pairs is its own from now on: its host takes note",
    Punt.MEMBERSHIP: "it says which multicast groups the endpoint wants: its host takes note",
}


def of_drop(table: int, flow: Flow | None) -> str:
    """Why `flow` (None: no flow at all) of a table drops."""
    declaration = DECLARATIONS.get(table)
    if declaration is None or flow is None:
        return f"table {table_name(table)} has no flow for it"
    if flow.priority == 0:
        return declaration.miss.removeprefix("drop: ")
    if table == Table.RESOLVE and decode_match(flow.match).keys() & _ASKS_AS_OWNER:
        return _OWN_ADDRESS
    if table == Table.ROUTE and ROUTER.field in decode_match(flow.match):
        return _NOT_HERE_YET
    return _OF_TABLE.get(table, f"a flow of table {table_name(table)} drops it")


def of_punt(userdata: bytes) -> str:
    """Why a packet was handed to the agent, and what that does with it."""
    return _OF_PUNT.get(userdata[0] if userdata else 0, "it is handed to the agent")
