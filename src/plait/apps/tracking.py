"""What every switch does with packets of filtered ports, whatever their policies are.

    EGRESS, from a filtered port --> its connection, in the port's own zone --> EGRESS_RULES
    RULES: of no connection --> drop; an error about one --> on; a later fragment --> ADMIT, unjudged
    ADMIT: a new connection --> remembered

Later fragments have no ports to judge. So in ADMIT every fragment goes through the connection tracker once
more, which holds them until all have come: where the first was denied they never leave it. Because a tracker
puts fragments together only if all of them come to it, first ones have to take the same way.
"""

from collections.abc import Iterator

from plait.flows.connection import State
from plait.flows.flow import Flow, flow
from plait.flows.pipeline import Table
from plait.flows.policy_match import ADMIT
from plait.flows.registers import OUT_PORT, POLICY
from plait.model.lens import Lens
from plait.wire.internet import ETH_IPV4, ETH_IPV6
from plait.wire.openflow.actions import Bits, apply, ct, goto, instructions
from plait.wire.openflow.oxm import match

ZONE_OF_SENDER = Bits("in_port", 0, 16)
ZONE_OF_RECEIVER = Bits(OUT_PORT.field, 0, 16)
"""A port's zone of the connection tracker is its OpenFlow port number."""

_INVALID = {"ct_state": (State.TRACKED | State.INVALID, State.TRACKED | State.INVALID)}
_RELATED = {"ct_state": (State.TRACKED | State.RELATED, State.TRACKED | State.RELATED)}
_NEW = {"ct_state": (State.TRACKED | State.NEW, State.TRACKED | State.NEW)}
_FRAGMENT = {"ip_frag": (1, 1)}
_LATER_FRAGMENT = {"ip_frag": (2, 2)}
_JUDGED = (
    (Table.EGRESS_RULES, Table.EGRESS_ADMIT, Table.GATEWAY, ZONE_OF_SENDER),
    (Table.INGRESS_RULES, Table.INGRESS_ADMIT, Table.DELIVER, ZONE_OF_RECEIVER),
)


def switch(lens: Lens, id: str) -> Iterator[Flow]:
    """The same on every host."""
    yield from _FLOWS


def _flows() -> Iterator[Flow]:
    yield flow(Table.EGRESS, 100, match(**POLICY.is_(0)), goto(Table.GATEWAY))
    to_rules = apply(ct(zone=ZONE_OF_SENDER, table=Table.EGRESS_RULES))
    for eth_type in (ETH_IPV4, ETH_IPV6):
        yield flow(Table.EGRESS, 50, match(eth_type=eth_type), to_rules)
    for rules, admit, onward, zone in _JUDGED:
        remember = instructions(apply(ct(commit=True, zone=zone)), goto(onward))
        # What was held goes on together with the last fragment, and would have its actions done to it: the
        # router that answers a ping makes another type of the first one only.
        each_on_its_own = apply(ct(commit=True, zone=zone, table=onward))
        yield flow(rules, 6000, match(**_INVALID), b"")
        # PMTU discovery and refusals belong to the connection that they are about.
        yield flow(rules, 5900, match(**_RELATED), goto(onward))
        for eth_type in (ETH_IPV4, ETH_IPV6):
            yield flow(rules, 5800, match(eth_type=eth_type, **_LATER_FRAGMENT), ADMIT[rules])
            yield flow(admit, 110, match(eth_type=eth_type, **_FRAGMENT), each_on_its_own)
            yield flow(admit, 100, match(eth_type=eth_type, **_NEW), remember)


_FLOWS: tuple[Flow, ...] = tuple(_flows())
