"""Options of `plait subnet create` and `plait subnet set`: what endpoints are told."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from plait.intent.dhcp_options import parse_option
from plait.intent.told import Told, parse_route
from plait.model.entities import Ipv6Mode

Command = TypeVar("Command", bound=Callable[..., Any])

MODES = click.Choice([str(each) for each in Ipv6Mode])
LISTS = ("dns", "ntp", "search", "routes", "options")
"""What `--no-…` makes empty."""


def told_options(command: Command) -> Command:
    """`--dhcp`, `--ipv6-mode`, `--dns` and the like."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def no_told_options(command: Command) -> Command:
    """`--no-dns` and the like, for what changes a subnet."""
    for name in reversed((*LISTS, "domain")):
        option = click.option(f"--no-{name}", is_flag=True, help=f"Tell of no {_NOUNS.get(name, name)}.")
        command = option(command)
    return command


def told(version: int, **values: Any) -> Told:
    """What was given, as `Subnets.create` and `set` take it. Raises UsageError, Invalid.

    `version` is that of options without one.
    """
    found: Told = {}
    for name in (*LISTS, "domain"):
        if values.get(name) and values.get(f"no_{name}"):
            option = {"routes": "route", "options": "option"}.get(name, name)
            raise click.UsageError(f"--{option} and --no-{name} exclude each other")
    if values["dhcp"] is not None:
        found["dhcp"] = values["dhcp"]
    if values["ipv6_mode"] is not None:
        found["ipv6_mode"] = Ipv6Mode(values["ipv6_mode"])
    if values["lease_s"] is not None:
        found["lease_s"] = values["lease_s"]
    if values["domain"] is not None or values.get("no_domain"):
        found["domain"] = values["domain"]
    if values["dns"] or values.get("no_dns"):
        found["dns"] = values["dns"]
    if values["ntp"] or values.get("no_ntp"):
        found["ntp"] = values["ntp"]
    if values["search"] or values.get("no_search"):
        found["search"] = values["search"]
    if values["routes"] or values.get("no_routes"):
        found["routes"] = tuple(parse_route(each) for each in values["routes"])
    if values["options"] or values.get("no_options"):
        found["dhcp_options"] = tuple(parse_option(each, version=version) for each in values["options"])
    return found


_NOUNS = {
    "dns": "DNS servers",
    "ntp": "NTP servers",
    "search": "search domains",
    "routes": "routes",
    "options": "options",
}

_OPTIONS = (
    click.option("--dhcp/--no-dhcp", default=None, help="Answer DHCP in an IPv4 subnet [default: yes]."),
    click.option(
        "--ipv6-mode",
        type=MODES,
        help="How endpoints get their IPv6 address [default: stateful, by DHCPv6].",
    ),
    click.option("--lease", "lease_s", type=int, metavar="SECONDS", help="Of addresses [default: 86400]."),
    click.option("--dns", multiple=True, metavar="ADDRESS", help="A DNS server; repeatable."),
    click.option("--ntp", multiple=True, metavar="ADDRESS", help="An NTP server; repeatable."),
    click.option("--domain", metavar="DOMAIN", help="The endpoints' domain."),
    click.option("--search", multiple=True, metavar="DOMAIN", help="A domain to search; repeatable."),
    click.option(
        "--route",
        "routes",
        multiple=True,
        metavar="PREFIX=ADDRESS",
        help="A route that endpoints are told of; repeatable.",
    ),
    click.option(
        "--option",
        "options",
        multiple=True,
        metavar="CODE=KIND:VALUE",
        help="A DHCP option, like 66=text:tftp.example, 42=ip:10.0.0.1 or 67=hex:00ff; repeatable.",
    ),
)
