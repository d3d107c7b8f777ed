"""What one asks for when one asks for a port."""

import msgspec


class PortSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A wish for a port: `network` and `subnets` by name or id; what is left out is chosen.

    Without `addresses` and `subnets` the port gets one address of each IP version that the network has
    subnets of. `subnets` asks for one more address out of each. `name` None: the id serves as the name.
    """

    network: str
    name: str | None = None
    host: str | None = None
    device: str | None = None
    addresses: tuple[str, ...] = ()
    subnets: tuple[str, ...] = ()
    mac: str | None = None
    security: bool = True
    multicast: tuple[str, ...] = ()
