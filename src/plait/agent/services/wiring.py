"""Which service answers which reason."""

from collections.abc import Mapping

from plait.agent.engine import Engine
from plait.agent.services.advertising import Advertising
from plait.agent.services.claims import Claims
from plait.agent.services.dhcp import Dhcp
from plait.agent.services.icmp_errors import IcmpErrors
from plait.agent.services.memberships import Memberships
from plait.agent.services.policy_log import PolicyLog
from plait.agent.services.punted import Service
from plait.flows.punt import Punt
from plait.wire.icmp import IcmpError


def services(engine: Engine, advertising: Advertising) -> Mapping[Punt, Service]:
    """All there are; a reason without one is refused."""
    dhcp = Dhcp(engine)
    errors = IcmpErrors(engine)
    return {
        Punt.TOO_BIG: errors.telling(IcmpError.TOO_BIG),
        Punt.TTL_EXPIRED: errors.telling(IcmpError.TIME_EXCEEDED),
        Punt.NO_ROUTE: errors.telling(IcmpError.NO_ROUTE),
        Punt.NO_HOST: errors.telling(IcmpError.NO_HOST),
        Punt.NO_PORT: errors.telling(IcmpError.NO_PORT),
        Punt.MEMBERSHIP: Memberships(engine).answer,
        Punt.DHCP: dhcp.answer_v4,
        Punt.DHCPV6: dhcp.answer_v6,
        Punt.ROUTER_SOLICITATION: advertising.answer,
        Punt.LOG: PolicyLog(engine).answer,
        Punt.CLAIM: Claims(engine).answer,
    }
