"""`plait agent`: reads the configuration, runs the agent, and says in one line why it can't."""

import asyncio
import sys
from pathlib import Path

import click

from plait.agent.config import Config, load
from plait.agent.option import ConfigError, declared

OPTIONS = declared(Config)


def _run(config_file: Path | None, **flags: str | None) -> None:
    """Run the agent of this host until SIGTERM. Needs Open vSwitch; traffic goes on when it stops."""
    try:
        config = load(flags, file=config_file)
    except ConfigError as error:
        _refuse(str(error), code=2)
    # What follows is heavy; a wrong option should not wait for it.
    from plait.agent import log
    from plait.agent.agent import run
    from plait.agent.api import SocketUnusable
    from plait.agent.underlay import underlay_address
    from plait.store.api import StoreError

    log.configure(level=config.log_level, format=config.log_format)
    try:
        asyncio.run(run(config, underlay_address(config.underlay_address, config.store)))
    except* (StoreError, OSError, SocketUnusable) as group:
        _refuse("; ".join(str(error) for error in group.exceptions), code=1)


def _refuse(reason: str, *, code: int) -> None:
    print(f"plait agent: {reason}", file=sys.stderr)
    raise SystemExit(code)


agent = click.Command(
    "agent",
    callback=_run,
    help=_run.__doc__,
    params=[
        click.Option(
            ["--config", "config_file"],
            type=click.Path(path_type=Path, dir_okay=False),
            help="Configuration file (TOML); default /etc/plait/plait.toml, if there is one.",
        ),
        *(
            click.Option(
                [option.flag, option.name],
                metavar=option.option.unit.upper() or None,
                help=f"{option.option.effect} Default: {option.default_text}. [${option.variable}]",
            )
            for option in OPTIONS
        ),
    ],
)
