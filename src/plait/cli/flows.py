"""`plait flows`: what the switch of a host is made to do, table by table, and for whom."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from plait.cli import output
from plait.cli.complete import names_of
from plait.cli.session import Session, shared_options, socket_option

if TYPE_CHECKING:
    from plait.intent import Intent
    from plait.intent.stored_view import Stored

COLUMNS = ("table_name", "priority", "match", "actions", "app", "owner_name", "packets")
STATE = "state"
Row = dict[str, Any]


@click.command()
@shared_options
@socket_option
@click.option("--host", metavar="HOST", shell_complete=names_of("host"), help="Of this host [default: here].")
@click.option(
    "--port", metavar="PORT", shell_complete=names_of("port"), help="Only those made for this port."
)
@click.option(
    "--network",
    metavar="NETWORK",
    shell_complete=names_of("network"),
    help="Only those made for this network and its ports.",
)
@click.option("--table", metavar="TABLE", help="Only those of this table: a name or number.")
@click.option(
    "--from-store", is_flag=True, help="As the store wants them; no agent is asked, no packets counted."
)
@click.pass_obj
def flows(
    session: Session,
    host: str | None,
    port: str | None,
    network: str | None,
    table: str | None,
    from_store: bool,
) -> None:
    """The flows of a host, with the table, app and owner of each.

    The agent of this host is asked; flows of another one are shown with --from-store.
    """
    wanted_table = None if table is None else _table(table)
    if from_store and host is None:
        raise click.UsageError("--from-store needs --host: it asks no agent where it is")

    async def work(intent: "Intent") -> list[Row]:
        from plait.intent.reading import read_of_host

        if from_store:
            assert host is not None
            await intent.hosts.get(host)
            stored = await read_of_host(intent.store, host)
            rows = _compiled(stored, host)
        else:
            here, rows = await _asked(session.agent_socket, host)
            stored = await read_of_host(intent.store, here)
        keep = await _filter(intent, stored, port, network)
        rows = [row for row in rows if keep(row) and wanted_table in (None, row["table"])]
        return [{**row, "owner_name": stored.name_of(row["owner_kind"], row["owner"])} for row in rows]

    _show(session.run(work), session)


def _table(text: str) -> int:
    """The number of a table. Raises UsageError with those that there are."""
    from plait.flows.pipeline import Table

    for table in Table:
        if text.lower() in (table.name.lower(), str(table.value)):
            return table.value
    raise click.UsageError(
        f"there is no table {text!r}: choose {', '.join(table.name.lower() for table in Table)}"
    )


async def _asked(socket: str, host: str | None) -> tuple[str, list[Row]]:
    """The host of the agent behind `socket`, and its flows. Raises ClickException."""
    from plait.agent.api import CallFailed, NoAgent, call

    try:
        answer = await call(socket, "flows")
    except NoAgent as error:
        raise click.ClickException(f"{error}; or 'plait flows --from-store --host HOST'") from None
    except CallFailed as error:
        raise click.ClickException(str(error)) from None
    if host not in (None, answer["host"]):
        raise click.ClickException(
            f"the agent here is that of host {answer['host']!r}: --from-store shows what {host!r} should have"
        )
    here: str = answer["host"]
    return here, answer["flows"]


def _compiled(stored: "Stored", host: str) -> list[Row]:
    """What a fresh compile of the store's view wants."""
    from plait.apps import APP_NAMES
    from plait.compile import app_of
    from plait.flows.flow import Flow
    from plait.flows.pipeline import table_name
    from plait.intent.path import Site

    site = Site(stored.view(host))
    rows = []
    for key, entry in sorted(site.compiler.flows.items()):
        flow = Flow(key, entry.instructions)
        match, actions = site.texts(flow, partial(stored.name_of, "station"))
        rows.append(
            {
                "table": flow.table,
                "table_name": table_name(flow.table),
                "priority": flow.priority,
                "match": match,
                "actions": actions,
                "app": APP_NAMES.get(app_of(entry.cookie) or 0, "?"),
                "owner_kind": entry.owner.kind,
                "owner": entry.owner.id,
                "packets": None,
                "bytes": None,
                "in_step": None,
            }
        )
    return rows


async def _filter(
    intent: "Intent", stored: "Stored", port: str | None, network: str | None
) -> Callable[[Row], bool]:
    """Which flows were asked for, by their owners. Raises NotFound."""
    if port is None and network is None:
        return lambda row: True
    owners: set[tuple[str, str]] = set()
    if port is not None:
        owners.add(("station", (await intent.ports.get(port)).id))
    if network is not None:
        id = (await intent.networks.get(network)).id
        owners.add(("network", id))
        owners |= {("station", each.id) for each in stored.ports.values() if each.network == id}
    return lambda row: (row["owner_kind"], row["owner"]) in owners


def _show(rows: list[Row], session: Session) -> None:
    columns: tuple[str, ...] = COLUMNS
    if any(row["in_step"] is False for row in rows):
        rows = [{**row, STATE: "ok" if row["in_step"] else "pending"} for row in rows]
        columns = (STATE, *COLUMNS)
    if all(row["packets"] is None for row in rows):
        columns = tuple(column for column in columns if column != "packets")
    output.listing(rows, columns, as_json=session.is_json)
