"""`plait router interface|route|peer`: where a router is, and where it leads."""

import click

from plait.cli import output
from plait.cli.complete import names_of
from plait.cli.rows import Row, interface_row, peer_row, route_row
from plait.cli.session import Session, shared_options
from plait.intent import Intent
from plait.model.routers import Router


@click.group()
def interface() -> None:
    """Subnets that a router is on: it is their gateway, on every host."""


@interface.command(name="add")
@shared_options
@click.argument("router", shell_complete=names_of("router"))
@click.argument("subnets", metavar="[SUBNET...]", nargs=-1, shell_complete=names_of("subnet"))
@click.option(
    "--network",
    "networks",
    multiple=True,
    metavar="NETWORK",
    shell_complete=names_of("network"),
    help="All subnets of a network; repeatable.",
)
@click.option("--address", metavar="ADDRESS", help="Of the router there [default: the subnet's gateway].")
@click.pass_obj
def add_interface(
    session: Session, router: str, subnets: tuple[str, ...], networks: tuple[str, ...], address: str | None
) -> None:
    """Put a router on subnets. A second router on a subnet needs an --address of its own."""
    if not subnets and not networks:
        raise click.UsageError("name a subnet, or --network NETWORK for all subnets of a network")
    if address is not None and (len(subnets) > 1 or networks):
        raise click.UsageError("--address is for one subnet: name one")

    async def work(intent: Intent) -> list[Row]:
        names = {each.id: each.name for each in await intent.networks.list()}
        of_networks = [each.id for network in networks for each in await intent.subnets.list(network)]
        made = [
            await intent.interfaces.add(router, subnet, address=address)
            for subnet in (*subnets, *of_networks)
        ]
        return [interface_row(each, names) for each in made]

    _show_each(session.run(work), session)


@interface.command(name="remove")
@shared_options
@click.argument("router", shell_complete=names_of("router"))
@click.argument("subnets", metavar="SUBNET...", nargs=-1, required=True, shell_complete=names_of("subnet"))
@click.pass_obj
def remove_interface(session: Session, router: str, subnets: tuple[str, ...]) -> None:
    """Take a router off subnets: by name, id or prefix."""

    async def work(intent: Intent) -> list[Row]:
        gone = [await intent.interfaces.remove(router, subnet) for subnet in subnets]
        return [{"name": f"{each.prefix} of router {router}", **interface_row(each, {})} for each in gone]

    output.deleted("interface", session.run(work), as_json=session.is_json)


@click.group()
def route() -> None:
    """A router's ways beyond its own subnets."""


@route.command(name="add")
@shared_options
@click.argument("router", shell_complete=names_of("router"))
@click.argument("destination", metavar="PREFIX")
@click.option(
    "--next-hop",
    "next_hops",
    multiple=True,
    metavar="ADDRESS",
    help="In a subnet of the router; repeatable: they share the load.",
)
@click.option(
    "--via",
    metavar="ROUTER",
    shell_complete=names_of("router"),
    help="A router that it is joined to: name, PROJECT/NAME or id.",
)
@click.pass_obj
def add_route(
    session: Session, router: str, destination: str, next_hops: tuple[str, ...], via: str | None
) -> None:
    """Lead a prefix to addresses, or on to another router. 0.0.0.0/0 and ::/0 are everything else."""
    if (via is None) == (not next_hops):
        raise click.UsageError("a route needs either --next-hop or --via")

    async def work(intent: Intent) -> Row:
        made = await intent.routes.add(router, destination, next_hops=next_hops, via=via)
        return await _routes(intent, made)

    output.show(session.run(work), as_json=session.is_json)


@route.command(name="remove")
@shared_options
@click.argument("router", shell_complete=names_of("router"))
@click.argument("destination", metavar="PREFIX")
@click.pass_obj
def remove_route(session: Session, router: str, destination: str) -> None:
    """Remove the route for a prefix."""

    async def work(intent: Intent) -> Row:
        return await _routes(intent, await intent.routes.remove(router, destination))

    output.show(session.run(work), as_json=session.is_json)


async def _routes(intent: Intent, router: Router) -> Row:
    peers = await intent.peerings.list(router.id)
    called = {each.router.id: peer_row(each, intent.project)["name"] for each in peers}
    rows = [route_row(each, called) for each in router.routes]
    return {"name": router.name, "id": router.id, "routes": rows}


@click.group()
def peer() -> None:
    """Routers joined to routers, also of other projects: once both sides ask for it."""


@peer.command(name="add")
@shared_options
@click.argument("router", shell_complete=names_of("router"))
@click.argument("peer", metavar="PEER", shell_complete=names_of("router"))
@click.pass_obj
def add_peer(session: Session, router: str, peer: str) -> None:
    """Ask for a router to be joined to PEER (name, PROJECT/NAME or id), or agree to it.

    Joined routers reach each other's subnets, and nothing behind them but by a route.
    """

    async def work(intent: Intent) -> Row:
        return peer_row(await intent.peerings.add(router, peer), intent.project)

    output.show(session.run(work), as_json=session.is_json)


@peer.command(name="remove")
@shared_options
@click.argument("router", shell_complete=names_of("router"))
@click.argument("peer", metavar="PEER", shell_complete=names_of("router"))
@click.pass_obj
def remove_peer(session: Session, router: str, peer: str) -> None:
    """Ask no more: if they were joined, they are no longer."""

    async def work(intent: Intent) -> Row:
        other = await intent.peerings.remove(router, peer)
        return {"name": f"of router {router} to router {peer}", "peer_id": other.id}

    output.deleted("peering", [session.run(work)], as_json=session.is_json)


@peer.command(name="list")
@shared_options
@click.argument("router", shell_complete=names_of("router"))
@click.pass_obj
def list_peers(session: Session, router: str) -> None:
    """List the routers that it is joined to, waits for, or is asked by."""

    async def work(intent: Intent) -> list[Row]:
        return [peer_row(each, intent.project) for each in await intent.peerings.list(router)]

    output.listing(session.run(work), ("name", "state", "id"), as_json=session.is_json)


def _show_each(rows: list[Row], session: Session) -> None:
    if len(rows) == 1:
        output.show(rows[0], as_json=session.is_json)
    else:
        output.listing(rows, ("address", "subnet", "network", "mac"), as_json=session.is_json)
