"""A line for each packet that a rule with `log` decided on: first ones of connections, and what is denied.

Of a packet its ends are told, and nothing of what is in it. A meter of the switch bounds how many come.
"""

import structlog

from plait.agent.engine import Engine
from plait.agent.services.punted import Punted
from plait.flows.pipeline import Table
from plait.model.policy import Direction, Rule
from plait.wire.conversation import decode_conversation

log = structlog.get_logger("plait.policy")


class PolicyLog:
    """The note of the flow is the rule's id."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def answer(self, packet: Punted) -> bytes | None:
        """Write the line; nobody gets an answer. Raises MalformedMessage."""
        seen = decode_conversation(packet.frame)
        view = self._engine.view
        rule = view.get(Rule, packet.note.rstrip(b"\0").decode(errors="replace"))
        if rule is None:
            return None  # It has gone since.
        is_arriving = packet.table == Table.INGRESS_RULES
        port = view.port_at(packet.out_port if is_arriving else packet.ofport)
        details = {
            "source_port": seen.source_port,
            "destination_port": seen.destination_port,
            "icmp_type": seen.icmp_type,
            "icmp_code": seen.icmp_code,
        }
        log.info(
            "policy verdict",
            action=rule.action.value,
            rule=rule.name,
            rule_id=rule.id,
            group=rule.group,
            port=port,
            direction=(Direction.INGRESS if is_arriving else Direction.EGRESS).value,
            protocol=seen.protocol,
            source=seen.source,
            destination=seen.destination,
            **{name: value for name, value in details.items() if value is not None},
        )
        return None
