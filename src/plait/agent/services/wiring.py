"""Which service answers which reason."""

from collections.abc import Mapping

from plait.agent.engine import Engine
from plait.agent.services.memberships import Memberships
from plait.agent.services.punted import Service
from plait.agent.services.too_big import TooBig
from plait.flows.punt import Punt


def services(engine: Engine) -> Mapping[Punt, Service]:
    """All there are; a reason without one is refused."""
    return {
        Punt.TOO_BIG: TooBig(engine).answer,
        Punt.MEMBERSHIP: Memberships(engine).answer,
    }
