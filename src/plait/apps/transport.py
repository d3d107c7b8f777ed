"""A network's way between hosts: its tunnel, its VNI, and what fits through.

L2 --tun_dst set--> TRANSPORT: tun_id, tunnel port, larger than the MTU? --> ENCAPSULATE: out, or drop
tunnel port, tun_id --> CLASSIFY: the network, FROM_TUNNEL --> L2
"""

from collections.abc import Iterator

from plait.flows.flow import Flow, flow
from plait.flows.pipeline import Table
from plait.flows.registers import FROM_TUNNEL, NETWORK, OVERSIZE, TUNNEL_PORT
from plait.model.lens import Lens
from plait.wire.internet import ETHERNET_HEADER_BYTES
from plait.wire.openflow.actions import apply, check_pkt_larger, goto, instructions, set_field
from plait.wire.openflow.oxm import match

_LARGEST_CHECKED_BYTES = 0xFFFF
"""What check_pkt_larger can compare with, and no frame of a tenant is larger than."""

_TO_L2 = goto(Table.L2)
_TO_ENCAPSULATE = goto(Table.ENCAPSULATE)


def network(lens: Lens, id: str) -> Iterator[Flow]:
    """In from tunnels and out to them, for one network of this host."""
    network = lens.network(id)
    if network is None:
        return
    tunnel = lens.tunnel(network.transport)
    if tunnel is None:
        return
    yield flow(
        Table.CLASSIFY,
        100,
        match(in_port=tunnel, tun_id=network.vni),
        instructions(apply(NETWORK.set(network.vni), FROM_TUNNEL.set(1)), _TO_L2),
    )
    mtu_bytes = lens.mtu_bytes(network)
    if mtu_bytes is None:
        return
    largest = min(mtu_bytes + ETHERNET_HEADER_BYTES, _LARGEST_CHECKED_BYTES)
    yield flow(
        Table.TRANSPORT,
        100,
        match(**NETWORK.is_(network.vni)),
        instructions(
            apply(
                set_field("tun_id", network.vni),
                TUNNEL_PORT.set(tunnel),
                check_pkt_larger(largest, OVERSIZE.field, OVERSIZE.offset),
            ),
            _TO_ENCAPSULATE,
        ),
    )
