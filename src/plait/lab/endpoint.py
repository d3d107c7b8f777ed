"""An endpoint: a container as the network sees it, a namespace whose `eth0` is plugged into a host.

The host's side of the link is `device`; the record of the endpoint is one file of the lab, made exclusively,
so that two commands can't make the same one.
"""

import contextlib
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from plait.intent import Intent, NotFound, PortSpec
from plait.lab import netns
from plait.lab.errors import CommandError, LabError
from plait.lab.host import LabHost
from plait.lab.pinger import Pinger, PingReport
from plait.lab.switch import run
from plait.lab.waiting import wait_until
from plait.model import checks
from plait.model.entities import Port, PortStatus

if TYPE_CHECKING:
    from plait.lab.lab import Lab


FALLBACK_MTU_BYTES = 1280
"""Where the agent did not say: what every IPv6 link carries (RFC 8200 section 5)."""


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
        netns.ip_batch([f"netns add {self.namespace}", *self._link_commands()], journal=self.lab.journal.path)
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
        # A link drops what is sent between its getting a carrier and the kernel's noticing: a first ping
        # would be lost.
        link = ("ip", "-n", self.host.namespace, "-br", "link", "show", self.device)
        wait_until(lambda: " UP " in run(link), f"{self.device} has a carrier")
        self._remember(msgspec.structs.replace(self.record, plug=plug))

    def relink(self, host: LabHost) -> None:
        """Take the link out of this host, put a new one into `host`; `eth0` is to be configured again."""
        self._unlink()
        self._remember(msgspec.structs.replace(self.record, host=host.name))
        netns.ip_batch(self._link_commands())
        self._link_up()

    def connect(self, spec: PortSpec, *, timeout_s: float = 30, dad: bool = False) -> None:
        """Make the port that `spec` wishes for, wait until its agent says `up`, and configure `eth0` for it.

        Raises IntentError (NotUp with what is missing after `timeout_s`).
        """
        port = self.lab.frontend.run(lambda intent: intent.ports.create(spec))
        self._remember(msgspec.structs.replace(self.record, network=port.network, port=port.id))
        self._follow(port, timeout_s=timeout_s, dad=dad)

    def move(self, host: str, *, timeout_s: float = 30) -> None:
        """Take the container to another host: the same MAC and addresses, plugged in there."""
        if self.record.port is None:
            raise LabError(f"endpoint {self.name!r} has no port to move: relink it and plug it by hand")
        ref = self.record.port
        self.relink(self.lab.host(host))
        port = self.lab.frontend.run(lambda intent: intent.ports.set(ref, host=host))
        self._follow(port, timeout_s=timeout_s)

    def delete(self) -> None:
        """Remove the container, and the port if there is one."""
        if (ref := self.record.port) is not None:
            # Somebody may have deleted the port by its own command.
            with contextlib.suppress(NotFound):
                self.lab.frontend.run(lambda intent: intent.ports.delete(ref))
        self.remove()

    def _follow(self, port: Port, *, timeout_s: float, dad: bool = False) -> None:
        async def wait(intent: Intent) -> tuple[PortStatus, dict[str, str]]:
            network = await intent.networks.get(port.network)
            self.lab.journal.plugged(vni=network.vni, mac=port.mac, at=self.host.address)
            status = await intent.ports.wait_up(port, timeout_s=timeout_s)
            return status, {subnet.id: subnet.prefix for subnet in await intent.subnets.list(port.network)}

        status, prefixes = self.lab.frontend.run(wait, timeout_s=timeout_s + 10)
        addresses = tuple(
            f"{fixed.address}/{prefixes[fixed.subnet].partition('/')[2]}" for fixed in port.addresses
        )
        mtu_bytes = status.mtu_bytes or FALLBACK_MTU_BYTES
        self.configure(Plug(mac=port.mac, addresses=addresses, mtu_bytes=mtu_bytes), dad=dad)

    def remove(self) -> None:
        """Remove namespace, link and record; the port, if there is one, stays."""
        # Removing a namespace frees its links some time later; the device is to be gone from the host now.
        self._unlink()
        if netns.exists(self.namespace):
            netns.ip_batch([f"netns del {self.namespace}"])
        self.lab.journal.namespace_gone(self.namespace)
        self._path.unlink(missing_ok=True)

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

    def _link_commands(self) -> Sequence[str]:
        ends = f"netns {self.host.namespace} type veth peer name eth0 netns {self.namespace}"
        return [f"link add {self.device} {ends}"]

    def _unlink(self) -> None:
        """Remove the link, if it is there: an endpoint that was half made has none."""
        with contextlib.suppress(CommandError):
            netns.ip_batch([f"link del {self.device}"], namespace=self.host.namespace)

    def _link_up(self) -> None:
        # With an address of its own on the link, the host would speak into the tenant's network.
        netns.configure(
            self.host.namespace, {f"ipv6/conf/{self.device}/disable_ipv6": 1}, checksums_off=[self.device]
        )
        # Nor is the host's kernel to answer the container's ARP, with addresses of other devices.
        netns.ip_batch([f"link set {self.device} arp off up"], namespace=self.host.namespace)

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
