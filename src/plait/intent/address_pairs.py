"""Address pairs: what a port may send as, besides its own addresses.

They are part of what a network's record tells of: whoever changes them writes that record again. So no
address comes into being, of a port, a gateway or a router, that somebody else may send as.
"""

from collections.abc import Iterable

from plait.intent import names
from plait.intent.errors import Taken
from plait.intent.network_view import NetworkView
from plait.model import checks
from plait.model.checks import IPAddress
from plait.store.api import Store


async def refuse_covered(
    store: Store, view: NetworkView, address: IPAddress, what: str, *, but_for: Iterable[str] = ()
) -> None:
    """Raises Taken if a port, other than those in `but_for`, may send as `address`, which is `what`."""
    for port, pair in view.pairs:
        if port not in but_for and address in checks.prefix(pair.prefix):
            holder = await names.describe_port(store, port.encode())
            raise Taken(
                f"{what} is one that {holder} may send as (address pair {pair.prefix})",
                "choose another, or take the address pair away",
            )
