"""Many at once: what is named on the command line, in a file, or on standard input."""

from typing import TextIO

import click

from plait.cli import output
from plait.cli.session import Session

from_option = click.option(
    "--from", "lines", type=click.File(), metavar="FILE", help="More, one a line; - is standard input."
)


def named(given: tuple[str, ...], lines: TextIO | None, *, missing: str) -> list[str]:
    """What is named, here and in the file. Raises UsageError(`missing`) if that is nothing."""
    wanted = [each.strip() for each in (*given, *(lines or ()))]
    if not any(wanted):
        raise click.UsageError(missing)
    return [each for each in wanted if each]


def say(session: Session, group: str, *, one: str, many: str, of: str, **counts: int) -> None:
    """How many (of which `one`, or `many`) were added to, or removed from, a group, which is an `of`."""
    if session.is_json:
        click.echo(output.to_json({"group": group, **counts}))
        return
    for done, count in counts.items():
        click.echo(f"{count} {one if count == 1 else many} {done}, {of} {group}")
