"""Packets that flows can't answer come here, a few a second, and are answered."""

import structlog

from plait.agent.engine import Engine
from plait.flows.registers import NETWORK
from plait.model.entities import Network
from plait.model.facets import Attachment, Change, Subscription
from plait.net.openflow import OpenFlowConnection
from plait.wire.errors import MalformedMessage
from plait.wire.icmp import too_big
from plait.wire.membership import Wish, wishes
from plait.wire.openflow.actions import output
from plait.wire.openflow.oxm import decode_match
from plait.wire.openflow.packets import PacketIn

log = structlog.get_logger("plait.punts")

MAX_GROUPS = 64
"""Groups that one endpoint may ask for; as many as may be configured for a port."""


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
        match packet.userdata[:1]:
            case b"\x01":  # Punt.TOO_BIG
                return came_by, self._too_big(vni, packet.data)
            case b"\x02":  # Punt.MEMBERSHIP
                self._subscribe(came_by, wishes(packet.data))
                return came_by, None
        raise MalformedMessage("userdata", 0, "no reason that is known")

    def _too_big(self, vni: int, frame: bytes) -> bytes | None:
        view = self._engine.view
        network = next((network for network in view.all(Network) if network.vni == vni), None)
        mtu_bytes = None if network is None else view.mtu_bytes(network)
        return None if mtu_bytes is None else too_big(frame, mtu_bytes)

    def _subscribe(self, ofport: int, said: tuple[Wish, ...]) -> None:
        """The endpoint at a port wants groups, or no longer; more than a few of them are not served."""
        view = self._engine.view
        port = next((each.port for each in view.all(Attachment) if each.ofport == ofport), None)
        if port is None or not said:
            return
        standing = view.get(Subscription, port)
        groups = set(standing.groups if standing else ())
        for wish in said:
            if not wish.is_wanted:
                groups.discard(wish.group)
            elif len(groups) < MAX_GROUPS:
                groups.add(wish.group)
            elif wish.group not in groups:
                log.warning("endpoint wants too many multicast groups", port=port, most=MAX_GROUPS)
                break
        value = Subscription(port, tuple(sorted(groups))) if groups else None
        self._engine.change([Change(Subscription, port, value)])
