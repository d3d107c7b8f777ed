"""`plait host`."""

import click

from plait.cli import output
from plait.cli.complete import names_of
from plait.cli.rows import Row, host_row
from plait.cli.session import Session, shared_options
from plait.intent import Intent
from plait.intent.hosts import HostState

COLUMNS = ("name", "state", "underlay", "transports", "datapath", "version", "labels")


@click.group()
def host() -> None:
    """Hosts that the cluster knows, alive or not. They belong to no project."""


def _labels(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    for value in values:
        if not value.partition("=")[1] or not value.partition("=")[0]:
            raise click.BadParameter(f"{value!r} is not KEY=VALUE", ctx, param)
    return {value.partition("=")[0]: value.partition("=")[2] for value in values}


@host.command()
@shared_options
@click.argument("name")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", callback=_labels, help="Repeatable.")
@click.pass_obj
def create(session: Session, name: str, labels: dict[str, str]) -> None:
    """Make a host known before its agent first runs."""

    async def work(intent: Intent) -> Row:
        return host_row(HostState(host=await intent.hosts.create(name, labels=labels)))

    output.show(session.run(work), as_json=session.is_json)


@host.command(name="list")
@shared_options
@click.pass_obj
def list_(session: Session) -> None:
    """List all hosts."""

    async def work(intent: Intent) -> list[Row]:
        return [host_row(each) for each in await intent.hosts.list()]

    output.listing(session.run(work), COLUMNS, as_json=session.is_json)


@host.command()
@shared_options
@click.argument("host", shell_complete=names_of("host"))
@click.pass_obj
def show(session: Session, host: str) -> None:
    """Show one host."""

    async def work(intent: Intent) -> Row:
        return host_row(await intent.hosts.get(host))

    output.show(session.run(work), as_json=session.is_json)


@host.command(name="set")
@shared_options
@click.argument("host", shell_complete=names_of("host"))
@click.option(
    "--label", "labels", multiple=True, metavar="KEY=VALUE", callback=_labels, help="Add or change one."
)
@click.option("--no-label", "dropped", multiple=True, metavar="KEY", help="Remove one.")
@click.pass_obj
def set_(session: Session, host: str, labels: dict[str, str], dropped: tuple[str, ...]) -> None:
    """Change a host's labels."""

    async def work(intent: Intent) -> Row:
        await intent.hosts.set(host, labels={**labels, **dict.fromkeys(dropped)})
        return host_row(await intent.hosts.get(host))

    output.show(session.run(work), as_json=session.is_json)


@host.command()
@shared_options
@click.argument("hosts", metavar="HOST...", nargs=-1, required=True, shell_complete=names_of("host"))
@click.pass_obj
def delete(session: Session, hosts: tuple[str, ...]) -> None:
    """Forget hosts that have no agent running and no ports."""

    async def work(intent: Intent) -> list[Row]:
        found = [await intent.hosts.get(each) for each in dict.fromkeys(hosts)]
        for each in found:
            await intent.hosts.delete(each.host.name)
        return [host_row(each) for each in found]

    output.deleted("host", session.run(work), as_json=session.is_json)
