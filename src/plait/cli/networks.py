"""`plait network`."""

import click
from msgspec import UNSET

from plait.cli import output
from plait.cli.complete import names_of
from plait.cli.rows import Row, network_row
from plait.cli.session import Session, shared_options
from plait.intent import Intent
from plait.model.entities import Network, Transport

COLUMNS = ("name", "id", "vni", "transport", "mtu", "subnets")
TRANSPORTS = click.Choice([str(each) for each in Transport])


@click.group()
def network() -> None:
    """Layer-2 networks. NETWORK is a name or an id."""


@network.command()
@shared_options
@click.argument("name")
@click.option(
    "--subnet", "subnets", multiple=True, metavar="PREFIX", help="A subnet to begin with; repeatable."
)
@click.option(
    "--transport", type=TRANSPORTS, default="vxlan", show_default=True, help="How frames cross hosts."
)
@click.option(
    "--mtu", type=int, metavar="BYTES", help="Of the endpoints [default: what all underlays allow]."
)
@click.option(
    "--vni", type=int, metavar="VNI", help="The number on the wire [default: the next that is free]."
)
@click.pass_obj
def create(
    session: Session, name: str, subnets: tuple[str, ...], transport: str, mtu: int | None, vni: int | None
) -> None:
    """Make a network, with its subnets."""

    async def work(intent: Intent) -> Row:
        made = await intent.networks.create(
            name, subnets=subnets, transport=Transport(transport), mtu_bytes=mtu, vni=vni
        )
        return await _row(intent, made)

    output.show(session.run(work), as_json=session.is_json)


@network.command(name="list")
@shared_options
@click.pass_obj
def list_(session: Session) -> None:
    """List the project's networks."""

    async def work(intent: Intent) -> list[Row]:
        prefixes: dict[str, list[str]] = {}
        for subnet in await intent.subnets.list():
            prefixes.setdefault(subnet.network, []).append(subnet.prefix)
        return [network_row(each, prefixes.get(each.id, [])) for each in await intent.networks.list()]

    output.listing(session.run(work), COLUMNS, as_json=session.is_json)


@network.command()
@shared_options
@click.argument("network", shell_complete=names_of("network"))
@click.pass_obj
def show(session: Session, network: str) -> None:
    """Show one network."""

    async def work(intent: Intent) -> Row:
        return await _row(intent, await intent.networks.get(network))

    output.show(session.run(work), as_json=session.is_json)


@network.command(name="set")
@shared_options
@click.argument("network", shell_complete=names_of("network"))
@click.option("--name", metavar="NAME", help="Another name.")
@click.option("--mtu", type=int, metavar="BYTES", help="Another MTU of the endpoints.")
@click.option("--auto-mtu", is_flag=True, help="The MTU that all underlays allow.")
@click.option("--transport", type=TRANSPORTS, help="Another way between hosts.")
@click.pass_obj
def set_(
    session: Session, network: str, name: str | None, mtu: int | None, auto_mtu: bool, transport: str | None
) -> None:
    """Change a network."""
    if mtu is not None and auto_mtu:
        raise click.UsageError("--mtu and --auto-mtu exclude each other")

    async def work(intent: Intent) -> Row:
        changed = await intent.networks.set(
            network,
            name=UNSET if name is None else name,
            mtu_bytes=None if auto_mtu else UNSET if mtu is None else mtu,
            transport=UNSET if transport is None else Transport(transport),
        )
        return await _row(intent, changed)

    output.show(session.run(work), as_json=session.is_json)


@network.command()
@shared_options
@click.argument("networks", metavar="NETWORK...", nargs=-1, required=True, shell_complete=names_of("network"))
@click.option("--force", is_flag=True, help="With all its ports and subnets.")
@click.pass_obj
def delete(session: Session, networks: tuple[str, ...], force: bool) -> None:
    """Delete networks, if nothing is in them."""

    async def work(intent: Intent) -> list[Row]:
        found = [await intent.networks.get(each) for each in dict.fromkeys(networks)]
        return [network_row(await intent.networks.delete(each.id, cascade=force), []) for each in found]

    output.deleted("network", session.run(work), as_json=session.is_json)


async def _row(intent: Intent, network: Network) -> Row:
    return network_row(network, [each.prefix for each in await intent.subnets.list(network.id)])
