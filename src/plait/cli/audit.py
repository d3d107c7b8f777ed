"""`plait audit`."""

import click

from plait.cli import output
from plait.cli.session import Session, shared_options
from plait.intent import audit as find_faults


@click.command()
@shared_options
@click.pass_obj
def audit(session: Session) -> int:
    """Look for leaked, missing or doubled claims and for words about ports that are gone.

    Exit code 0 if there are none, 3 otherwise. Meant for a quiet store: what is being changed may look wrong.
    """
    faults = session.run(lambda intent: find_faults(intent.store))
    if session.is_json:
        click.echo(output.to_json(faults))
    else:
        for fault in faults or ["nothing is leaked, missing or doubled"]:
            click.echo(fault)
    return 3 if faults else 0
