"""A packet's way in words: who routed it, and which rule or default let it pass, at which end. Pure.

What a flow is for, its owner says; so what is told here is what the flows did, not what they should do.
"""

from collections.abc import Callable, Iterator

import msgspec

from plait.flows.flow import Flow
from plait.flows.pipeline import Table
from plait.intent.path import Leg, Path, Site
from plait.intent.stored_view import Stored
from plait.model.facets import Key
from plait.model.policy import Action, Direction, Rule
from plait.wire.openflow.match_text import match_text

_RULES = {Table.EGRESS_RULES: Direction.EGRESS, Table.INGRESS_RULES: Direction.INGRESS}


class Remark(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was decided on the way: `text` says it, the rest names who and where."""

    host: str
    text: str
    port: str | None = None
    router: str | None = None
    route: str | None = None
    rule: str | None = None
    group: str | None = None
    is_denied: bool = False


def explain(path: Path, site_of: Callable[[str], Site], stored: Stored, sender: str) -> tuple[Remark, ...]:
    """What was decided about a packet that the endpoint at port `sender` sent."""
    return tuple(remark for leg in path.legs for remark in _of_leg(leg, site_of(leg.host), stored, sender))


def _of_leg(leg: Leg, site: Site, stored: Stored, sender: str) -> Iterator[Remark]:
    receiver = ""
    for step in leg.steps:
        if step.flow is None:
            continue
        entry = site.compiler.flows[step.flow.key]
        if step.table == Table.ROUTE and entry.owner.kind == "router":
            yield _routed(leg, step.flow, entry.owner, stored)
        elif step.table == Table.L2 and entry.owner.kind == "station":
            receiver = entry.owner.id
        elif (direction := _RULES.get(Table(step.table))) is not None:
            port = sender if direction is Direction.EGRESS else receiver
            passes = bool(entry.instructions)
            yield _judged(leg, direction, entry.owner, stored, port=port, passes=passes)


def _routed(leg: Leg, flow: Flow, owner: Key, stored: Stored) -> Remark:
    router, route = stored.name_of("router", owner.id), _destination(flow)
    return Remark(host=leg.host, text=f"routed by router {router!r}: {route}", router=router, route=route)


def _destination(flow: Flow) -> str:
    """The prefix that a route's flow matches; one of no bits is not in the match."""
    for part in match_text(flow.match).split(","):
        name, _, value = part.partition("=")
        if name in ("nw_dst", "ipv6_dst"):
            return value
    return "everything else"


def _judged(leg: Leg, direction: Direction, owner: Key, stored: Stored, *, port: str, passes: bool) -> Remark:
    name = stored.name_of("station", port)
    where = f"out of {name!r}" if direction is Direction.EGRESS else f"into {name!r}"
    rule = stored.rules.get(owner.id) if owner.kind == "rule" else None
    if rule is not None:
        return _by_rule(leg, rule, stored, name=name, where=where, is_onward=rule.direction is direction)
    verdict = "let" if passes else "deny"
    if owner.kind == "policy":
        groups = " and ".join(repr(stored.name_of("group", each)) for each in owner.id.split(","))
        text = f"no rule decides: the defaults of {groups} {verdict} it {where}"
    elif passes:
        text = f"it is let {where} as a part of what was let before"
    else:
        text = f"it is denied {where}: it belongs to no connection"
    return Remark(host=leg.host, text=text, port=name, is_denied=not passes)


def _by_rule(leg: Leg, rule: Rule, stored: Stored, *, name: str, where: str, is_onward: bool) -> Remark:
    group = stored.name_of("group", rule.group)
    is_denied = rule.action is Action.DENY
    verb = "denies" if is_denied else "lets"
    whose = "" if is_onward else " as an answer"
    text = f"rule {rule.name!r} (priority {rule.priority}) of group {group!r} {verb} it {where}{whose}"
    return Remark(host=leg.host, text=text, port=name, rule=rule.name, group=group, is_denied=is_denied)
