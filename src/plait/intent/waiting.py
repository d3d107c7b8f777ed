"""Waiting until the agents say that ports are up.

A snapshot of the statuses and a watch from its revision miss nothing; a status counts only if it has the
port's sequence.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing

from plait.intent.errors import NotUp
from plait.model.checks import Invalid
from plait.model.codec import decode
from plait.model.entities import Port, PortState, PortStatus
from plait.store import keys
from plait.store.api import Compacted, Store


async def wait_ports_up(
    store: Store, ports: Sequence[Port], *, timeout_s: float, on_progress: Callable[[int], None] | None = None
) -> list[PortStatus]:
    """The `up` statuses of `ports`, in their order.

    Raises NotUp with the reason of the first port that its agent reports as an error, or, after `timeout_s`
    seconds, with what is missing.
    """
    up: dict[str, PortStatus] = {}
    by_host: dict[str, list[Port]] = {}
    for port in ports:
        if port.host is None:
            raise NotUp(
                f"port {port.name!r} is on no host",
                f"'plait port set {port.name} --host HOST' says where it is",
            )
        by_host.setdefault(port.host, []).append(port)

    def note(status: PortStatus) -> None:
        up[status.port] = status
        if on_progress is not None:
            on_progress(len(up))

    try:
        async with asyncio.timeout(timeout_s), asyncio.TaskGroup() as group:
            for host, of_host in by_host.items():
                group.create_task(_follow(store, host, of_host, note))
    except TimeoutError:
        missing = next(port for port in ports if port.id not in up)
        raise await _what_is_missing(store, missing, len(ports) - len(up), timeout_s) from None
    except BaseExceptionGroup as failures:
        raise _first(failures) from None
    return [up[port.id] for port in ports]


async def _follow(store: Store, host: str, ports: Sequence[Port], note: Callable[[PortStatus], None]) -> None:
    """Note every `up` of one host's ports; returns once all are up."""
    waiting = {keys.status(host, port.id): port for port in ports}
    prefix = next(iter(waiting)) if len(waiting) == 1 else keys.status_prefix(host)
    while waiting:
        snapshot = await store.snapshot(prefix)
        for key, item in snapshot.items.items():
            _look(waiting, key, item.value, note)
        if not waiting:
            return
        try:
            async with aclosing(store.watch(prefix, snapshot.revision)) as batches:
                async for batch in batches:
                    for change in batch.changes:
                        _look(waiting, change.key, change.value, note)
                    if not waiting:
                        return
        except Compacted:
            continue


def _look(
    waiting: dict[str, Port], key: str, value: bytes | None, note: Callable[[PortStatus], None]
) -> None:
    port = waiting.get(key)
    if port is None or value is None:
        return
    status = decode(PortStatus, value)
    if status.sequence != port.sequence:
        return
    if status.state is PortState.ERROR:
        raise NotUp(
            f"port {port.name!r} on host {port.host!r} is in error",
            status.reason or "the agent's log says why",
        )
    if status.state is PortState.UP:
        del waiting[key]
        note(status)


async def _what_is_missing(store: Store, port: Port, count: int, timeout_s: float) -> NotUp:
    assert port.host is not None
    others = f" (and {count - 1} more)" if count > 1 else ""
    problem = f"port {port.name!r}{others} is not up after {timeout_s:g} s"
    status_key, port_key = keys.status(port.host, port.id), keys.port(port.network, port.id)
    found = (await store.get([keys.host(port.host), status_key, port_key])).items
    if port_key not in found:
        return NotUp(problem, "it was deleted meanwhile")
    now = decode(Port, found[port_key].value)
    if now.sequence != port.sequence:
        return NotUp(problem, f"it was moved to host {now.host!r} meanwhile")
    if keys.host(port.host) not in found:
        return NotUp(problem, f"host {port.host!r} is not alive; start its agent")
    if status_key in found:
        try:
            reason = decode(PortStatus, found[status_key].value).reason
        except Invalid as error:
            reason = str(error)
        if reason:
            return NotUp(problem, reason)
    if port.device is None:
        return NotUp(
            problem, f"no device is set and no interface on {port.host!r} has external_ids:iface-id={port.id}"
        )
    return NotUp(problem, f"the agent of {port.host!r} has said nothing; is there a device {port.device!r}?")


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    failure = failures.exceptions[0]
    return _first(failure) if isinstance(failure, BaseExceptionGroup) else failure
