"""Why a packet ends where it ends, in words for people."""

from plait.flows.flow import Flow
from plait.flows.pipeline import DECLARATIONS, Table, table_name
from plait.flows.punt import Punt
from plait.wire.openflow.oxm import decode_match

_OF_TABLE: dict[int, str] = {
    Table.PORT_SECURITY: "endpoints are neither routers nor DHCP servers, and announce no neighbours",
    Table.RESOLVE: "no endpoint of this network has the address that is asked for",
    Table.TRANSPORT: "it came from another host, and never leaves for one",
    Table.ENCAPSULATE: "it is larger than the network's MTU",
}
_OWN_ADDRESS = "the sender asks for its own address: nobody else has it, so nobody answers"
_ASKS_AS_OWNER = frozenset({"arp_sha", "eth_src"})
_OF_PUNT: dict[int, str] = {
    Punt.TOO_BIG: "it is larger than the network's MTU; the sender is told so by ICMP",
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
    return _OF_TABLE.get(table, f"a flow of table {table_name(table)} drops it")


def of_punt(userdata: bytes) -> str:
    """Why a packet was handed to the agent, and what that does with it."""
    return _OF_PUNT.get(userdata[0] if userdata else 0, "it is handed to the agent")
