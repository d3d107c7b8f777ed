"""A router's interface on a network of this host: the gateway that endpoints see.

who has the gateway's address? (ARP, ND) --> ANSWER, with the interface's MAC
a ping of it                             --> LOCAL: no policy stands between an endpoint and its gateway
any other packet to the MAC              --> ROUTE, in the name of the router
to the link-local address                --> LOCAL

The same on every host that has an endpoint of the network: wherever it is, its gateway is there too.
"""

from collections.abc import Iterator
from typing import Any

from plait.apps.resolve import resolve_v4, resolve_v6
from plait.apps.router_rules import LATER_FRAGMENT, OWN_ADDRESS_PRIORITY
from plait.flows.address_numbers import ipv4_number, ipv6_number, link_local_number, mac_number
from plait.flows.flow import Flow, flow
from plait.flows.pipeline import Table
from plait.flows.registers import NETWORK, ROUTER
from plait.model.lens import Lens
from plait.wire.internet import (
    ECHO_REQUEST_V6,
    ETH_IPV4,
    ETH_IPV6,
    PROTO_FRAGMENT,
    PROTO_ICMP,
    PROTO_ICMPV6,
)
from plait.wire.openflow.actions import apply, goto, instructions, set_field
from plait.wire.openflow.oxm import match

_TO_ANSWER = goto(Table.ANSWER)
_TO_ROUTE = goto(Table.ROUTE)
_TO_LOCAL = goto(Table.LOCAL)


def interface(lens: Lens, id: str) -> Iterator[Flow]:
    """The way into one router from one subnet, for packets of the subnet's family."""
    interface = lens.interface(id)
    if interface is None or not lens.takes_part(interface.network):
        return
    network, router = lens.network(interface.network), lens.router(interface.router)
    if network is None or router is None:
        return
    mac = mac_number(interface.mac)
    here: dict[str, Any] = NETWORK.is_(network.vni)
    # ANSWER_ND tells by the register that it is a router who answers.
    answer = instructions(apply(set_field("eth_dst", mac), ROUTER.set(router.vni)), _TO_ANSWER)
    if interface.version == 4:
        to_mac = {**here, "eth_dst": mac, "eth_type": ETH_IPV4}
        address = ipv4_number(interface.address)
        yield from resolve_v4(network.vni, address, mac, answer, here=False)
        yield flow(Table.RESOLVE, 70, match(**to_mac, ipv4_dst=address, ip_proto=PROTO_ICMP), _TO_LOCAL)
    else:
        to_mac = {**here, "eth_dst": mac, "eth_type": ETH_IPV6}
        link_local = link_local_number(mac)
        for address in (ipv6_number(interface.address), link_local):
            yield from resolve_v6(network.vni, address, mac, answer, here=False)
            ping = {"ip_proto": PROTO_ICMPV6, "icmpv6_type": ECHO_REQUEST_V6}
            for part in (ping, {"ip_proto": PROTO_FRAGMENT, "ip_frag": LATER_FRAGMENT}):
                yield flow(Table.RESOLVE, 70, match(**to_mac, ipv6_dst=address, **part), _TO_LOCAL)
        to_link_local = {**here, **ROUTER.is_(router.vni), "eth_type": ETH_IPV6, "ipv6_dst": link_local}
        yield flow(Table.ROUTE, OWN_ADDRESS_PRIORITY, match(**to_link_local), _TO_LOCAL)
    yield flow(Table.GATEWAY, 100, match(**to_mac), instructions(apply(ROUTER.set(router.vni)), _TO_ROUTE))
