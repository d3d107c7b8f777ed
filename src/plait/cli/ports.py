"""`plait port`: all but making them, which is `port_create.py`."""

import click
from msgspec import UNSET

from plait.cli import output
from plait.cli.complete import names_of
from plait.cli.port_addresses import address
from plait.cli.port_create import create
from plait.cli.port_options import options as parse_options
from plait.cli.port_options import pairs, policy_options
from plait.cli.rows import Row, port_row
from plait.cli.session import Session, shared_options, wait_options
from plait.intent import Intent
from plait.intent.labels import labels
from plait.model.entities import Port

COLUMNS = ("name", "network", "addresses", "mac", "host", "device", "state", "id")


@click.group()
def port() -> None:
    """Places where endpoints are plugged in. PORT is a name or an id."""


port.add_command(create)
port.add_command(address)


@port.command(name="list")
@shared_options
@click.option(
    "--network", metavar="NETWORK", shell_complete=names_of("network"), help="Only those of this network."
)
@click.option("--host", metavar="HOST", shell_complete=names_of("host"), help="Only those on this host.")
@click.pass_obj
def list_(session: Session, network: str | None, host: str | None) -> None:
    """List ports."""

    async def work(intent: Intent) -> list[Row]:
        ports = await intent.ports.list(network=network, host=host)
        names = {each.id: each.name for each in await intent.networks.list()}
        statuses = await intent.ports.statuses(ports)
        called = await labels(intent.store, {group for port in ports for group in port.groups})
        return [port_row(each, names, statuses.get(each.id), called) for each in ports]

    rows = session.run(work)
    columns = (*COLUMNS, "reason") if any(row["reason"] for row in rows) else COLUMNS
    output.listing(rows, columns, as_json=session.is_json)


@port.command()
@shared_options
@click.argument("port", shell_complete=names_of("port"))
@click.pass_obj
def show(session: Session, port: str) -> None:
    """Show one port."""

    async def work(intent: Intent) -> Row:
        return await _row(intent, await intent.ports.get(port))

    output.show(session.run(work), as_json=session.is_json)


@port.command(name="set")
@shared_options
@click.argument("port", shell_complete=names_of("port"))
@click.option("--name", metavar="NAME", help="Another name.")
@click.option("--host", metavar="HOST", shell_complete=names_of("host"), help="Move it to this host.")
@click.option("--no-host", is_flag=True, help="Take it off its host.")
@click.option("--device", metavar="DEVICE", help="The interface on the host that is plugged in.")
@click.option("--no-device", is_flag=True, help="Plug in no interface.")
@click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="ADDRESS",
    help="These instead of the ones it has; repeatable.",
)
@click.option(
    "--multicast",
    "multicast",
    multiple=True,
    metavar="GROUP",
    help="Multicast groups it wants instead; repeatable.",
)
@click.option("--no-multicast", is_flag=True, help="It wants no groups.")
@click.option(
    "--port-security/--no-port-security", "security", default=None, help="Send only from its own addresses."
)
@policy_options
@click.option("--no-groups", is_flag=True, help="Take it out of its groups.")
@click.option("--no-address-pairs", is_flag=True, help="Send from its own addresses only.")
@click.option("--no-hostname", is_flag=True, help="Call it by its name.")
@click.option("--no-options", is_flag=True, help="No DHCP options of its own.")
@wait_options
@click.pass_obj
def set_(
    session: Session,
    port: str,
    *,
    name: str | None,
    host: str | None,
    no_host: bool,
    device: str | None,
    no_device: bool,
    addresses: tuple[str, ...],
    multicast: tuple[str, ...],
    no_multicast: bool,
    groups: tuple[str, ...],
    no_groups: bool,
    address_pairs: tuple[str, ...],
    no_address_pairs: bool,
    hostname: str | None,
    no_hostname: bool,
    options: tuple[str, ...],
    no_options: bool,
    security: bool | None,
    wait: bool,
    timeout_s: float,
) -> None:
    """Change a port, or move it to another host. What is repeatable stands for all that was there before."""
    for value, no_value, what in (
        (host, no_host, "host"),
        (device, no_device, "device"),
        (multicast, no_multicast, "multicast"),
        (groups, no_groups, "groups"),
        (address_pairs, no_address_pairs, "address-pairs"),
        (hostname, no_hostname, "hostname"),
        (options, no_options, "options"),
    ):
        if value and no_value:
            raise click.UsageError(f"--{what.rstrip('s')} and --no-{what} exclude each other")

    async def work(intent: Intent) -> Row:
        changed = await intent.ports.set(
            port,
            name=UNSET if name is None else name,
            host=None if no_host else UNSET if host is None else host,
            device=None if no_device else UNSET if device is None else device,
            addresses=addresses or UNSET,
            multicast=() if no_multicast else multicast or UNSET,
            groups=() if no_groups else groups or UNSET,
            address_pairs=() if no_address_pairs else pairs(address_pairs) or UNSET,
            hostname=None if no_hostname else UNSET if hostname is None else hostname,
            dhcp_options=() if no_options else parse_options(options) or UNSET,
            security=UNSET if security is None else security,
        )
        if wait:
            await intent.ports.wait_up(changed, timeout_s=timeout_s)
        return await _row(intent, changed)

    output.show(session.run(work), as_json=session.is_json)


@port.command()
@shared_options
@click.argument("ports", metavar="PORT...", nargs=-1, required=True, shell_complete=names_of("port"))
@click.pass_obj
def delete(session: Session, ports: tuple[str, ...]) -> None:
    """Delete ports and free what they had."""

    async def work(intent: Intent) -> list[Row]:
        found = [await intent.ports.get(each) for each in dict.fromkeys(ports)]
        await intent.ports.delete_all(found)
        return [port_row(each, {}, None) for each in found]

    output.deleted("port", session.run(work), as_json=session.is_json)


async def _row(intent: Intent, port: Port) -> Row:
    network = await intent.networks.get(port.network)
    statuses = await intent.ports.statuses([port])
    called = await labels(intent.store, port.groups)
    return port_row(port, {network.id: network.name}, statuses.get(port.id), called)
