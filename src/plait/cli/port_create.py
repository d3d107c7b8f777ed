"""`plait port create`: one port, or as many alike as are wanted."""

import time

import click

from plait.cli import output
from plait.cli.complete import names_of
from plait.cli.port_options import options as parse_options
from plait.cli.port_options import pairs, policy_options
from plait.cli.rows import Row, port_row
from plait.cli.session import Progress, Session, shared_options, wait_options
from plait.intent import Intent, PortSpec
from plait.intent.labels import labels
from plait.model.entities import PortState

NUMBER = "{n}"


@click.command()
@shared_options
@click.argument("name")
@click.option(
    "--network", metavar="NETWORK", required=True, shell_complete=names_of("network"), help="Name or id."
)
@click.option("--host", metavar="HOST", shell_complete=names_of("host"), help="Where it is plugged in.")
@click.option(
    "--device",
    metavar="DEVICE",
    help="The interface on the host that is plugged in; with --count it must contain {n}.",
)
@click.option(
    "--address",
    "addresses",
    multiple=True,
    help="This address [default: one of each IP version]; repeatable.",
)
@click.option(
    "--subnet",
    "subnets",
    multiple=True,
    metavar="SUBNET",
    help="An address out of this subnet (name, id, prefix); repeatable.",
)
@click.option("--mac", metavar="MAC", help="This MAC [default: chosen].")
@click.option(
    "--count", type=click.IntRange(1, 100_000), metavar="N", help="So many, named NAME-1 to NAME-N."
)
@click.option(
    "--multicast",
    "multicast",
    multiple=True,
    metavar="GROUP",
    help="A multicast group whose packets it wants; repeatable.",
)
@click.option(
    "--port-security/--no-port-security", "security", default=True, help="Send only from its own addresses."
)
@policy_options
@wait_options
@click.pass_obj
def create(
    session: Session,
    name: str,
    *,
    network: str,
    host: str | None,
    device: str | None,
    addresses: tuple[str, ...],
    subnets: tuple[str, ...],
    mac: str | None,
    count: int | None,
    multicast: tuple[str, ...],
    groups: tuple[str, ...],
    address_pairs: tuple[str, ...],
    hostname: str | None,
    options: tuple[str, ...],
    security: bool,
    wait: bool,
    timeout_s: float,
) -> None:
    """Make a port. With --count all are made, or none."""
    if count is not None:
        _check_count(addresses, mac, device)
    if wait and host is None:
        raise click.UsageError("--wait needs --host: a port on no host never comes up")
    specs = [
        PortSpec(
            network=network,
            name=each,
            host=host,
            device=None if device is None else device.replace(NUMBER, str(number)),
            addresses=addresses,
            subnets=subnets,
            mac=mac,
            security=security,
            multicast=multicast,
            groups=groups,
            address_pairs=pairs(address_pairs),
            hostname=hostname,
            dhcp_options=parse_options(options),
        )
        for number, each in enumerate(
            [name] if count is None else [f"{name}-{n + 1}" for n in range(count)], 1
        )
    ]

    async def work(intent: Intent) -> list[Row]:
        making, waiting = Progress("ports made", len(specs)), Progress("ports up", len(specs))
        try:
            ports = await intent.ports.create_many(specs, on_progress=making)
            if wait:
                await intent.ports.wait_all_up(ports, timeout_s=timeout_s, on_progress=waiting)
        finally:
            making.finish()
        of = await intent.networks.get(network)
        statuses = await intent.ports.statuses(ports)
        called = await labels(intent.store, {group for port in ports for group in port.groups})
        return [port_row(port, {of.id: of.name}, statuses.get(port.id), called) for port in ports]

    began = time.monotonic()
    rows = session.run(work)
    if count is None:
        output.show(rows[0], as_json=session.is_json)
    elif session.is_json:
        click.echo(output.to_json(rows))
    else:
        up = sum(row["state"] == PortState.UP for row in rows)
        state = f", {up} up" if wait else ""
        took_s = time.monotonic() - began
        click.echo(f"{count} ports made on network {rows[0]['network']}{state} in {took_s:.2f} s")


def _check_count(addresses: tuple[str, ...], mac: str | None, device: str | None) -> None:
    for value, option in ((addresses, "--address"), (mac, "--mac")):
        if value:
            raise click.UsageError(f"{option} is for one port, --count makes many: leave one of them out")
    if device is not None and NUMBER not in device:
        raise click.UsageError(
            f"--device {device!r} would be the same for all: write {NUMBER} where its number belongs"
        )
