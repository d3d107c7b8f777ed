"""`plait trace`: where a packet would go, and why. Verdict first."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from plait.cli import output
from plait.cli.complete import names_of
from plait.cli.session import Session, shared_options, socket_option

if TYPE_CHECKING:
    from plait.intent.explaining import Remark
    from plait.intent.path import Crossing, Leg
    from plait.intent.tracing import Passage, Probe, Verdict

DELIVERED, NOT_DELIVERED = 0, 4
ACTIONS_WIDTH = 120


@click.command()
@shared_options
@click.argument("source", metavar="FROM", shell_complete=names_of("port"))
@click.argument("target", metavar="TO", shell_complete=names_of("port"))
@click.option("--icmp", is_flag=True, help="A ping; this is the default.")
@click.option("--tcp", type=click.IntRange(1, 65535), metavar="PORT", help="A TCP segment to this port.")
@click.option("--udp", type=click.IntRange(1, 65535), metavar="PORT", help="A UDP datagram to this port.")
@click.option("--sctp", type=click.IntRange(1, 65535), metavar="PORT", help="An SCTP packet to this port.")
@click.option("--arp", is_flag=True, help="Only the question for the MAC: ARP or neighbour solicitation.")
@click.option("--size", type=int, metavar="BYTES", help="Of the IP packet [default: as ping sends it].")
@socket_option
@click.pass_obj
def trace(session: Session, /, source: str, target: str, size: int | None, **kinds: Any) -> int:
    """Where would a packet go, and its answer, and why?

    FROM is a port; TO is a port or an address. Nothing is sent: the store says what the hosts' flows are.
    An agent that runs here and has FROM asks its switch whether it agrees.
    Exit code 0: it would be delivered, and its answer would come back. 4: one of them would not.
    """
    from plait.cli.opinion import switch_agrees
    from plait.intent import Intent
    from plait.intent.tracing import Verdict
    from plait.intent.tracing import trace as ask

    probe = _probe(size, **kinds)

    async def work(intent: Intent) -> tuple[Verdict, bool | None]:
        verdict = await ask(intent.store, session.project, source, target, probe)
        return verdict, await switch_agrees(session.agent_socket, verdict)

    verdict, agrees = session.run(work)
    if session.is_json:
        click.echo(output.to_json(_as_json(verdict, agrees)))
    else:
        for line in _lines(verdict, agrees):
            click.echo(line)
    return DELIVERED if verdict.is_well else NOT_DELIVERED


def _probe(size: int | None, *, icmp: bool, arp: bool, **numbers: int | None) -> "Probe":
    from plait.intent.tracing import Kind, Probe

    wanted = [(Kind(kind), number) for kind, number in numbers.items() if number is not None]
    wanted += [(kind, 0) for kind, is_wanted in ((Kind.PING, icmp), (Kind.ARP, arp)) if is_wanted]
    if len(wanted) > 1:
        raise click.UsageError("--icmp, --tcp, --udp, --sctp and --arp exclude each other")
    kind, number = wanted[0] if wanted else (Kind.PING, 0)
    return Probe(kind=kind, number=number, size_bytes=size)


# -- for people


def _lines(verdict: "Verdict", agrees: bool | None) -> Iterator[str]:
    word, colour = _word(verdict)
    yield f"{click.style(word, fg=colour, bold=True)}: {_ends(verdict)}"
    if verdict.reason:
        yield f"  because {verdict.reason}"
    for crossing in _crossings(verdict):
        yield f"  by {_described(crossing)}"
    for note in verdict.notes:
        yield f"  note: {note}"
    if agrees is not None:
        yield f"  the switch {'agrees' if agrees else 'DISAGREES: its flows are not what the store wants'}"
    for passage in verdict.passages:
        yield ""
        yield from _passage(verdict, passage)


def _word(verdict: "Verdict") -> tuple[str, str]:
    if not verdict.is_delivered:
        return "not delivered", "red"
    return ("delivered", "green") if verdict.is_well else ("delivered, but not answered", "red")


def _ends(verdict: "Verdict") -> str:
    target = verdict.address if verdict.target is None else verdict.target.name
    return f"{verdict.source.name} to {target}"


def _crossings(verdict: "Verdict") -> "list[Crossing]":
    """How the last packet of the sender's own went."""
    sent = [each for each in verdict.passages if each.sender == verdict.source.id]
    return [leg.crossing for each in sent[-1:] for leg in each.path.legs if leg.crossing is not None]


def _described(crossing: "Crossing") -> str:
    return f"{crossing.transport} with VNI {crossing.vni} to host {crossing.host} ({crossing.vtep})"


def _passage(verdict: "Verdict", passage: "Passage") -> Iterator[str]:
    yield f"{passage.what} ({passage.packet.size_bytes} bytes with the Ethernet header)"
    for leg in passage.path.legs:
        arrived = "" if leg.crossing is None else f", by {leg.crossing.transport}"
        yield f"  on {leg.host}{arrived}"
        rows = [_step_row(verdict, leg, index) for index in range(len(leg.steps))]
        width = max(len(row["table_name"]) for row in rows)
        owners = max(len(_owner(row)) for row in rows)
        for row in rows:
            flow = "-" if row["match"] is None else f"{row['match'] or 'any'} -> {_shortened(row['actions'])}"
            yield f"    {row['table_name']:<{width}}  {_owner(row):<{owners}}  {flow}".rstrip()
    for arrival in passage.path.arrivals:
        yield f"  delivered to {verdict.stored.name_of('station', arrival.port)} on {arrival.host}"
    if passage.path.answer is not None:
        yield f"  answered: {_answered(passage)}"
    for remark in passage.remarks:
        yield f"  {remark.text} (on {remark.host})"
    for loss in passage.path.losses:
        yield f"  {loss}"


def _shortened(actions: str) -> str:
    """The first few of many actions; all of them are in the JSON."""
    return (
        actions
        if len(actions) <= ACTIONS_WIDTH
        else actions[: actions.rindex(",", 0, ACTIONS_WIDTH)] + ",..."
    )


def _answered(passage: "Passage") -> str:
    assert passage.path.answer is not None
    fields = passage.path.answer.fields
    mac = fields.get("arp_sha") or fields.get("nd_tll")
    if mac is None:
        return "the router itself answers"
    return "it is at " + ":".join(f"{byte:02x}" for byte in mac.to_bytes(6, "big"))


def _owner(row: dict[str, Any]) -> str:
    if row["app"] is None:
        return ""
    return f"{row['app']} of {row['owner_name']}" if row["owner_name"] else row["app"]


# -- for programs


def _step_row(verdict: "Verdict", leg: "Leg", index: int) -> dict[str, Any]:
    """A step with the app and the owner of its flow."""
    from plait.apps import APP_NAMES
    from plait.compile import app_of
    from plait.flows.pipeline import table_name

    step = leg.steps[index]
    row: dict[str, Any] = {"table": step.table, "table_name": table_name(step.table)}
    if step.flow is None:
        empty = ("priority", "match", "actions", "app", "owner_kind", "owner", "owner_name")
        return row | dict.fromkeys(empty)
    site = verdict.sites[leg.host]
    entry = site.compiler.flows[step.flow.key]
    match, actions = site.texts(step.flow, partial(verdict.stored.name_of, "station"))
    return row | {
        "priority": step.flow.priority,
        "match": match,
        "actions": actions,
        "app": APP_NAMES.get(app_of(entry.cookie) or 0),
        "owner_kind": entry.owner.kind,
        "owner": entry.owner.id,
        "owner_name": verdict.stored.name_of(entry.owner.kind, entry.owner.id),
    }


def _as_json(verdict: "Verdict", agrees: bool | None) -> dict[str, Any]:
    return {
        "delivered": verdict.is_delivered,
        "answered": verdict.is_answered,
        "reason": verdict.reason or None,
        "from": verdict.source.name,
        "to": None if verdict.target is None else verdict.target.name,
        "address": verdict.address or None,
        "notes": list(verdict.notes),
        "switch_agrees": agrees,
        "packets": [_passage_json(verdict, passage) for passage in verdict.passages],
    }


def _passage_json(verdict: "Verdict", passage: "Passage") -> dict[str, Any]:
    path = passage.path
    return {
        "packet": passage.what,
        "sender": verdict.stored.name_of("station", passage.sender),
        "size_bytes": passage.packet.size_bytes,
        "hosts": [_leg_json(verdict, leg) for leg in path.legs],
        "delivered_to": [
            {"host": arrival.host, "port": verdict.stored.name_of("station", arrival.port)}
            for arrival in path.arrivals
        ],
        "answer": None if path.answer is None else _answered(passage),
        "decisions": [_remark_json(remark) for remark in passage.remarks],
        "lost": [{"host": loss.host, "table": loss.table, "reason": loss.reason} for loss in path.losses],
    }


def _remark_json(remark: "Remark") -> dict[str, Any]:
    return {
        "text": remark.text,
        "host": remark.host,
        "port": remark.port,
        "router": remark.router,
        "route": remark.route,
        "rule": remark.rule,
        "group": remark.group,
        "denied": remark.is_denied,
    }


def _leg_json(verdict: "Verdict", leg: "Leg") -> dict[str, Any]:
    crossing = leg.crossing
    return {
        "host": leg.host,
        "by": None
        if crossing is None
        else {"transport": str(crossing.transport), "vni": crossing.vni, "underlay": crossing.vtep},
        "steps": [_step_row(verdict, leg, index) for index in range(len(leg.steps))],
    }
