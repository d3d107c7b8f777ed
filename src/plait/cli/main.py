"""The root of all commands, and what becomes of errors: one line, and an exit code.

0    done
1    refused or failed; `plait why` finds that it would not pass
2    called wrongly
3    `plait status` or `plait audit` sees something that is not well
4    `plait trace` finds that the packet, or its answer, would not arrive
130  interrupted
"""

import os
import sys
from collections.abc import Sequence

import click

from plait.cli.lazy import LazyGroup
from plait.cli.session import Session, shared_options

FAILED, WRONG_USAGE, INTERRUPTED = 1, 2, 130

COMMANDS = {
    "network": ("plait.cli.networks:network", "Layer-2 networks: create, list, show, set, delete."),
    "subnet": ("plait.cli.subnets:subnet", "Prefixes of networks, where addresses come from."),
    "port": ("plait.cli.ports:port", "Places where endpoints are plugged in."),
    "router": ("plait.cli.routers:router", "What joins subnets, and projects with each other."),
    "group": ("plait.cli.groups:group", "Groups of ports that are treated alike."),
    "rule": ("plait.cli.rules:rule", "Who may talk to the ports of a group, and to whom they may."),
    "addresses": ("plait.cli.addresses:addresses", "Named sets of prefixes, for rules."),
    "connect": ("plait.cli.connections:connect", "Let two groups or ports reach each other."),
    "disconnect": ("plait.cli.connections:disconnect", "Cut two groups or ports off from each other."),
    "connections": ("plait.cli.connections:connections", "Who was connected or disconnected."),
    "host": ("plait.cli.hosts:host", "Hosts that the cluster knows, alive or not."),
    "status": ("plait.cli.status:status", "How the store, every host and all ports are doing."),
    "flows": ("plait.cli.flows:flows", "The flows of a host, with the owner of each."),
    "trace": ("plait.cli.trace:trace", "Where a packet would go, and why."),
    "why": ("plait.cli.why:why", "Would a connection pass, and which rule decides?"),
    "audit": ("plait.cli.audit:audit", "Look for leaked or missing claims in the store."),
    "agent": ("plait.agent.main:agent", "Run the agent of this host."),
    "lab": ("plait.lab.cli:lab", "Several hosts on this machine, to try things out."),
    "completion": ("plait.cli.completion:completion", "Print the completion script of a shell."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@shared_options
@click.version_option(package_name="plait", message="plait %(version)s")
def cli() -> None:
    """Connects containers and virtual machines across hosts.

    The store is where intent stands: --store, PLAIT_STORE, `store = "..."` in /etc/plait/plait.toml, or else
    sqlite:///var/lib/plait/plait.db.
    """


def main() -> None:
    """The entry point of `plait`."""
    sys.exit(run(sys.argv[1:]))


def run(args: Sequence[str]) -> int:
    """Run one command; returns the exit code. Errors that a user can mend are one line on standard error."""
    try:
        result = cli.main(list(args), prog_name="plait", standalone_mode=False, obj=Session())
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 0
    except click.UsageError as error:
        where = f" (see '{error.ctx.command_path} --help')" if error.ctx is not None else ""
        return _say(f"{error.format_message().rstrip('.')}{where}", WRONG_USAGE)
    except click.ClickException as error:
        return _say(error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return _say("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # What is left in the buffer has no reader: the interpreter must not complain of it at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        if not _is_expected(error):
            raise
        return _say(str(error), FAILED)


def _say(message: str, code: int) -> int:
    click.echo("plait: " + " ".join(message.split()), err=True)
    return code


def _is_expected(error: Exception) -> bool:
    """Whether `error` is an answer and no fault of ours. Imported here, where nobody waits."""
    from plait.intent.errors import IntentError
    from plait.model.checks import Invalid
    from plait.store.api import StoreError

    return isinstance(error, IntentError | Invalid | StoreError)
