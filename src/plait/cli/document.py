"""`python -m plait.cli.document` writes docs/cli.md: every command, as it explains itself."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from plait.cli.lazy import LazyGroup, load
from plait.cli.main import cli

PAGE = Path("docs/cli.md")
WIDTH = 100
SHARED = ("store_option", "project_option", "output_option", "help")

HEAD = """# The command `plait`

Generated from the commands themselves by `python -m plait.cli.document`: change their help, not this page.

Every command but `agent` and `lab` understands `--store URL`, `-p, --project PROJECT` and `-o, --output
table|json`, before or after its name.

| setting | option | environment | `/etc/plait/plait.toml` | or else |
|---|---|---|---|---|
| where intent stands | `--store` | `PLAIT_STORE` | `store` | `sqlite:///var/lib/plait/plait.db` |
| whose things | `--project` | `PLAIT_PROJECT` | `project` | `default` |
| VNIs that networks are given | | | `vni_first`, `vni_last` | 4096 to 16777215 |
| where the agent of this host answers | `--socket` | `PLAIT_SOCKET` | `socket` | `/run/plait/agent.sock` |
| that file itself | | `PLAIT_CONFIG` | | |

An error is one line on standard error. Exit codes: 0 done; 1 refused or failed, or `why` finds that it would
not pass; 2 called wrongly; 3 `status` or `audit` sees something that is not well; 4 `trace` finds that the
packet, or its answer, would not arrive; 130 interrupted.
"""


def document() -> str:
    """The page as Markdown."""
    parts = [HEAD]
    for path, command in _commands("plait", cli):
        context = click.Context(command, info_name=path, terminal_width=WIDTH)
        parts.append(f"{'##' if path.count(' ') == 1 else '###'} {path}\n")
        parts.append(f"{_fenced(_help(command, context))}\n")
    return "\n".join(parts)


def _commands(path: str, group: click.Group) -> Iterator[tuple[str, click.Command]]:
    """All commands below a group, each group before what is in it; what is not installed is left out."""
    context = click.Context(group, info_name=path)
    for name in group.list_commands(context):
        lazy = group.lazy.get(name) if isinstance(group, LazyGroup) else None
        command = load(lazy[0]) if lazy is not None else group.get_command(context, name)
        if command is None or command.hidden:
            continue
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from _commands(f"{path} {name}", command)


def _help(command: click.Command, context: click.Context) -> str:
    """A command's help without the options that all share."""
    formatter = context.make_formatter()
    command.format_usage(context, formatter)
    command.format_help_text(context, formatter)
    options = [param for param in command.params if isinstance(param, click.Option)]
    records = (param.get_help_record(context) for param in options if param.name not in SHARED)
    rows = [row for row in records if row is not None]
    if rows:
        with formatter.section("Options"):
            formatter.write_dl(rows)
    return formatter.getvalue().strip()


def _fenced(text: str) -> str:
    return f"```text\n{text}\n```"


def main() -> None:
    """Write the page, from the top of a checkout."""
    PAGE.write_text(document())
    print(f"{PAGE} written", file=sys.stderr)


if __name__ == "__main__":
    main()
