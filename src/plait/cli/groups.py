"""`plait group`: groups of ports, and who is in them."""

from typing import TextIO

import click
from msgspec import UNSET

from plait.cli import batch, output
from plait.cli.complete import names_of
from plait.cli.counters import COUNTED_COLUMNS, counted, counters_option
from plait.cli.rows import RULE_COLUMNS, Row, group_row, rule_rows
from plait.cli.session import Session, shared_options, socket_option
from plait.intent import Intent
from plait.intent.errors import some
from plait.model.policy import Action

COLUMNS = ("name", "id", "ingress", "egress")
ACTIONS = click.Choice([str(each) for each in Action])


@click.group()
def group() -> None:
    """Groups of ports that are treated alike. GROUP is a name or an id."""


@group.command()
@shared_options
@click.argument("name")
@click.option("--isolated", is_flag=True, help="Without the rule by which members reach each other.")
@click.option("--ingress", type=ACTIONS, default="deny", show_default=True, help="What no rule lets in.")
@click.option("--egress", type=ACTIONS, default="allow", show_default=True, help="What no rule lets out.")
@click.pass_obj
def create(session: Session, name: str, isolated: bool, ingress: str, egress: str) -> None:
    """Make a group. Its members reach each other; nobody else reaches them."""

    async def work(intent: Intent) -> Row:
        return group_row(
            await intent.groups.create(
                name, isolated=isolated, ingress=Action(ingress), egress=Action(egress)
            )
        )

    output.show(session.run(work), as_json=session.is_json)


@group.command(name="list")
@shared_options
@click.pass_obj
def list_(session: Session) -> None:
    """List the project's groups."""

    async def work(intent: Intent) -> list[Row]:
        return [group_row(each) for each in await intent.groups.list()]

    output.listing(session.run(work), COLUMNS, as_json=session.is_json)


@group.command()
@shared_options
@socket_option
@counters_option
@click.argument("group", shell_complete=names_of("group"))
@click.pass_obj
def show(session: Session, group: str, counters: bool) -> None:
    """Show one group, its members and its rules."""

    async def work(intent: Intent) -> Row:
        found = await intent.groups.get(group)
        members = await intent.groups.members(found.id)
        rules = await rule_rows(intent, await intent.rules.list(found.id))
        if counters:
            rules = await counted(session, rules)
        return {**group_row(found), "members": sorted(members.values()), "rules": rules}

    row = session.run(work)
    if session.is_json:
        click.echo(output.to_json(row))
        return
    shown = {name: value for name, value in row.items() if name != "rules"}
    output.show({**shown, "members": some("port", row["members"], shown=20)}, as_json=False)
    if row["rules"]:
        click.echo("\nrules")
        output.listing(row["rules"], COUNTED_COLUMNS if counters else RULE_COLUMNS, as_json=False)


@group.command(name="set")
@shared_options
@click.argument("group", shell_complete=names_of("group"))
@click.option("--name", metavar="NAME", help="Another name.")
@click.option("--ingress", type=ACTIONS, help="What happens to what no rule lets in.")
@click.option("--egress", type=ACTIONS, help="What happens to what no rule lets out.")
@click.pass_obj
def set_(session: Session, group: str, name: str | None, ingress: str | None, egress: str | None) -> None:
    """Change a group."""

    async def work(intent: Intent) -> Row:
        return group_row(
            await intent.groups.set(
                group,
                name=UNSET if name is None else name,
                ingress=UNSET if ingress is None else Action(ingress),
                egress=UNSET if egress is None else Action(egress),
            )
        )

    output.show(session.run(work), as_json=session.is_json)


@group.command()
@shared_options
@click.argument("groups", metavar="GROUP...", nargs=-1, required=True, shell_complete=names_of("group"))
@click.pass_obj
def delete(session: Session, groups: tuple[str, ...]) -> None:
    """Delete groups with their rules, if nobody is in them and no other rule names them."""

    async def work(intent: Intent) -> list[Row]:
        found = [await intent.groups.get(each) for each in dict.fromkeys(groups)]
        return [group_row(await intent.groups.delete(each.id)) for each in found]

    output.deleted("group", session.run(work), as_json=session.is_json)


@group.group()
def member() -> None:
    """The ports in a group."""


@member.command()
@shared_options
@click.argument("group", shell_complete=names_of("group"))
@click.argument("ports", metavar="[PORT...]", nargs=-1, shell_complete=names_of("port"))
@batch.from_option
@click.pass_obj
def add(session: Session, group: str, ports: tuple[str, ...], lines: TextIO | None) -> None:
    """Put ports into a group, effective at once."""
    wanted = _named(ports, lines)

    async def work(intent: Intent) -> int:
        return len(await intent.members.add(group, wanted))

    _say(session, group, added=session.run(work))


@member.command()
@shared_options
@click.argument("group", shell_complete=names_of("group"))
@click.argument("ports", metavar="[PORT...]", nargs=-1, shell_complete=names_of("port"))
@batch.from_option
@click.pass_obj
def remove(session: Session, group: str, ports: tuple[str, ...], lines: TextIO | None) -> None:
    """Take ports out of a group, effective at once."""
    wanted = _named(ports, lines)

    async def work(intent: Intent) -> int:
        return len(await intent.members.remove(group, wanted))

    _say(session, group, removed=session.run(work))


def _named(ports: tuple[str, ...], lines: TextIO | None) -> list[str]:
    return batch.named(ports, lines, missing="no port is named: give names, or a file of them with --from")


def _say(session: Session, group: str, **counts: int) -> None:
    batch.say(session, group, one="port", many="ports", of="group", **counts)
