"""`plait subnet`."""

from typing import Any

import click
from msgspec import UNSET

from plait.cli import output
from plait.cli.complete import names_of
from plait.cli.rows import Row, subnet_row
from plait.cli.session import Session, shared_options
from plait.cli.told_options import no_told_options, told, told_options
from plait.intent import Intent
from plait.intent.subnets import FIRST_ADDRESS
from plait.model.entities import Subnet

COLUMNS = ("name", "prefix", "network", "gateway", "id")


@click.group()
def subnet() -> None:
    """Prefixes of networks, where ports' addresses come from. SUBNET is a name or an id."""


@subnet.command()
@shared_options
@click.argument("prefix")
@click.option(
    "--network", metavar="NETWORK", required=True, shell_complete=names_of("network"), help="Name or id."
)
@click.option("--name", metavar="NAME", help="For people [default: the id].")
@click.option("--gateway", metavar="ADDRESS", help="Never given to a port [default: the first address].")
@click.option("--no-gateway", is_flag=True, help="Reserve no address for a gateway.")
@told_options
@click.pass_obj
def create(
    session: Session,
    /,
    prefix: str,
    network: str,
    name: str | None,
    gateway: str | None,
    no_gateway: bool,
    **options: Any,
) -> None:
    """Make a subnet, such as 10.0.0.0/24 or fd00::/64."""
    if gateway is not None and no_gateway:
        raise click.UsageError("--gateway and --no-gateway exclude each other")

    async def work(intent: Intent) -> Row:
        wish = None if no_gateway else FIRST_ADDRESS if gateway is None else gateway
        wanted = told(6 if ":" in prefix else 4, **options)
        made = await intent.subnets.create(network, prefix, name=name, gateway=wish, **wanted)
        return await _row(intent, made)

    output.show(session.run(work), as_json=session.is_json)


@subnet.command(name="list")
@shared_options
@click.option(
    "--network", metavar="NETWORK", shell_complete=names_of("network"), help="Only those of this one."
)
@click.pass_obj
def list_(session: Session, network: str | None) -> None:
    """List subnets."""

    async def work(intent: Intent) -> list[Row]:
        names = {each.id: each.name for each in await intent.networks.list()}
        return [subnet_row(each, names) for each in await intent.subnets.list(network)]

    output.listing(session.run(work), COLUMNS, as_json=session.is_json)


@subnet.command()
@shared_options
@click.argument("subnet", shell_complete=names_of("subnet"))
@click.pass_obj
def show(session: Session, subnet: str) -> None:
    """Show one subnet."""

    async def work(intent: Intent) -> Row:
        return await _row(intent, await intent.subnets.get(subnet))

    output.show(session.run(work), as_json=session.is_json)


@subnet.command(name="set")
@shared_options
@click.argument("subnet", shell_complete=names_of("subnet"))
@click.option("--name", metavar="NAME", help="Another name.")
@click.option("--gateway", metavar="ADDRESS", help="Another gateway; no port may have it.")
@click.option("--no-gateway", is_flag=True, help="Reserve no address for a gateway.")
@told_options
@no_told_options
@click.pass_obj
def set_(
    session: Session,
    /,
    subnet: str,
    name: str | None,
    gateway: str | None,
    no_gateway: bool,
    **options: Any,
) -> None:
    """Change a subnet. What is repeatable stands for all that was there before."""
    if gateway is not None and no_gateway:
        raise click.UsageError("--gateway and --no-gateway exclude each other")

    async def work(intent: Intent) -> Row:
        before = await intent.subnets.get(subnet)
        changed = await intent.subnets.set(
            before.id,
            name=UNSET if name is None else name,
            gateway=None if no_gateway else UNSET if gateway is None else gateway,
            **told(before.version, **options),
        )
        return await _row(intent, changed)

    output.show(session.run(work), as_json=session.is_json)


@subnet.command()
@shared_options
@click.argument("subnets", metavar="SUBNET...", nargs=-1, required=True, shell_complete=names_of("subnet"))
@click.pass_obj
def delete(session: Session, subnets: tuple[str, ...]) -> None:
    """Delete subnets that no port has an address of."""

    async def work(intent: Intent) -> list[Row]:
        found = [await intent.subnets.get(each) for each in dict.fromkeys(subnets)]
        for each in found:
            await intent.subnets.delete(each.id)
        return [subnet_row(each, {}) for each in found]

    output.deleted("subnet", session.run(work), as_json=session.is_json)


async def _row(intent: Intent, subnet: Subnet) -> Row:
    network = await intent.networks.get(subnet.network)
    return subnet_row(subnet, {network.id: network.name})
