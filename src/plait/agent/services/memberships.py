"""Which multicast groups endpoints want, as they say it themselves (IGMP, MLD)."""

import structlog

from plait.agent.engine import Engine
from plait.agent.services.punted import Punted
from plait.model.facets import Change, Subscription
from plait.wire.membership import wishes

log = structlog.get_logger("plait.punts")

MAX_GROUPS = 64
"""Groups that one endpoint may ask for; as many as may be configured for a port."""


class Memberships:
    """Notes wishes as facets; nobody is answered."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def answer(self, punted: Punted) -> None:
        """The endpoint at a port wants groups, or no longer; more than a few of them are not served."""
        said = wishes(punted.frame)
        view = self._engine.view
        port = view.port_at(punted.ofport)
        if port is None or not said:
            return
        standing = view.get(Subscription, port)
        groups = set(standing.groups if standing else ())
        for wish in said:
            if not wish.is_wanted:
                groups.discard(wish.group)
            elif len(groups) < MAX_GROUPS:
                groups.add(wish.group)
            elif wish.group not in groups:
                log.warning("endpoint wants too many multicast groups", port=port, most=MAX_GROUPS)
                break
        value = Subscription(port, tuple(sorted(groups))) if groups else None
        self._engine.change([Change(Subscription, port, value)])
