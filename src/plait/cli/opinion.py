"""What the switch of this host says of a trace, asked through its agent."""

from functools import partial

from plait.agent.api import CallFailed, call
from plait.flows.agreement import expected_steps, steps_of
from plait.flows.flow import Flow
from plait.flows.packet import exact_text
from plait.intent.path import Site
from plait.intent.tracing import Verdict

TIMEOUT_S = 5.0


async def switch_agrees(socket: str, verdict: Verdict) -> bool | None:
    """Whether the sender's switch takes every packet the same way; None if it can't be asked from here."""
    if not verdict.passages:
        return None
    site = verdict.sites[verdict.source.host or ""]
    for passage in verdict.passages:
        flow = exact_text(passage.packet)
        try:
            answer = await call(
                socket, "ofproto_trace", timeout_s=TIMEOUT_S, port=verdict.source.id, flow=flow
            )
        except CallFailed:
            return None
        send = partial(site.from_port, verdict.source.id)
        if steps_of(str(answer["text"])) != expected_steps(send, passage.packet, partial(_cookie_of, site)):
            return False
    return True


def _cookie_of(site: Site, flow: Flow) -> int:
    return site.compiler.flows[flow.key].cookie
