"""What a rule with `log` lets the agent write: who talked to whom, and nothing of what was said."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from plait.agent.engine import Engine
from plait.agent.services.policy_log import PolicyLog
from plait.agent.services.punted import Punted
from plait.flows.pipeline import Table
from plait.lab import crafted
from plait.model.entities import Port
from plait.model.facets import Attachment, Change
from plait.model.policy import Action, Direction, Rule
from plait.wire.errors import MalformedMessage

SECRET = b"what is said is nobody's concern"
FRAME = crafted.udp(("02:00:00:00:00:01", "10.0.0.1"), ("02:00:00:00:00:02", "10.0.0.2"), SECRET, dport=53)
RULE = Rule(id="r1", name="dns", group="g", direction=Direction.INGRESS, action=Action.DENY, log=True)


@pytest.fixture
def policy_log() -> PolicyLog:
    engine = Engine("h1")
    port = Port(id="p", name="p", network="n", mac="02:00:00:00:00:02", host="h1")
    engine.change(
        [Change(Rule, "r1", RULE), Change(Port, "p", port), Change(Attachment, "p", Attachment("p", 7))]
    )
    return PolicyLog(engine)


def said(policy_log: PolicyLog, packet: Punted) -> list[dict[str, Any]]:
    with capture_logs() as lines:
        assert policy_log.answer(packet) is None
    return [dict(line) for line in lines]


@pytest.mark.parametrize(
    ("table", "ofport", "out_port", "direction"),
    [(Table.INGRESS_RULES, 65001, 7, "ingress"), (Table.EGRESS_RULES, 7, 0, "egress")],
)
def test_a_line_says_rule_port_and_ends_and_nothing_of_the_contents(
    policy_log: PolicyLog, table: Table, ofport: int, out_port: int, direction: str
) -> None:
    (line,) = said(policy_log, Punted(ofport, 1, FRAME, b"r1\0\0", table=table, out_port=out_port))
    assert line == {
        "log_level": "info",
        "event": "policy verdict",
        "action": "deny",
        "rule": "dns",
        "rule_id": "r1",
        "group": "g",
        "port": "p",
        "direction": direction,
        "protocol": "udp",
        "source": "10.0.0.1",
        "destination": "10.0.0.2",
        "source_port": 40000,
        "destination_port": 53,
    }
    assert SECRET.decode() not in str(line)


@pytest.mark.parametrize("note", [b"", b"r2", b"\xff\xfe", b"r1\0r1"])
def test_a_rule_that_is_not_there_any_more_says_nothing(policy_log: PolicyLog, note: bytes) -> None:
    assert said(policy_log, Punted(7, 1, FRAME, note)) == []


def test_a_port_that_is_not_there_any_more_is_nobody(policy_log: PolicyLog) -> None:
    (line,) = said(policy_log, Punted(9, 1, FRAME, b"r1"))
    assert line["port"] is None


def test_a_frame_that_is_no_packet_is_refused(policy_log: PolicyLog) -> None:
    for length in (0, 13, 33):
        with pytest.raises(MalformedMessage):
            policy_log.answer(Punted(7, 1, FRAME[:length], b"r1"))
