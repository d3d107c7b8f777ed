"""`plait rule`: who may talk to the ports of a group, and whom they may talk to."""

import click

from plait.cli import output
from plait.cli.complete import names_of
from plait.cli.counters import COUNTED_COLUMNS, counted, counters_option
from plait.cli.rows import RULE_COLUMNS, Row, rule_rows
from plait.cli.session import Session, shared_options, socket_option
from plait.intent import Intent
from plait.model.policy import Action, Direction, Protocol

PROTOCOLS = click.Choice([str(each) for each in Protocol])


@click.group()
def rule() -> None:
    """Rules of groups. Of those that match a packet the highest priority decides; at equal ones deny does."""


def _range(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """`FIRST-LAST` or one number."""
    if value is None:
        return None
    first, dash, last = value.partition("-")
    try:
        return int(first), int(last if dash else first)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither PORT nor FIRST-LAST", ctx, param) from None


@rule.command()
@shared_options
@click.argument("group", shell_complete=names_of("group"))
@click.option("--name", metavar="NAME", help="Within the group [default: the id].")
@click.option("--ingress", "direction", flag_value="ingress", default=True, help="What comes in [default].")
@click.option("--egress", "direction", flag_value="egress", help="What goes out.")
@click.option("--allow/--deny", "is_allowed", default=True, help="Let it pass, or not [default: allow].")
@click.option("--priority", type=int, default=0, metavar="0-1000", help="The highest decides [default: 0].")
@click.option("--family", type=click.Choice(["4", "6"]), help="Of IP [default: both].")
@click.option("--protocol", type=PROTOCOLS, default="any", show_default=True, help="Of the packets.")
@click.option("--port", "ports", metavar="PORT[-LAST]", callback=_range, help="Destination ports.")
@click.option("--icmp-type", type=int, metavar="TYPE", help="Of ICMP or, with --family 6, ICMPv6.")
@click.option("--icmp-code", type=int, metavar="CODE", help="Of that type.")
@click.option("--cidr", metavar="PREFIX", help="The other side has an address in it.")
@click.option(
    "--group", "remote", metavar="GROUP", shell_complete=names_of("group"), help="The other side is in it."
)
@click.option(
    "--addresses",
    metavar="NAME",
    shell_complete=names_of("address-group"),
    help="The other side has an address in this address group.",
)
@click.option("--log", is_flag=True, help="Log first packets, and what is denied.")
@click.pass_obj
def add(
    session: Session,
    group: str,
    *,
    name: str | None,
    direction: str,
    is_allowed: bool,
    priority: int,
    family: str | None,
    protocol: str,
    ports: tuple[int, int] | None,
    icmp_type: int | None,
    icmp_code: int | None,
    cidr: str | None,
    remote: str | None,
    addresses: str | None,
    log: bool,
) -> None:
    """Add a rule to a group; without --cidr, --group and --addresses the other side is everybody."""

    async def work(intent: Intent) -> Row:
        made = await intent.rules.add(
            group,
            Direction(direction),
            name=name,
            action=Action.ALLOW if is_allowed else Action.DENY,
            priority=priority,
            family=None if family is None else int(family),
            protocol=Protocol(protocol),
            ports=ports,
            icmp_type=icmp_type,
            icmp_code=icmp_code,
            cidr=cidr,
            remote_group=remote,
            address_group=addresses,
            log=log,
        )
        return (await rule_rows(intent, [made]))[0]

    output.show(session.run(work), as_json=session.is_json)


@rule.command()
@shared_options
@click.argument("group", shell_complete=names_of("group"))
@click.argument("rules", metavar="RULE...", nargs=-1, required=True)
@click.pass_obj
def remove(session: Session, group: str, rules: tuple[str, ...]) -> None:
    """Remove rules by name or id: connections that no other rule allows are cut."""

    async def work(intent: Intent) -> list[Row]:
        gone = [await intent.rules.remove(group, each) for each in dict.fromkeys(rules)]
        return await rule_rows(intent, gone)

    output.deleted("rule", session.run(work), as_json=session.is_json)


@rule.command(name="list")
@shared_options
@socket_option
@counters_option
@click.argument("group", required=False, shell_complete=names_of("group"))
@click.pass_obj
def list_(session: Session, group: str | None, counters: bool) -> None:
    """List the rules of a group, or of all: what decides first stands first."""

    async def work(intent: Intent) -> list[Row]:
        groups = [each.id for each in await intent.groups.list()] if group is None else [group]
        rules = [rule for each in groups for rule in await intent.rules.list(each)]
        rows = await rule_rows(intent, rules)
        return await counted(session, rows) if counters else rows

    columns = COUNTED_COLUMNS if counters else RULE_COLUMNS
    if group is None:
        columns = ("group", *columns)
    output.listing(session.run(work), columns, as_json=session.is_json)
