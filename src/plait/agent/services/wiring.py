"""Which service answers which reason."""

from collections.abc import Mapping

from plait.agent.engine import Engine
from plait.agent.services.advertising import Advertising
from plait.agent.services.claims import Claims
from plait.agent.services.dhcp import Dhcp
from plait.agent.services.memberships import Memberships
from plait.agent.services.punted import Service
from plait.agent.services.too_big import TooBig
from plait.flows.punt import Punt


def services(engine: Engine, advertising: Advertising) -> Mapping[Punt, Service]:
    """All there are; a reason without one is refused."""
    dhcp = Dhcp(engine)
    return {
        Punt.TOO_BIG: TooBig(engine).answer,
        Punt.MEMBERSHIP: Memberships(engine).answer,
        Punt.DHCP: dhcp.answer_v4,
        Punt.DHCPV6: dhcp.answer_v6,
        Punt.ROUTER_SOLICITATION: advertising.answer,
        Punt.CLAIM: Claims(engine).answer,
    }
