"""Packets that flows can't answer come here, are answered by the service for their reason, and counted."""

import asyncio
from collections.abc import Mapping

import structlog

from plait.agent.services.punted import Punted, Service
from plait.flows.punt import Punt
from plait.flows.registers import NETWORK, OUT_PORT, ROUTER
from plait.net.openflow import OpenFlowConnection
from plait.wire.errors import MalformedMessage
from plait.wire.openflow.actions import output
from plait.wire.openflow.oxm import decode_match
from plait.wire.openflow.packets import PacketIn

log = structlog.get_logger("plait.punts")

PORTION = 16
"""Packets taken in one turn, about half a millisecond: flows and the store have turns between."""


class Punts:
    """Bad packets are counted and never logged as they are."""

    def __init__(self, services: Mapping[Punt, Service]) -> None:
        self._services = {int(reason): service for reason, service in services.items()}
        self._taken = 0
        self.answered = 0
        self.refused = 0

    async def take(self, connection: OpenFlowConnection, packet: PacketIn) -> None:
        self._taken += 1
        if self._taken % PORTION == 0:
            await asyncio.sleep(0)
        try:
            punted, service = self._sorted(packet)
            answer = service(punted)
        except MalformedMessage as error:
            self.refused += 1
            log.debug("packet refused", reason=str(error))
            return
        if answer is not None:
            self.answered += 1
            await connection.packet_out(answer, output(punted.ofport))

    def _sorted(self, packet: PacketIn) -> tuple[Punted, Service]:
        metadata = decode_match(packet.metadata)
        ofport, vni = metadata.get("in_port"), metadata.get(NETWORK.field)
        if not isinstance(ofport, int) or not isinstance(vni, int):
            raise MalformedMessage("metadata", 0, "no port or no network")
        service = self._services.get(packet.userdata[0]) if packet.userdata else None
        if service is None:
            raise MalformedMessage("userdata", 0, "no reason that is known")
        router = metadata.get(ROUTER.field, 0)
        if not isinstance(router, int):
            raise MalformedMessage("metadata", 0, "not the whole of a router's number")
        out_port = metadata.get(OUT_PORT.field, 0)
        if not isinstance(out_port, int):
            raise MalformedMessage("metadata", 0, "not the whole of a port's number")
        return Punted(ofport, vni, packet.data, packet.userdata[1:], router, packet.table, out_port), service
