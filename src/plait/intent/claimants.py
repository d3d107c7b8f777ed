"""Saying who has what a port wants."""

from collections.abc import Container

from plait.intent import names
from plait.intent.errors import Taken
from plait.intent.transactions import Failed
from plait.model.entities import Port
from plait.store import keys
from plait.store.api import Store


async def refuse_taken(
    store: Store, port: Port, failed: Failed, *, chosen: Container[str] = (), chosen_mac: bool = False
) -> None:
    """Raises Taken if the last attempt failed at something asked for that another port still has.

    What was chosen for the caller (addresses in `chosen`, the MAC if `chosen_mac`) can be chosen again and is
    no reason.
    """
    wanted: dict[str, tuple[str, str]] = {}
    if port.name != port.id:
        wanted[keys.name("port", port.project, port.name)] = (
            f"port name {port.name!r}",
            "choose another name",
        )
    if not chosen_mac:
        wanted[keys.mac(port.network, port.mac)] = (f"MAC {port.mac}", "choose another or leave it out")
    for fixed in port.addresses:
        if fixed.address not in chosen:
            wanted[keys.address(fixed.subnet, fixed.address)] = (
                f"address {fixed.address}",
                "choose another or leave it out",
            )
    if port.host is not None and port.device is not None:
        wanted[keys.device(port.host, port.device)] = (
            f"device {port.device!r} of host {port.host!r}",
            "choose another device, or delete that port",
        )
    suspects = [key for key in wanted if key in failed]
    if not suspects:
        return
    holders = (await store.get(suspects)).items
    for key, item in holders.items():
        if item.value.decode() != port.id:
            what, way_out = wanted[key]
            raise Taken(f"{what} is taken by {await names.describe_port(store, item.value)}", way_out)
