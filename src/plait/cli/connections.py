"""`plait connect`, `plait disconnect`, `plait connections`: policies as people say them."""

import click

from plait.cli import output
from plait.cli.complete import Completer, names_of
from plait.cli.rows import Row
from plait.cli.session import Session, shared_options
from plait.intent import Intent
from plait.intent.connections import Connection, Pair

FORGOTTEN = "neither connected nor disconnected"
STATES = {Pair.CONNECT: "connected", Pair.DISCONNECT: "disconnected"}


def _ends() -> Completer:
    groups, ports = names_of("group"), names_of("port")

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        return sorted({*groups(ctx, param, incomplete), *ports(ctx, param, incomplete)})

    return complete


@click.command()
@shared_options
@click.argument("one", metavar="A", shell_complete=_ends())
@click.argument("other", metavar="B", shell_complete=_ends())
@click.pass_obj
def connect(session: Session, one: str, other: str) -> None:
    """Let two groups or ports reach each other, effective at once.

    Where a group and a port have one name, write group:NAME or port:NAME.
    """

    async def work(intent: Intent) -> Row:
        return _row(await intent.connections.connect(one, other))

    _say(session.run(work), session)


@click.command()
@shared_options
@click.argument("one", metavar="A", shell_complete=_ends())
@click.argument("other", metavar="B", shell_complete=_ends())
@click.option("--forget", is_flag=True, help="Take back whatever was said of them, and deny nothing.")
@click.pass_obj
def disconnect(session: Session, one: str, other: str, forget: bool) -> None:
    """Cut two groups or ports off from each other: connections that stand, too.

    What 'connect' said is taken back. If it had said nothing, or an end lets everybody in by default, they
    are denied each other above all other rules, until they are connected.
    """

    async def work(intent: Intent) -> Row:
        if forget:
            await intent.connections.forget(one, other)
            return {"one": one, "other": other, "state": FORGOTTEN}
        return _row(await intent.connections.disconnect(one, other))

    _say(session.run(work), session)


@click.command()
@shared_options
@click.pass_obj
def connections(session: Session) -> None:
    """List which groups and ports were connected or disconnected."""

    async def work(intent: Intent) -> list[Row]:
        return [_row(each) for each in await intent.connections.list()]

    output.listing(session.run(work), ("one", "other", "state"), as_json=session.is_json)


def _row(connection: Connection) -> Row:
    return {"one": connection.one, "other": connection.other, "state": STATES[connection.policy]}


def _say(row: Row, session: Session) -> None:
    if session.is_json:
        click.echo(output.to_json(row))
    else:
        click.echo(f"{row['one']} and {row['other']} {row['state']}")
