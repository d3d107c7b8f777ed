"""Options of `plait port create` and `plait port set`: groups, address pairs, and what a port is told."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from plait.cli.complete import names_of
from plait.intent.address_pairs import parse_pair
from plait.intent.dhcp_options import parse_option
from plait.model.entities import AddressPair, DhcpOption

Command = TypeVar("Command", bound=Callable[..., Any])


def policy_options(command: Command) -> Command:
    """`--group`, `--address-pair`, `--hostname`, `--option`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def pairs(texts: tuple[str, ...]) -> tuple[AddressPair, ...]:
    """Raises Invalid."""
    return tuple(parse_pair(each) for each in texts)


def options(texts: tuple[str, ...]) -> tuple[DhcpOption, ...]:
    """Raises Invalid."""
    return tuple(parse_option(each) for each in texts)


_OPTIONS = (
    click.option(
        "--group",
        "groups",
        multiple=True,
        metavar="GROUP",
        shell_complete=names_of("group"),
        help="A group whose rules filter it; repeatable.",
    ),
    click.option(
        "--address-pair",
        "address_pairs",
        multiple=True,
        metavar="PREFIX[,MAC]",
        help="What it may send as besides its own addresses; repeatable.",
    ),
    click.option("--hostname", metavar="NAME", help="What DHCP calls it [default: its name]."),
    click.option(
        "--option",
        "options",
        multiple=True,
        metavar="CODE=KIND:VALUE",
        help="A DHCP option, like 67=text:boot or 6/59=text:http://boot.example; repeatable.",
    ),
)
