"""What one asks for when one asks for a port."""

import msgspec

from plait.model.checks import Invalid
from plait.model.entities import AddressPair, DhcpOption, Port

MAX_ADDRESSES = 32
MAX_GROUPS = 64
MAX_POLICY_GROUPS = 16
MAX_PAIRS = 16
"""Of one port: with all its claims, before and after a change, it has to fit into one commit."""


class PortSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A wish for a port: `network` and `subnets` by name or id; what is left out is chosen.

    Without `addresses` and `subnets` the port gets one address of each IP version that the network has
    subnets of. `subnets` asks for one more address out of each. `name` None: the id serves as the name.
    `groups` (names or ids) are those whose rules filter it; `multicast` those whose packets it wants.
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
    groups: tuple[str, ...] = ()
    address_pairs: tuple[AddressPair, ...] = ()
    hostname: str | None = None
    dhcp_options: tuple[DhcpOption, ...] = ()


def check_counts(addresses: int, groups: int) -> None:
    """Raises Invalid if a port would have more addresses or multicast groups than one can have."""
    for count, most, what in (
        (addresses, MAX_ADDRESSES, "addresses"),
        (groups, MAX_GROUPS, "multicast groups"),
    ):
        if count > most:
            raise Invalid(f"{count} {what} are too many for one port: {most} is the most; use several ports")


def check_policy(port: Port) -> None:
    """Raises Invalid if the port's groups or address pairs are too many, or have no port security."""
    for count, most, what in (
        (len(port.groups), MAX_POLICY_GROUPS, "groups"),
        (len(port.address_pairs), MAX_PAIRS, "address pairs"),
    ):
        if count > most:
            raise Invalid(f"port {port.name!r} would have {count} {what}: {most} is the most")
        if count and not port.security:
            raise Invalid(
                f"port {port.name!r} has no port security, which {what} need: "
                "turn it on with --port-security, or leave them out"
            )
