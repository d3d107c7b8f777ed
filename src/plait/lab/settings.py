"""What a lab is: the choices made at its birth, from which every name and address in it follows."""

import msgspec

from plait.model import checks
from plait.model.checks import Invalid
from plait.net.vswitch import PortIo

STORES = ("sqlite", "etcd")
MAX_HOSTS = 250


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`hosts` is how many; `store` one of `STORES`; `store_url` for people, `agents_store_url` for hosts.

    `port_io` is how hosts read the devices of endpoints, `underlay_io` how they read the underlay's link.
    Addresses of the underlay are the same in every lab: each has a fabric of its own.
    """

    name: str
    hosts: int = 3
    store: str = "sqlite"
    store_url: str = ""
    agents_store_url: str = ""
    underlay_mtu_bytes: int = 1500
    v6_underlay: bool = False
    port_io: PortIo = PortIo.PACKET
    underlay_io: PortIo = PortIo.PACKET

    def __post_init__(self) -> None:
        checks.name(self.name, "lab")
        if len(self.name) > 32:
            raise Invalid(f"lab {self.name!r} has {len(self.name)} characters: use at most 32")
        if not 1 <= self.hosts <= MAX_HOSTS:
            raise Invalid(f"{self.hosts} hosts are out of range: choose 1 to {MAX_HOSTS}")
        if self.store not in STORES:
            raise Invalid(f"store {self.store!r} is not one a lab can run: choose {' or '.join(STORES)}")
        least = 1280 if self.v6_underlay else 576
        if not least <= self.underlay_mtu_bytes <= 65535:
            raise Invalid(
                f"underlay MTU {self.underlay_mtu_bytes} is out of range: choose {least} to 65535 bytes"
            )

    def namespace(self, of: str) -> str:
        return f"{self.name}-{of}"

    @property
    def fabric(self) -> str:
        """The namespace whose bridge joins the hosts."""
        return self.namespace("fabric")

    def underlay_address(self, index: int) -> str:
        """Underlay address of host `index` (1 ...); 0 is the fabric itself, where the store may listen."""
        if self.v6_underlay:
            return f"fd00:16::{index:x}" if index else "fd00:16::fffe"
        return f"172.16.0.{index}" if index else "172.16.0.254"

    @property
    def underlay_prefix_length(self) -> int:
        return 64 if self.v6_underlay else 24
