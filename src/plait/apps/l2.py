"""Where each MAC lives: on a port of this host, or behind a tunnel. What is not known, the miss drops."""

from collections.abc import Iterator

from plait.apps.filtering import ADMITTED_ETH_TYPES, UNFILTERED, filter_of, way_into
from plait.flows.address_numbers import mac_number
from plait.flows.flow import Flow, flow
from plait.flows.pipeline import Table
from plait.flows.registers import NETWORK, OUT_PORT
from plait.flows.vtep import tunnel_to
from plait.model.lens import Lens
from plait.wire.openflow.actions import apply, goto, instructions
from plait.wire.openflow.oxm import match

_TO_DELIVER = goto(Table.DELIVER)
_TO_TRANSPORT = goto(Table.TRANSPORT)


def station(lens: Lens, id: str) -> Iterator[Flow]:
    """The way to one station."""
    station = lens.station(id)
    if station is None:
        return
    network = lens.network(station.network)
    if network is None:
        return
    destination = {**NETWORK.is_(network.vni), "eth_dst": mac_number(station.mac)}
    if station.ofport is None:
        host = lens.host(station.host or "")
        if host is not None:
            way = instructions(apply(tunnel_to(host.vtep)), _TO_TRANSPORT)
            yield flow(Table.L2, 100, match(**destination), way)
        return
    filter = filter_of(lens, station)
    if filter == UNFILTERED:
        way = instructions(apply(OUT_PORT.set(station.ofport)), _TO_DELIVER)
        yield flow(Table.L2, 100, match(**destination), way)
    elif filter is not None:
        # Above the way of a port that is not filtered, which may stand for a moment beside it.
        way = apply(way_into(station.ofport, filter))
        for eth_type in ADMITTED_ETH_TYPES:
            yield flow(Table.L2, 110, match(**destination, eth_type=eth_type), way)
