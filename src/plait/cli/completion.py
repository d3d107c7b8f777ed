"""`plait completion`."""

import click
from click.shell_completion import get_completion_class

from plait.cli.session import shared_options

VARIABLE = "_PLAIT_COMPLETE"


@click.command()
@shared_options
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    bash: plait completion bash > /etc/bash_completion.d/plait
    """
    completer = get_completion_class(shell)
    assert completer is not None
    click.echo(completer(ctx.find_root().command, {}, "plait", VARIABLE).source())
