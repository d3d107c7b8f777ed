"""`plait router`: all but where they lead, which is `router_ways.py`."""

import click

from plait.cli import output
from plait.cli.complete import names_of
from plait.cli.router_ways import interface, peer, route
from plait.cli.rows import Row, interface_row, peer_row, route_row, router_row
from plait.cli.session import Session, shared_options
from plait.intent import Intent

COLUMNS = ("name", "id", "vni", "interfaces", "routes")
SECTIONS = (
    ("interfaces", ("address", "subnet", "network", "mac")),
    ("routes", ("destination", "next_hops", "router")),
    ("peers", ("name", "state", "id")),
)


@click.group()
def router() -> None:
    """Routers, computed on every host. ROUTER is a name or an id."""


router.add_command(interface)
router.add_command(route)
router.add_command(peer)


@router.command()
@shared_options
@click.argument("name")
@click.option("--vni", type=int, metavar="VNI", help="Its number [default: the next that is free].")
@click.pass_obj
def create(session: Session, name: str, vni: int | None) -> None:
    """Make a router; it is on no subnet yet."""

    async def work(intent: Intent) -> Row:
        return router_row(await intent.routers.create(name, vni=vni))

    output.show(session.run(work), as_json=session.is_json)


@router.command(name="list")
@shared_options
@click.pass_obj
def list_(session: Session) -> None:
    """List the project's routers."""

    async def work(intent: Intent) -> list[Row]:
        routers = await intent.routers.list()
        prefixes = await intent.interfaces.prefixes([each.id for each in routers])
        return [{**router_row(each), "interfaces": prefixes[each.id]} for each in routers]

    rows = session.run(work)
    if not session.is_json:
        rows = [{**row, "routes": [route["destination"] for route in row["routes"]]} for row in rows]
    output.listing(rows, COLUMNS, as_json=session.is_json)


@router.command()
@shared_options
@click.argument("router", shell_complete=names_of("router"))
@click.pass_obj
def show(session: Session, router: str) -> None:
    """Show one router: where it is, where its routes lead, whom it is joined to."""

    async def work(intent: Intent) -> Row:
        state = await intent.routers.state(router)
        peers = await intent.peerings.list(state.router.id)
        networks = {each.id: each.name for each in await intent.networks.list()}
        called = {each.router.id: peer_row(each, intent.project)["name"] for each in peers}
        return {
            **router_row(state.router),
            "interfaces": [interface_row(each, networks) for each in state.interfaces],
            "routes": [route_row(each, called) for each in state.router.routes],
            "peers": [peer_row(each, intent.project) for each in peers],
        }

    row = session.run(work)
    if session.is_json:
        click.echo(output.to_json(row))
        return
    output.show({name: row[name] for name in ("name", "id", "project", "vni")}, as_json=False)
    for section, columns in SECTIONS:
        if row[section]:
            click.echo(f"\n{section}")
            output.listing(row[section], columns, as_json=False)


@router.command(name="set")
@shared_options
@click.argument("router", shell_complete=names_of("router"))
@click.option("--name", metavar="NAME", required=True, help="Another name.")
@click.pass_obj
def set_(session: Session, router: str, name: str) -> None:
    """Change a router."""

    async def work(intent: Intent) -> Row:
        return router_row(await intent.routers.set(router, name=name))

    output.show(session.run(work), as_json=session.is_json)


@router.command()
@shared_options
@click.argument("routers", metavar="ROUTER...", nargs=-1, required=True, shell_complete=names_of("router"))
@click.option("--force", is_flag=True, help="With its interfaces, routes and peerings.")
@click.pass_obj
def delete(session: Session, routers: tuple[str, ...], force: bool) -> None:
    """Delete routers, if they join nothing."""

    async def work(intent: Intent) -> list[Row]:
        found = [await intent.routers.get(each) for each in dict.fromkeys(routers)]
        return [router_row(await intent.routers.delete(each.id, cascade=force)) for each in found]

    output.deleted("router", session.run(work), as_json=session.is_json)
