"""Packets that don't fit through a network's tunnels: their sender is told what does."""

from plait.agent.engine import Engine
from plait.agent.services.punted import Punted
from plait.model.entities import Network
from plait.wire.icmp import too_big


class TooBig:
    """See the module's docstring."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def answer(self, punted: Punted) -> bytes | None:
        view = self._engine.view
        network = next((network for network in view.all(Network) if network.vni == punted.vni), None)
        mtu_bytes = None if network is None else view.mtu_bytes(network)
        return None if mtu_bytes is None else too_big(punted.frame, mtu_bytes)
