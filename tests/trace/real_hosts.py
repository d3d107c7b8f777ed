"""Three real Open vSwitches, one a host: a packet's way through a world's flows, as the switches tell it.

What a switch sends into a tunnel comes in at the host that has the far end's address, with what the first
switch made of it. Nothing of the simulator is used.
"""

import asyncio
from collections.abc import Mapping
from ipaddress import ip_address

from plait.flows.connection import State
from plait.flows.packet import Packet, exact_text
from plait.flows.pipeline import Table
from plait.intent.path import Site
from plait.intent.stored_view import TUNNEL_OFPORTS
from plait.model.entities import Network
from plait.model.facets import Attachment

from .real_switch import OpenVSwitch, RealSwitch, RealTrace
from .scene import VTEPS
from .worlds import PORTS_PER_HOST


class RealHosts:
    """The switches by host. `use` gives them the flows of a world."""

    def __init__(self, switches: Mapping[str, OpenVSwitch]) -> None:
        self._switches = {
            host: RealSwitch(each, "w", host=host, ports=PORTS_PER_HOST, tunnels=TUNNEL_OFPORTS)
            for host, each in switches.items()
        }
        self._sites: Mapping[str, Site] = {}

    async def use(self, sites: Mapping[str, Site]) -> None:
        """Have the flows and groups of these hosts."""
        self._sites = sites
        await asyncio.gather(*(self._switches[host].load(site.compiler) for host, site in sites.items()))

    async def fate(self, host: str, port: str, packet: Packet, state: State) -> str:
        """Where it gets, or is lost, as the oracle says it."""
        attachment = self._sites[host].view.get(Attachment, port)
        assert attachment is not None, f"{port} is not plugged in on {host}"
        return await self._go(host, packet, {"in_port": attachment.ofport}, state)

    async def _go(self, host: str, packet: Packet, where: Mapping[str, int], state: State) -> str:
        size_bytes = packet.size_bytes or 0
        flow = exact_text(packet, **where)
        seen = await self._switches[host].trace(flow, size_bytes=size_bytes, state=state)
        if not seen.ends or seen.ends == (("controller",),):
            return lost_in(seen)
        (end,) = seen.ends
        if end[0] == "port":
            port = self._sites[host].port_at(int(str(end[1])))
            return f"to {port}"
        assert end[0] == "tunnel", end
        _, vtep, vni = end
        far = next(name for name, address in VTEPS.items() if int(ip_address(address)) == vtep)
        network = next(each for each in self._sites[host].view.all(Network) if each.vni == vni)
        where = {"in_port": TUNNEL_OFPORTS[network.transport], "tun_id": int(str(vni))}
        return await self._go(far, changed(packet, seen), where, state)


def lost_in(seen: RealTrace) -> str:
    """By the last table that it was in."""
    return _LOST_IN.get(seen.steps[-1][0], "way")


_LOST_IN = {Table.EGRESS_RULES: "egress", Table.INGRESS_RULES: "ingress", Table.DELIVER: "itself"}


def changed(packet: Packet, seen: RealTrace) -> Packet:
    """What a switch made of a packet: routers change MACs and the TTL."""
    return Packet({**packet.fields, **seen.rewritten}, packet.size_bytes)
