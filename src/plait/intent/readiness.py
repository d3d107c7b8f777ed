"""Why nothing can come from or to a port, whatever its flows are: it is nowhere, or not up there."""

from collections.abc import Iterable, Mapping

from plait.model.codec import decode
from plait.model.entities import LiveHost, Port, PortState, PortStatus
from plait.store import keys
from plait.store.api import Store


async def read_statuses(store: Store, ports: Iterable[Port]) -> dict[str, PortStatus]:
    """What their hosts say of ports, by the ports' ids."""
    wanted = {keys.status(port.host, port.id): port.id for port in ports if port.host is not None}
    found = (await store.get(list(wanted))).items if wanted else {}
    return {wanted[key]: decode(PortStatus, item.value) for key, item in found.items()}


def not_ready(port: Port, hosts: Mapping[str, LiveHost], status: PortStatus | None) -> str:
    """The reason in words; "" when the port is up. `hosts` are those that are alive."""
    if port.host is None:
        return f"port {port.name!r} is on no host: 'plait port set {port.name} --host HOST' puts it on one"
    if port.host not in hosts:
        return f"host {port.host!r} of port {port.name!r} is not alive: start its agent"
    if status is None or status.sequence != port.sequence:
        return f"port {port.name!r} is not up: its host {port.host!r} has said nothing of it yet"
    if status.state is not PortState.UP:
        return f"port {port.name!r} is {status.state} on host {port.host!r}: {status.reason}"
    return ""
