"""What people call the groups and address groups that rules and ports speak of by id."""

from collections.abc import Iterable

from plait.intent import names, personal
from plait.model.codec import decode
from plait.model.entities import Port
from plait.model.policy import PERSONAL, AddressGroup, Group
from plait.store import keys
from plait.store.api import Store


async def labels(store: Store, ids: Iterable[str]) -> dict[str, str]:
    """Names by id: a port's own group has its port's; what is gone its id."""
    wanted = sorted(set(ids))
    found = await names.read_all(store, [key for id in wanted for key in _keys(id)])
    called: dict[str, str] = {}
    for id in wanted:
        group, port = found.get(keys.group(id)), found.get(personal.port_key(id))
        addresses = found.get(keys.address_group(id))
        if id.startswith(PERSONAL) and port is not None:
            called[id] = decode(Port, port.value).name
        elif group is not None:
            called[id] = decode(Group, group.value).name
        elif addresses is not None:
            called[id] = decode(AddressGroup, addresses.value).name
        else:
            called[id] = id
    return called


def _keys(id: str) -> list[str]:
    if id.startswith(PERSONAL):
        return [personal.port_key(id)]
    return [keys.group(id), keys.address_group(id)]
