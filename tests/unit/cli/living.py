"""What agents say of ports, written where the command line reads it."""

from plait.agent.judging import endpoint_of
from plait.model.codec import decode, encode
from plait.model.entities import Port, PortState, PortStatus
from plait.store import keys
from plait.store.api import Put


def port_of(plait, name: str) -> Port:
    id = plait.ok("port", "show", name, "-o", "json").json["id"]
    (port,) = (
        decode(Port, item.value)
        for key, item in plait.stored().items()
        if key.startswith(keys.PORTS) and key.endswith(id)
    )
    return port


def say_up(plait, name: str, *groups: str) -> None:
    """What the port's agent writes once the port's flows are in place."""
    port = port_of(plait, name)
    assert port.host is not None
    status = PortStatus(port=port.id, host=port.host, state=PortState.UP, sequence=port.sequence)
    plait.put(
        Put(keys.status(port.host, port.id), encode(status)),
        Put(keys.reach(port.network, port.id, port.host), encode(endpoint_of(port, port.host, groups))),
    )
