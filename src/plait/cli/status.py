"""`plait status`: one screen, one exit code."""

import asyncio
import time
from contextlib import aclosing

import click

from plait.cli import output
from plait.cli.session import Session, shared_options
from plait.intent.overview import HostOverview, Overview, overview, overviews
from plait.store.api import Store, StoreUnavailable
from plait.store.open import open_store, without_password

WELL, DEGRADED = 0, 3
COLUMNS = ("host", "state", "underlay", "datapath", "version", "components", "up", "down", "error", "silent")
RETRY_S = 0.5
"""Between attempts at a store that does not answer, while waiting."""


@click.command()
@shared_options
@click.option("--wait", "wait_s", type=float, metavar="SECONDS", help="At most so long until all is well.")
@click.pass_obj
def status(session: Session, wait_s: float | None) -> int:
    """How the store, every host and all ports are doing.

    Exit code 0: all is well. 3: something is not, or no host is known. 1: the store gives no answer.
    """
    began = time.monotonic()
    seen = asyncio.run(_look(session.store_url, wait_s))
    _show(session, seen, took_ms=(time.monotonic() - began) * 1000)
    return WELL if seen.is_well else DEGRADED


async def _look(url: str, wait_s: float | None) -> Overview:
    store = open_store(url)
    try:
        return await overview(store) if wait_s is None else await _until_well(store, wait_s)
    finally:
        await store.close()


async def _until_well(store: Store, wait_s: float) -> Overview:
    """The first overview that is well, or the last one when time is over."""
    last: Overview | None = None
    unavailable: StoreUnavailable | None = None
    try:
        async with asyncio.timeout(wait_s):
            while True:
                try:
                    async with aclosing(overviews(store)) as seen:
                        async for last in seen:
                            if last.is_well:
                                return last
                except StoreUnavailable as error:
                    last, unavailable = None, error
                    await asyncio.sleep(RETRY_S)
    except TimeoutError:
        if last is not None:
            return last
        raise unavailable or StoreUnavailable(f"the store gave no answer within {wait_s:g} s") from None


def _show(session: Session, seen: Overview, *, took_ms: float) -> None:
    url = without_password(session.store_url)
    if session.is_json:
        hosts = [
            {**_row(host), "health": _health(host), "problems": list(host.problems)} for host in seen.hosts
        ]
        answer = {"well": seen.is_well, "store": {"url": url, "reachable": True}, "hosts": hosts}
        click.echo(output.to_json(answer))
        return
    click.echo(f"store {url} answers ({took_ms:.0f} ms)")
    click.echo()
    if not seen.hosts:
        click.echo("no host is known: start an agent, or 'plait lab up' to try things out")
        return
    for line in output.table([_row(host) for host in seen.hosts], COLUMNS):
        click.echo(line)
    problems = [(host.state.host.name, problem) for host in seen.hosts for problem in host.problems]
    click.echo()
    for name, problem in problems:
        click.echo(f"{name}: {problem}")
    ports, up = sum(host.ports for host in seen.hosts), sum(host.up for host in seen.hosts)
    alive = sum(host.state.alive for host in seen.hosts)
    verdict = "all is well" if seen.is_well else "degraded"
    click.echo(f"{verdict}: {alive} of {len(seen.hosts)} hosts alive, {up} of {ports} ports up")


def _row(host: HostOverview) -> dict[str, object]:
    live = host.state.live
    state = "dead" if live is None else "degraded" if host.problems else "ok"
    return {
        "host": host.state.host.name,
        "state": state,
        "underlay": live.vtep if live is not None else None,
        "datapath": live.datapath if live is not None else None,
        "version": (live.version or None) if live is not None else None,
        "components": _components(host),
        "up": host.up,
        "down": host.down,
        "error": host.error,
        "silent": host.silent,
    }


def _components(host: HostOverview) -> str | None:
    """Like "5 ok" or "4 of 5 ok"."""
    health = _health(host)
    well = sum(state == "ok" for state in health.values())
    if not health:
        return None
    return f"{well} ok" if well == len(health) else f"{well} of {len(health)} ok"


def _health(host: HostOverview) -> dict[str, str]:
    return dict(host.state.health.components) if host.state.health is not None else {}
