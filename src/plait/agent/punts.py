"""Packets that flows can't answer come here, a few a second, and are answered."""

import structlog

from plait.agent.engine import Engine
from plait.flows.punt import Punt
from plait.flows.registers import NETWORK
from plait.model.entities import Network
from plait.net.openflow import OpenFlowConnection
from plait.wire.errors import MalformedMessage
from plait.wire.icmp import too_big
from plait.wire.openflow.actions import output
from plait.wire.openflow.oxm import decode_match
from plait.wire.openflow.packets import PacketIn

log = structlog.get_logger("plait.punts")


class Punts:
    """Answers packets; bad ones are counted and never logged as they are."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.answered = 0
        self.refused = 0

    async def take(self, connection: OpenFlowConnection, packet: PacketIn) -> None:
        try:
            came_by, answer = self._answer(packet)
        except MalformedMessage as error:
            self.refused += 1
            log.debug("packet refused", reason=str(error))
            return
        if answer is not None:
            self.answered += 1
            await connection.packet_out(answer, output(came_by))

    def _answer(self, packet: PacketIn) -> tuple[int, bytes | None]:
        """The port that the packet came by, and the frame that goes back to it."""
        metadata = decode_match(packet.metadata)
        came_by, vni = metadata.get("in_port"), metadata.get(NETWORK.field)
        if not isinstance(came_by, int) or not isinstance(vni, int):
            raise MalformedMessage("metadata", 0, "no port or no network")
        if packet.userdata[:1] != bytes((Punt.TOO_BIG,)):
            raise MalformedMessage("userdata", 0, "no reason that is known")
        view = self._engine.view
        network = next((network for network in view.all(Network) if network.vni == vni), None)
        mtu_bytes = None if network is None else view.mtu_bytes(network)
        return came_by, None if mtu_bytes is None else too_big(packet.data, mtu_bytes)
