"""What rules decided on this host, as its agent reads it off the switch: columns beside rules."""

from collections.abc import Sequence

import click

from plait.cli.rows import RULE_COLUMNS, Row
from plait.cli.session import Session

COUNTED_COLUMNS = (*RULE_COLUMNS, "packets", "bytes")


async def counted(session: Session, rules: Sequence[Row]) -> list[Row]:
    """Rows of rules with `packets` and `bytes`; None for a rule of which this host knows nothing.

    Raises ClickException when no agent answers.
    """
    from plait.agent.api import CallFailed, call

    try:
        counters = (await call(session.agent_socket, "rule_counters"))["rules"]
    except CallFailed as error:
        raise click.ClickException(str(error)) from None
    nothing = {"packets": None, "bytes": None}
    return [{**rule, **counters.get(rule["id"], nothing)} for rule in rules]


counters_option = click.option(
    "--counters", is_flag=True, help="With what each rule decided on this host, both ways of connections."
)
