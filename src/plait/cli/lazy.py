"""Commands that are imported when they are called, and not before."""

import importlib
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import click


class LazyGroup(click.Group):
    """A group whose commands stand elsewhere: name -> ("module:attribute", one line of help)."""

    def __init__(self, *args: Any, lazy: dict[str, tuple[str, str]] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = lazy or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they were declared: what is used most comes first."""
        return [*self.lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.lazy:
            return super().get_command(ctx, cmd_name)
        command = load(self.lazy[cmd_name][0])
        if command is None:
            raise click.UsageError(f"{cmd_name!r} is not part of this installation", ctx)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows: Sequence[tuple[str, str]] = [(name, help) for name, (_, help) in self.lazy.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def load(target: str) -> click.Command | None:
    """The command at "module:attribute"; None if there is no such module."""
    module, _, attribute = target.partition(":")
    try:
        if find_spec(module) is None:
            return None
    except ModuleNotFoundError:
        return None
    command = getattr(importlib.import_module(module), attribute)
    assert isinstance(command, click.Command)
    return command
