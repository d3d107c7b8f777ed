"""What the switch of this host says of a trace, asked through its agent."""

from functools import partial

from plait.agent.api import CallFailed, call
from plait.flows.agreement import SwitchStep, expected_steps, steps_of
from plait.flows.connection import state_text
from plait.flows.flow import Flow
from plait.flows.packet import exact_text
from plait.intent.path import Site
from plait.intent.tracing import Passage, Verdict

TIMEOUT_S = 5.0


async def switch_agrees(socket: str, verdict: Verdict) -> bool | None:
    """Whether the sender's switch takes its packets the same way; None if it can't be asked from here."""
    passages = [each for each in verdict.passages if each.sender == verdict.source.id]
    if not passages:
        return None
    site = verdict.sites[verdict.source.host or ""]
    for passage in passages:
        ask = {"port": passage.sender, "flow": exact_text(passage.packet), "state": state_text(passage.state)}
        try:
            answer = await call(socket, "ofproto_trace", timeout_s=TIMEOUT_S, **ask)
        except CallFailed:
            return None
        if steps_of(str(answer["text"])) not in _possible(site, passage):
            return False
    return True


def _possible(site: Site, passage: Passage) -> set[tuple[SwitchStep, ...]]:
    """The ways that a packet may take: a hash decides where there are several."""
    links = max((count for leg in passage.path.legs[:1] for count in leg.links), default=1)
    return {
        expected_steps(
            partial(site.from_port, passage.sender, state=passage.state, link=link),
            passage.packet,
            partial(_cookie_of, site),
        )
        for link in range(links)
    }


def _cookie_of(site: Site, flow: Flow) -> int:
    return site.compiler.flows[flow.key].cookie
