"""A router's interface on a network of this host: the gateway that endpoints see.

who has the gateway's address? (ARP, ND) --> ANSWER, with the interface's MAC
a packet to that MAC --> ROUTE, in the name of the router
a packet to its link-local address --> LOCAL

The same on every host: wherever an endpoint is, its gateway is there too.
"""

from collections.abc import Iterator

from plait.apps.resolve import resolve_v4, resolve_v6
from plait.apps.router_rules import OWN_ADDRESS_PRIORITY
from plait.flows.address_numbers import ipv4_number, ipv6_number, link_local_number, mac_number
from plait.flows.flow import Flow, flow
from plait.flows.pipeline import Table
from plait.flows.registers import NETWORK, ROUTER
from plait.model.lens import Lens
from plait.wire.internet import ETH_IPV4, ETH_IPV6
from plait.wire.openflow.actions import apply, goto, instructions, set_field
from plait.wire.openflow.oxm import match

_TO_ANSWER = goto(Table.ANSWER)
_TO_ROUTE = goto(Table.ROUTE)
_TO_LOCAL = goto(Table.LOCAL)


def interface(lens: Lens, id: str) -> Iterator[Flow]:
    """The way into one router from one subnet, for packets of the subnet's family."""
    interface = lens.interface(id)
    if interface is None:
        return
    network, router = lens.network(interface.network), lens.router(interface.router)
    if network is None or router is None:
        return
    mac = mac_number(interface.mac)
    # ANSWER_ND tells by the register that it is a router who answers.
    answer = instructions(apply(set_field("eth_dst", mac), ROUTER.set(router.vni)), _TO_ANSWER)
    if interface.version == 4:
        eth_type = ETH_IPV4
        address = ipv4_number(interface.address)
        yield from resolve_v4(network.vni, address, mac, answer, here=False)
    else:
        eth_type = ETH_IPV6
        link_local = link_local_number(mac)
        for address in (ipv6_number(interface.address), link_local):
            yield from resolve_v6(network.vni, address, mac, answer, here=False)
        to_link_local = {**NETWORK.is_(network.vni), **ROUTER.is_(router.vni), "ipv6_dst": link_local}
        yield flow(Table.ROUTE, OWN_ADDRESS_PRIORITY, match(**to_link_local, eth_type=ETH_IPV6), _TO_LOCAL)
    yield flow(
        Table.GATEWAY,
        100,
        match(**NETWORK.is_(network.vni), eth_dst=mac, eth_type=eth_type),
        instructions(apply(ROUTER.set(router.vni)), _TO_ROUTE),
    )
