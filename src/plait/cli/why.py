"""`plait why`: would it pass, and which rule decides? Without a packet, in a moment."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from plait.cli import output
from plait.cli.complete import names_of
from plait.cli.session import Session, shared_options

if TYPE_CHECKING:
    from plait.intent.weighing import Passage
    from plait.intent.why import Answer, Question
    from plait.model.verdict import Judgement

PASSES, DOES_NOT_PASS = 0, 1
PROTOCOLS = ("tcp", "udp", "sctp", "icmp")


@click.command()
@shared_options
@click.argument("source", metavar="FROM", shell_complete=names_of("port"))
@click.argument("target", metavar="TO", shell_complete=names_of("port"))
@click.option("--port", "number", type=click.IntRange(0, 65535), metavar="PORT", help="To this port.")
@click.option(
    "--protocol", type=click.Choice(PROTOCOLS), help="[default: tcp with --port, else icmp: a ping]"
)
@click.option("--from-address", metavar="ADDRESS", help="This one of FROM's addresses.")
@click.option("--to-address", metavar="ADDRESS", help="This one of TO's addresses.")
@click.pass_obj
def why(session: Session, /, source: str, target: str, **asked: Any) -> int:
    """Would a connection pass, and which rule decides?

    FROM is a port; TO is a port or an address. Answered from what stands in the store: rules, groups,
    routers. `plait trace` goes through the flows themselves.
    Exit code 0: it passes, and so does its answer. 1: it does not.
    """
    from plait.intent import Intent
    from plait.intent.why import Answer
    from plait.intent.why import why as ask

    question = _question(**asked)

    async def work(intent: Intent) -> Answer:
        return await ask(intent.store, session.project, source, target, question)

    answer = session.run(work)
    if session.is_json:
        click.echo(output.to_json(_as_json(answer)))
    else:
        for line in _lines(answer):
            click.echo(line)
    return PASSES if answer.passes else DOES_NOT_PASS


def _question(
    number: int | None, protocol: str | None, from_address: str | None, to_address: str | None
) -> "Question":
    from plait.intent.why import Question
    from plait.model.policy import Protocol

    chosen = Protocol(protocol or ("icmp" if number is None else "tcp"))
    if chosen.has_ports and number is None:
        raise click.UsageError(f"--protocol {chosen} needs --port")
    if not chosen.has_ports and number is not None:
        raise click.UsageError("icmp has no ports: leave --port out, or choose another --protocol")
    return Question(protocol=chosen, number=number or 0, from_address=from_address, to_address=to_address)


# -- for people


def _lines(answer: "Answer") -> Iterator[str]:
    word, colour = ("passes", "green") if answer.passes else ("does not pass", "red")
    yield f"{click.style(word, fg=colour, bold=True)}: {_what(answer)}"
    if answer.reason:
        yield f"  because {answer.reason}"
    for note in answer.notes:
        yield f"  note: {note}"
    for name, passage in (("there", answer.there), ("and back", answer.back)):
        if passage is not None:
            yield ""
            yield name
            yield from _passage(answer, passage)


def _what(answer: "Answer") -> str:
    target = answer.target.name if answer.target is not None else None
    if answer.attempt is None:
        return f"{answer.source.name} to {target}"
    attempt = answer.attempt
    number = f" {attempt.number}" if attempt.protocol.has_ports else ""
    ends = f"{attempt.source} to {attempt.target}"
    names = f"{answer.source.name} to {target or attempt.target}"
    return f"{names}, {attempt.protocol}{number} ({ends})"


def _passage(answer: "Answer", passage: "Passage") -> Iterator[str]:
    yield f"  out of {passage.sender.name}: {_judgement(answer, passage.outward)}"
    yield from _passed_over(answer, passage.outward)
    yield f"  way: {_way(passage)}"
    for arrival in passage.arrivals:
        yield f"  into {arrival.port.name}: {_judgement(answer, arrival.judgement)}"
        yield from _passed_over(answer, arrival.judgement)


def _judgement(answer: "Answer", said: "Judgement") -> str:
    word = "allowed" if said.is_allowed else "denied"
    if said.rule is not None:
        group = answer.stored.name_of("group", said.rule.group)
        return f"{word} by rule {said.rule.name!r} (priority {said.rule.priority}) of group {group!r}"
    if said.group is not None:
        return f"{word} by default of group {answer.stored.name_of('group', said.group.id)!r}"
    if not said.port.security:
        return f"{word}: port security is off, so it is not filtered"
    return f"{word} by default of its groups" if said.port.groups else f"{word}: it is in no group"


def _passed_over(answer: "Answer", said: "Judgement") -> Iterator[str]:
    for other in said.others:
        rule, group = other.rule, answer.stored.name_of("group", other.rule.group)
        which = f"rule {rule.name!r} ({rule.action}, priority {rule.priority}) of group {group!r}"
        yield f"    not by {which}: {other.reason}"


def _way(passage: "Passage") -> str:
    way = passage.way
    if way.reason:
        return f"none: {way.reason}"
    if way.router is None:
        return "straight, in the same network"
    if way.is_answered:
        return f"router {way.router.name!r} itself"
    hops = " or ".join(dict.fromkeys(address for _, address in way.hops))
    route = "" if way.route is None else f", route {way.route.prefix}"
    return f"router {way.router.name!r}{route}, to {hops}"


# -- for programs


def _as_json(answer: "Answer") -> dict[str, Any]:
    attempt = answer.attempt
    return {
        "passes": answer.passes,
        "reason": answer.reason or None,
        "from": answer.source.name,
        "to": None if answer.target is None else answer.target.name,
        "from_address": None if attempt is None else attempt.source,
        "to_address": None if attempt is None else attempt.target,
        "protocol": None if attempt is None else str(attempt.protocol),
        "port": None if attempt is None or not attempt.protocol.has_ports else attempt.number,
        "notes": list(answer.notes),
        "there": None if answer.there is None else _passage_json(answer, answer.there),
        "back": None if answer.back is None else _passage_json(answer, answer.back),
    }


def _passage_json(answer: "Answer", passage: "Passage") -> dict[str, Any]:
    way = passage.way
    return {
        "passes": passage.passes,
        "reason": passage.why_not or None,
        "out": _judgement_json(answer, passage.outward),
        "router": None if way.router is None else way.router.name,
        "route": None if way.route is None else way.route.prefix,
        "next_hops": list(dict.fromkeys(address for _, address in way.hops)),
        "in": [_judgement_json(answer, arrival.judgement) for arrival in passage.arrivals],
    }


def _judgement_json(answer: "Answer", said: "Judgement") -> dict[str, Any]:
    group = said.rule.group if said.rule is not None else said.group.id if said.group is not None else None
    return {
        "port": said.port.name,
        "direction": str(said.direction),
        "allowed": said.is_allowed,
        "rule": None if said.rule is None else said.rule.name,
        "priority": None if said.rule is None else said.rule.priority,
        "group": None if group is None else answer.stored.name_of("group", group),
        "others": [
            {
                "rule": other.rule.name,
                "group": answer.stored.name_of("group", other.rule.group),
                "action": str(other.rule.action),
                "priority": other.rule.priority,
                "reason": other.reason,
            }
            for other in said.others
        ],
    }
