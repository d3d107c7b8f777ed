"""`plait addresses`: address groups, named sets of prefixes for rules."""

from typing import TextIO

import click

from plait.cli import batch, output
from plait.cli.complete import names_of
from plait.cli.rows import Row
from plait.cli.session import Session, shared_options
from plait.intent import Intent
from plait.model.policy import AddressGroup

KIND = "address-group"
COLUMNS = ("name", "id")


@click.group()
def addresses() -> None:
    """Address groups: named sets of prefixes that rules can refer to. GROUP is a name or an id."""


@addresses.command()
@shared_options
@click.argument("name")
@click.argument("prefixes", metavar="[PREFIX...]", nargs=-1)
@click.pass_obj
def create(session: Session, name: str, prefixes: tuple[str, ...]) -> None:
    """Make an address group, with prefixes to begin with."""

    async def work(intent: Intent) -> Row:
        return await _row(intent, await intent.address_groups.create(name, prefixes))

    output.show(session.run(work), as_json=session.is_json)


@addresses.command(name="list")
@shared_options
@click.pass_obj
def list_(session: Session) -> None:
    """List the project's address groups."""

    async def work(intent: Intent) -> list[Row]:
        return [_short(each) for each in await intent.address_groups.list()]

    output.listing(session.run(work), COLUMNS, as_json=session.is_json)


@addresses.command()
@shared_options
@click.argument("group", shell_complete=names_of(KIND))
@click.pass_obj
def show(session: Session, group: str) -> None:
    """Show an address group with its prefixes."""

    async def work(intent: Intent) -> Row:
        return await _row(intent, await intent.address_groups.get(group))

    output.show(session.run(work), as_json=session.is_json)


@addresses.command(name="set")
@shared_options
@click.argument("group", shell_complete=names_of(KIND))
@click.option("--name", metavar="NAME", required=True, help="Another name.")
@click.pass_obj
def set_(session: Session, group: str, name: str) -> None:
    """Change an address group."""

    async def work(intent: Intent) -> Row:
        return _short(await intent.address_groups.set(group, name=name))

    output.show(session.run(work), as_json=session.is_json)


@addresses.command()
@shared_options
@click.argument("groups", metavar="GROUP...", nargs=-1, required=True, shell_complete=names_of(KIND))
@click.pass_obj
def delete(session: Session, groups: tuple[str, ...]) -> None:
    """Delete address groups that no rule refers to."""

    async def work(intent: Intent) -> list[Row]:
        found = [await intent.address_groups.get(each) for each in dict.fromkeys(groups)]
        return [_short(await intent.address_groups.delete(each.id)) for each in found]

    output.deleted("address group", session.run(work), as_json=session.is_json)


@addresses.command()
@shared_options
@click.argument("group", shell_complete=names_of(KIND))
@click.argument("prefixes", metavar="[PREFIX...]", nargs=-1)
@batch.from_option
@click.pass_obj
def add(session: Session, group: str, prefixes: tuple[str, ...], lines: TextIO | None) -> None:
    """Put prefixes or addresses into an address group."""
    wanted = _named(prefixes, lines)

    async def work(intent: Intent) -> int:
        return await intent.address_groups.add(group, wanted)

    _say(session, group, added=session.run(work))


@addresses.command()
@shared_options
@click.argument("group", shell_complete=names_of(KIND))
@click.argument("prefixes", metavar="[PREFIX...]", nargs=-1)
@batch.from_option
@click.pass_obj
def remove(session: Session, group: str, prefixes: tuple[str, ...], lines: TextIO | None) -> None:
    """Take prefixes out of an address group."""
    wanted = _named(prefixes, lines)

    async def work(intent: Intent) -> int:
        return await intent.address_groups.remove(group, wanted)

    _say(session, group, removed=session.run(work))


def _named(prefixes: tuple[str, ...], lines: TextIO | None) -> list[str]:
    return batch.named(
        prefixes, lines, missing="no prefix is named: give some, or a file of them with --from"
    )


def _say(session: Session, group: str, **counts: int) -> None:
    batch.say(session, group, one="prefix", many="prefixes", of="address group", **counts)


def _short(group: AddressGroup) -> Row:
    return {"name": group.name, "id": group.id, "project": group.project}


async def _row(intent: Intent, group: AddressGroup) -> Row:
    return {**_short(group), "prefixes": await intent.address_groups.entries(group.id)}
