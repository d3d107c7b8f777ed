"""A port's way in and out as its policy wants it. Unknown means drop: a filtered port whose policy is not
whole yet, or has no number, has no way at all.
"""

from typing import NamedTuple

from plait.apps.tracking import ZONE_OF_RECEIVER
from plait.flows.pipeline import Table
from plait.flows.registers import DOMAIN, OUT_PORT, POLICY
from plait.model.facets import Station
from plait.model.lens import Lens
from plait.wire.internet import ETH_IPV4, ETH_IPV6
from plait.wire.openflow.actions import ct


class Filter(NamedTuple):
    """Numbers of the policy that a port's packets have to pass, and of the domain that it is in; 0: none."""

    policy: int = 0
    domain: int = 0

    @property
    def marks(self) -> bytes:
        """The actions that say so of a packet."""
        return POLICY.set(self.policy) + DOMAIN.set(self.domain) if self.policy else b""


UNFILTERED = Filter()


def filter_of(lens: Lens, station: Station) -> Filter | None:
    """What filters a port of this host; None while that is not known."""
    if not station.policy:
        return UNFILTERED
    number, domain = lens.policy_number(station.policy), lens.domain(station.network)
    are_known = all(lens.group(group) is not None for group in station.groups)
    return Filter(number, domain) if number and domain and are_known else None


def way_into(ofport: int, of: Filter) -> bytes:
    """The actions that lead an IP packet to a filtered port: by its connection to its policy."""
    return of.marks + OUT_PORT.set(ofport) + ct(zone=ZONE_OF_RECEIVER, table=Table.INGRESS_RULES)


ADMITTED_ETH_TYPES = (ETH_IPV4, ETH_IPV6)
"""What can come to a filtered port at all: ARP is answered on the sender's host."""
