"""An endpoint: a container as the network sees it, a namespace whose `eth0` is plugged into a host.

The host's side of the link is `device`; the record of the endpoint is one file of the lab, made exclusively,
so that two commands can't make the same one.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from plait.lab import netns
from plait.lab.errors import LabError
from plait.lab.host import LabHost
from plait.lab.pinger import Pinger, PingReport
from plait.lab.switch import run
from plait.model import checks

if TYPE_CHECKING:
    from plait.lab.lab import Lab


class Plug(msgspec.Struct, frozen=True, kw_only=True):
    """What the container's `eth0` has: `addresses` with prefix length; MTU in bytes."""

    mac: str
    addresses: tuple[str, ...]
    mtu_bytes: int


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What a lab remembers of an endpoint; `network` and `port` are ids of the store or None."""

    name: str
    host: str
    network: str | None = None
    port: str | None = None
    plug: Plug | None = None


class Endpoint:
    """A container of a lab. `addresses` are without prefix length, IPv4 first as they were given."""

    def __init__(self, record: Record, path: Path, lab: "Lab") -> None:
        self.record = record
        self.lab = lab
        self.name = record.name
        self.namespace = lab.settings.namespace(record.name)
        self.device = device_name(record.name)
        self._path = path

    @classmethod
    def claim(cls, path: Path, lab: "Lab", host: LabHost) -> "Endpoint":
        """A new endpoint, of which only the name is taken yet. Raises LabError if it is taken already."""
        name = checks.name(path.stem, "endpoint")
        record = Record(name=name, host=host.name)
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            raise LabError(
                f"endpoint {name!r} exists already in lab {lab.name!r}: choose another name"
            ) from None
        with os.fdopen(fd, "wb") as file:
            file.write(msgspec.json.encode(record))
        return cls(record, path, lab)

    @classmethod
    def load(cls, path: Path, lab: "Lab") -> "Endpoint":
        return cls(msgspec.json.decode(path.read_bytes(), type=Record), path, lab)

    @property
    def host(self) -> LabHost:
        return self.lab.host(self.record.host)

    @property
    def plug(self) -> Plug:
        if self.record.plug is None:
            raise LabError(f"endpoint {self.name!r} is not configured: remove it and add it again")
        return self.record.plug

    @property
    def mac(self) -> str:
        return self.plug.mac

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(address.partition("/")[0] for address in self.plug.addresses)

    @property
    def address(self) -> str:
        """The first address."""
        return self.addresses[0]

    @property
    def v4(self) -> str:
        """The first IPv4 address."""
        return next(address for address in self.addresses if ":" not in address)

    @property
    def v6(self) -> str:
        """The first IPv6 address."""
        return next(address for address in self.addresses if ":" in address)

    def make(self) -> None:
        """Make the namespace and the link into the host, both still without an address."""
        if netns.exists(self.namespace):
            raise LabError(
                f"network namespace {self.namespace} exists already: choose another name for the endpoint"
            )
        self.lab.journal.namespace(self.namespace)
        netns.ip_batch([f"netns add {self.namespace}", *self._link_commands()])
        self._link_up()

    def configure(self, plug: Plug, *, dad: bool = False) -> None:
        """Give `eth0` its MAC, MTU and addresses, and bring it up."""
        detection = "" if dad else " nodad"
        netns.configure(
            self.namespace,
            {
                "ipv6/conf/eth0/accept_ra": 0,
                "ipv6/conf/eth0/autoconf": 0,
                "ipv6/conf/eth0/accept_dad": int(dad),
                "ipv6/conf/eth0/router_solicitations": 0,
            },
            checksums_off=["eth0"],
        )
        netns.ip_batch(
            [
                "link set lo up",
                f"link set eth0 address {plug.mac} mtu {plug.mtu_bytes}",
                "link set eth0 up",
                *(
                    f"addr add {address} dev eth0{detection if ':' in address else ''}"
                    for address in plug.addresses
                ),
            ],
            namespace=self.namespace,
        )
        self._remember(msgspec.structs.replace(self.record, plug=plug))

    def relink(self, host: LabHost) -> None:
        """Take the link out of this host, put a new one into `host`; `eth0` is to be configured again."""
        netns.ip_batch([f"link del {self.device}"], namespace=self.host.namespace)
        self._remember(msgspec.structs.replace(self.record, host=host.name))
        netns.ip_batch(self._link_commands())
        self._link_up()

    def remove(self) -> None:
        """Remove namespace, link and record; the port, if there is one, is another step."""
        # Removing a namespace frees its links some time later; the device is to be gone from the host now.
        netns.ip_batch([f"link del {self.device}"], namespace=self.host.namespace)
        netns.ip_batch([f"netns del {self.namespace}"])
        self.lab.journal.namespace_gone(self.namespace)
        self._path.unlink()

    def exec(self, *command: str, timeout_s: float = 120) -> str:
        """Standard output of a command run in the container. Raises CommandError."""
        return run(("ip", "netns", "exec", self.namespace, *command), timeout_s=timeout_s)

    def ping(
        self, address: str, *, count: int = 3, interval_s: float = 0.02, wait_s: float = 1
    ) -> PingReport:
        """Send `count` echo requests, wait up to `wait_s` for the last replies."""
        return Pinger(self.namespace, [address], interval_s=interval_s).run(count=count, wait_s=wait_s)

    def reaches(self, address: str) -> bool:
        """True if any of a few echo requests is answered."""
        return self.ping(address, count=5, interval_s=0.05, wait_s=0.5).received > 0

    def bind(self, *, network: str, port: str) -> None:
        """Remember the port of the store that stands behind this endpoint."""
        self._remember(msgspec.structs.replace(self.record, network=network, port=port))

    def _link_commands(self) -> Sequence[str]:
        ends = f"netns {self.host.namespace} type veth peer name eth0 netns {self.namespace}"
        return [f"link add {self.device} {ends}"]

    def _link_up(self) -> None:
        # With an address of its own on the link, the host would speak into the tenant's network.
        netns.configure(
            self.host.namespace, {f"ipv6/conf/{self.device}/disable_ipv6": 1}, checksums_off=[self.device]
        )
        netns.ip_batch([f"link set {self.device} up"], namespace=self.host.namespace)

    def _remember(self, record: Record) -> None:
        self.record = record
        written = self._path.with_suffix(".new")
        written.write_bytes(msgspec.json.encode(record))
        written.replace(self._path)


def device_name(endpoint: str) -> str:
    """The host's side of an endpoint's link: readable where it fits, at most 15 bytes (IFNAMSIZ) always."""
    if len(endpoint) <= 13:
        return f"v-{endpoint}"
    return f"v-{endpoint[:6]}-{hashlib.sha256(endpoint.encode()).hexdigest()[:6]}"
