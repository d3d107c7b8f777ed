"""`plait port address`: more addresses of a port."""

import click

from plait.cli import output
from plait.cli.complete import names_of
from plait.cli.rows import Row
from plait.cli.session import Session, shared_options
from plait.intent import Intent


@click.group()
def address() -> None:
    """Addresses of a port, one by one."""


@address.command()
@shared_options
@click.argument("port", shell_complete=names_of("port"))
@click.argument("address", required=False)
@click.option(
    "--subnet",
    metavar="SUBNET",
    shell_complete=names_of("subnet"),
    help="The next free address of this subnet (name, id, prefix).",
)
@click.pass_obj
def add(session: Session, port: str, address: str | None, subnet: str | None) -> None:
    """Give a port one more address: ADDRESS, or one of --subnet."""
    if (address is None) == (subnet is None):
        raise click.UsageError("name either an ADDRESS or a --subnet")

    async def work(intent: Intent) -> Row:
        after = await intent.secondary_addresses.add(port, address=address, subnet=subnet)
        return {"name": after.name, "id": after.id, "addresses": list(after.ips)}

    output.show(session.run(work), as_json=session.is_json)


@address.command()
@shared_options
@click.argument("port", shell_complete=names_of("port"))
@click.argument("address")
@click.pass_obj
def remove(session: Session, port: str, address: str) -> None:
    """Take an address from a port."""

    async def work(intent: Intent) -> Row:
        after = await intent.secondary_addresses.remove(port, address)
        return {"name": after.name, "id": after.id, "addresses": list(after.ips)}

    output.show(session.run(work), as_json=session.is_json)
