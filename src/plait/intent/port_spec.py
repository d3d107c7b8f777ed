"""What one asks for when one asks for a port."""

import msgspec

from plait.model.checks import Invalid

MAX_ADDRESSES = 32
MAX_GROUPS = 64
"""Of one port: with all its claims, before and after a change, it has to fit into one commit."""


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


def check_counts(addresses: int, groups: int) -> None:
    """Raises Invalid if a port would have more addresses or multicast groups than one can have."""
    for count, most, what in (
        (addresses, MAX_ADDRESSES, "addresses"),
        (groups, MAX_GROUPS, "multicast groups"),
    ):
        if count > most:
            raise Invalid(f"{count} {what} are too many for one port: {most} is the most; use several ports")
