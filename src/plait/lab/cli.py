"""`plait lab`: hosts on one machine, to try things out."""

import os
import shlex
import sys
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import click
import msgspec

from plait.lab import directory
from plait.lab.errors import LabError, require
from plait.lab.journal import Journal
from plait.lab.lab import Lab
from plait.lab.settings import STORES

P = ParamSpec("P")
R = TypeVar("R")

LAB_VARIABLE = "PLAIT_LAB"

_which = click.option(
    "--name",
    metavar="LAB",
    envvar=LAB_VARIABLE,
    show_envvar=True,
    help="The lab; not needed when there is only one.",
)


def _one_line_errors(command: Callable[P, R]) -> Callable[P, R]:
    """What a lab refuses is an answer of the command; what the store and intent refuse is that already."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except LabError as error:
            raise click.ClickException(str(error)) from None

    return run


def _with_lab(command: Callable[Concatenate[Lab, P], R]) -> Callable[P, R]:
    """Give the command the lab that `--name` chose, and let go of it afterwards."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        require()
        name = kwargs.pop("name", None)
        assert name is None or isinstance(name, str)
        lab = Lab.open(name)
        try:
            return command(lab, *args, **kwargs)
        finally:
            lab.close()

    return run


@click.group()
def lab() -> None:
    """Hosts on this machine: network namespaces, each with a real Open vSwitch and agent.

    \b
      plait lab up
      eval $(plait lab env)
      plait network create blue --subnet 10.0.0.0/24
      plait lab endpoint add a --network blue --host h1
      plait lab endpoint add b --network blue --host h2
      plait lab exec a -- ping -c 3 10.0.0.3
      plait lab down
    """


@lab.command()
@click.option("--hosts", default=3, show_default=True, help="How many hosts.")
@click.option("--name", metavar="LAB", help="Its name; the first free of lab, lab2 ... if left out.")
@click.option(
    "--store", type=click.Choice(STORES), default="sqlite", show_default=True, help="Where intent stands."
)
@click.option(
    "--underlay-mtu", default=1500, show_default=True, metavar="BYTES", help="MTU between the hosts."
)
@click.option("--v6-underlay", is_flag=True, help="Give the hosts IPv6 addresses only.")
@click.option("--no-agents", is_flag=True, help="Leave the agents out; start them yourself.")
@_one_line_errors
def up(
    hosts: int, name: str | None, store: str, underlay_mtu: int, v6_underlay: bool, no_agents: bool
) -> None:
    """Make a lab, and start an agent on every host."""
    made = Lab.up(name, hosts=hosts, store=store, underlay_mtu_bytes=underlay_mtu, v6_underlay=v6_underlay)
    try:
        if not no_agents:
            made.start_agents()
        made.journal.stands()
    except BaseException:
        made.down()
        raise
    made.close()
    click.echo(f"lab {made.name}: hosts {', '.join(made.hosts)}, store {made.settings.store_url}")
    click.echo(f"next: eval $(plait lab env --name {made.name})")


@lab.command()
@_which
@click.option("--all", "everything", is_flag=True, help="All labs of this machine, whole or not.")
@_one_line_errors
def down(name: str | None, everything: bool) -> None:
    """End every process and remove every namespace and file of a lab."""
    require()
    there = directory.labs()
    if everything:
        name = None
    if name is not None and name not in there:
        known = f"there are {', '.join(there)}" if there else "there is none"
        raise LabError(f"no lab {name!r}: {known}")
    if name is None and not everything:
        if len(there) > 1:
            raise LabError(f"which lab? there are {', '.join(there)}: say --name or --all")
        if not there:
            raise LabError("there is no lab: nothing to take down")
    # Not opened as a lab: one that was killed half made has to go as well.
    for each in [name] if name is not None else there:
        directory.remove(directory.root() / each)
        click.echo(f"lab {each} is gone")


@lab.command("list")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@_one_line_errors
def list_labs(output: str) -> None:
    """Show the labs of this machine."""
    rows = []
    for name in directory.labs():
        journal = Journal(directory.root() / name)
        row: dict[str, object] = {"name": name, "state": "left over" if journal.abandoned else "up"}
        try:
            found = Lab.open(name)
        except LabError:
            row |= {"state": "incomplete", "hosts": [], "agents": 0, "endpoints": [], "store": ""}
        else:
            agents = sum(host.agent is not None for host in found.hosts.values())
            row |= {"hosts": list(found.hosts), "agents": agents, "endpoints": list(found.endpoints())}
            row["store"] = found.settings.store_url
        rows.append(row)
    if output == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(rows)))
        return
    if not rows:
        click.echo("no labs: `plait lab up` makes one", err=True)
    for row in rows:
        text = {key: " ".join(value) if isinstance(value, list) else value for key, value in row.items()}
        click.echo("  ".join(f"{key}: {value}" for key, value in text.items() if value not in ("", 0)))


@lab.command("exec", context_settings={"ignore_unknown_options": True})
@_which
@click.argument("where")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@_one_line_errors
@_with_lab
def exec_(lab: Lab, where: str, command: tuple[str, ...]) -> None:
    """Run COMMAND on a host or in an endpoint, WHERE being its name.

    On a host the ovs-* tools talk to that host's switch, and plait to the lab's store.
    """
    namespace, env = lab.namespace_of(where)
    lab.close()
    inside = ["ip", "netns", "exec", namespace, *command]
    sys.stdout.flush()
    os.execvpe(inside[0], inside, {**os.environ, **env})


@lab.command()
@_which
@_one_line_errors
@_with_lab
def env(lab: Lab) -> None:
    """Print what makes plait in this shell use the lab, and ask the agent of h1: eval $(plait lab env)."""
    variables = {
        LAB_VARIABLE: lab.name,
        "PLAIT_STORE": lab.settings.store_url,
        "PLAIT_SOCKET": str(next(iter(lab.hosts.values())).agent_config()["socket"]),
    }
    for name, value in variables.items():
        click.echo(f"export {name}={shlex.quote(value)}")


@lab.group()
def endpoint() -> None:
    """Containers of a lab, each a network namespace with an eth0."""


@endpoint.command("add")
@_which
@click.argument("endpoint")
@click.option("--network", required=True, metavar="NETWORK", help="Name or id of the network.")
@click.option("--host", required=True, metavar="HOST", help="Host to run on, such as h1.")
@click.option(
    "--address", "addresses", multiple=True, metavar="ADDRESS", help="An address to have (repeatable)."
)
@click.option("--multicast", multiple=True, metavar="GROUP", help="A multicast group to hear (repeatable).")
@_one_line_errors
@_with_lab
def add(
    lab: Lab, endpoint: str, network: str, host: str, addresses: tuple[str, ...], multicast: tuple[str, ...]
) -> None:
    """Start a container with a port in a network, and wait until it is up."""
    made = lab.endpoint(endpoint, network=network, host=host, addresses=addresses, multicast=multicast)
    click.echo(
        f"{made.name}: {' '.join(made.addresses)} on {host}, MAC {made.mac}, MTU {made.plug.mtu_bytes}"
    )


@endpoint.command("rm")
@_which
@click.argument("endpoints", nargs=-1, required=True)
@_one_line_errors
@_with_lab
def remove(lab: Lab, endpoints: tuple[str, ...]) -> None:
    """Stop containers and delete their ports."""
    for each in [lab.find_endpoint(name) for name in endpoints]:
        each.delete()


@endpoint.command("move")
@_which
@click.argument("endpoint")
@click.option("--host", required=True, metavar="HOST", help="Host to move to.")
@_one_line_errors
@_with_lab
def move(lab: Lab, endpoint: str, host: str) -> None:
    """Move a container to another host; MAC and addresses stay."""
    lab.find_endpoint(endpoint).move(host)
