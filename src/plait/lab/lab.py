"""A lab: a fabric, hosts joined by it, a store, and endpoints.

    with Lab.up(hosts=2) as lab:
        lab.start_agents()
        lab.network("blue", "10.0.0.0/24")
        a, b = lab.endpoint("a", network="blue", host="h1"), lab.endpoint("b", network="blue", host="h2")
        assert a.ping(b.address).lost == 0

Leaving the block removes all. `Lab.up(stands=True)` makes one that outlives its process; `Lab.open` finds it.
"""

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import msgspec

from plait.agent.api import CallFailed
from plait.intent import PortSpec
from plait.lab import directory as directories
from plait.lab import fabric
from plait.lab.capture import Capture
from plait.lab.endpoint import Endpoint, Plug
from plait.lab.errors import LabError, require
from plait.lab.frontend import Frontend
from plait.lab.host import UNDERLAY_LINK, LabHost
from plait.lab.journal import Journal
from plait.lab.settings import Settings
from plait.lab.storage import ETCD_PORT, Storage
from plait.lab.waiting import WaitedInVain, wait_until
from plait.model.entities import AddressPair, DhcpOption, Network, Transport
from plait.net.vswitch import PortIo

_SETTINGS = "lab.json"
_ENDPOINTS = "endpoints"


class Lab:
    """A lab that stands. Made by `up` or found by `open`; `hosts` by name (`h1` ...)."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self.settings = settings
        self.name = settings.name
        self.directory = directory
        self.journal = Journal(directory)
        self._frontend: Frontend | None = None
        self.storage = Storage(settings, directory=directory, journal=self.journal)
        self.hosts = {
            host.name: host
            for host in (
                LabHost(index, settings=settings, directory=directory, journal=self.journal)
                for index in range(1, settings.hosts + 1)
            )
        }

    @classmethod
    def up(
        cls,
        name: str | None = None,
        *,
        hosts: int = 3,
        store: str = "sqlite",
        underlay_mtu_bytes: int = 1500,
        v6_underlay: bool = False,
        port_io: PortIo = PortIo.PACKET,
        underlay_io: PortIo = PortIo.PACKET,
        stands: bool = False,
    ) -> "Lab":
        """Make a lab, without agents yet. What killed labs left is removed first; on error nothing is left.

        Raises LabError (not root, a tool missing, the name taken) and Invalid (a value out of range).
        """
        # Values are checked before anything is made, the name once it is known.
        wanted = Settings(
            name=name or "lab",
            hosts=hosts,
            store=store,
            underlay_mtu_bytes=underlay_mtu_bytes,
            v6_underlay=v6_underlay,
            port_io=port_io,
            underlay_io=underlay_io,
        )
        require(*(("etcd",) if store == "etcd" else ()))
        directory = directories.claim(name)
        with socket.create_server(("127.0.0.1", 0)) as entrance:
            lab = cls(_settled(wanted, directory, entrance), directory)
            try:
                lab._make(entrance)
                if stands:
                    lab.journal.stands()
            except BaseException:
                lab.down()
                raise
        return lab

    @classmethod
    def open(cls, name: str | None = None) -> "Lab":
        """The lab `name`, or the only one there is. Raises LabError that names those there are."""
        there = directories.labs()
        if name is None and len(there) == 1:
            name = there[0]
        if name is None or name not in there:
            asked = f"no lab {name!r}" if name else "no lab" if not there else "which lab?"
            known = f"there are {', '.join(there)}" if there else "`plait lab up` makes one"
            raise LabError(f"{asked}: {known}")
        directory = directories.root() / name
        try:
            settings = msgspec.json.decode((directory / _SETTINGS).read_bytes(), type=Settings)
        except (OSError, msgspec.DecodeError) as error:
            raise LabError(
                f"lab {name!r} is not complete ({error}): remove it with `plait lab down --name {name}`"
            ) from None
        return cls(settings, directory)

    def __enter__(self) -> "Lab":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.down()

    def down(self) -> None:
        """End every process and remove every namespace and file of this lab."""
        self.close()
        directories.remove(self.directory)

    def close(self) -> None:
        """Let go of the store; the lab itself stays."""
        if self._frontend is not None:
            self._frontend.close()
            self._frontend = None

    @property
    def frontend(self) -> Frontend:
        """A user's hands on the store of this lab."""
        if self._frontend is None:
            self._frontend = Frontend(self.settings.store_url)
        return self._frontend

    def start_agents(self, *, timeout_s: float = 30, **options: str | int | float | bool) -> None:
        """Start the agents that do not run, and wait until they say that they are ready.

        Raises LabError with the last words of one that ended.
        """
        for host in self.hosts.values():
            if host.agent is None:
                host.start_agent(**options)
        self.wait_ready(*self.hosts, timeout_s=timeout_s)

    def wait_ready(self, *hosts: str, timeout_s: float = 30) -> None:
        """Wait until the agents of `hosts` say that all is well and others know of them.

        Raises LabError with the last words of an agent that has ended, or what is wrong after `timeout_s`.
        """
        missing: dict[str, str] = {}

        def all_ready() -> bool:
            missing.clear()
            for name in hosts:
                if self.host(name).agent is None:
                    raise LabError(f"the agent of {name} has ended: {self.host(name).last_words}")
                try:
                    components: dict[str, str] = self.host(name).ask("status")["components"]
                except CallFailed as error:
                    missing[name] = str(error)
                else:
                    if wrong := [f"{part}: {why}" for part, why in components.items() if why != "ok"]:
                        missing[name] = ", ".join(wrong)
            if not missing:
                states = self.frontend.run(lambda intent: intent.hosts.list())
                alive = {state.host.name for state in states if state.alive}
                missing.update({name: "not in the store" for name in hosts if name not in alive})
            return not missing

        try:
            wait_until(all_ready, "agents are ready", timeout_s=timeout_s, every_s=0.02)
        except WaitedInVain:
            raise LabError(f"agents are not ready after {timeout_s:g} s: {missing}") from None

    def differences(self) -> dict[str, list[str]]:
        """By host, where the agent, a fresh compile and the switch do not agree; empty when they all do."""
        audits = {name: host.ask("audit") for name, host in self.hosts.items()}
        found = {
            name: [
                *audit["differences"],
                *([f"{audit['pending']} changes pending"] if audit["pending"] else []),
            ]
            for name, audit in audits.items()
        }
        return {name: differences for name, differences in found.items() if differences}

    def network(self, name: str, *subnets: str, transport: Transport = Transport.VXLAN) -> Network:
        """A new network with subnets of these prefixes."""
        return self.frontend.run(
            lambda intent: intent.networks.create(name, subnets=subnets, transport=transport)
        )

    def endpoint(
        self,
        name: str,
        *,
        network: str,
        host: str,
        addresses: tuple[str, ...] = (),
        multicast: tuple[str, ...] = (),
        security: bool = True,
        groups: tuple[str, ...] = (),
        address_pairs: tuple[AddressPair, ...] = (),
        hostname: str | None = None,
        dhcp_options: tuple[DhcpOption, ...] = (),
        timeout_s: float = 30,
        dad: bool = False,
    ) -> Endpoint:
        """A container with a port in `network`, up and configured. Raises LabError, IntentError, Invalid.

        `dad` leaves duplicate address detection on (RFC 4862 section 5.4). On error nothing is left.
        """
        endpoint = self._new_endpoint(name, host)
        try:
            endpoint.make()
            spec = PortSpec(
                name=name,
                network=network,
                host=host,
                device=endpoint.device,
                addresses=addresses,
                multicast=multicast,
                security=security,
                groups=groups,
                address_pairs=address_pairs,
                hostname=hostname,
                dhcp_options=dhcp_options,
            )
            endpoint.connect(spec, timeout_s=timeout_s, dad=dad)
        except BaseException:
            endpoint.delete()
            raise
        return endpoint

    def host(self, name: str) -> LabHost:
        try:
            return self.hosts[name]
        except KeyError:
            raise LabError(
                f"no host {name!r} in lab {self.name!r}: there are {', '.join(self.hosts)}"
            ) from None

    def plain_endpoint(
        self,
        name: str,
        host: str,
        *,
        mac: str,
        addresses: tuple[str, ...],
        mtu_bytes: int = 1400,
        dad: bool = False,
    ) -> Endpoint:
        """A container that no port stands behind: whoever asks plugs `endpoint.device` into a bridge.

        `addresses` with prefix length. `dad` leaves duplicate address detection on (RFC 4862 section 5.4).
        """
        endpoint = self._new_endpoint(name, host)
        endpoint.make()
        endpoint.configure(Plug(mac=mac, addresses=addresses, mtu_bytes=mtu_bytes), dad=dad)
        return endpoint

    def endpoints(self) -> dict[str, Endpoint]:
        """All endpoints by name."""
        return {
            path.stem: self.find_endpoint(path.stem)
            for path in sorted((self.directory / _ENDPOINTS).glob("*.json"))
        }

    def find_endpoint(self, name: str) -> Endpoint:
        path = self._endpoint_path(name)
        if not path.exists():
            known = ", ".join(sorted(other.stem for other in path.parent.glob("*.json")))
            raise LabError(
                f"no endpoint {name!r} in lab {self.name!r}: there {f'are {known}' if known else 'is none'}"
            )
        return Endpoint.load(path, self)

    def namespace_of(self, name: str) -> tuple[str, dict[str, str]]:
        """Namespace and environment of a host or an endpoint. Raises LabError that names those there are."""
        if name in self.hosts:
            return self.hosts[name].namespace, self.hosts[name].env
        if self._endpoint_path(name).exists():
            return self.find_endpoint(name).namespace, {}
        known = ", ".join((*self.hosts, *self.endpoints()))
        raise LabError(f"no host or endpoint {name!r} in lab {self.name!r}: there are {known}")

    def capture(self, *hosts: str) -> Capture:
        """Start tcpdump on the underlay links of `hosts` (all without any)."""
        return Capture.start(
            {name: self.host(name).namespace for name in hosts or self.hosts},
            link=UNDERLAY_LINK,
            fabric=(self.settings.fabric, fabric.BRIDGE),
            directory=self.directory,
            journal=self.journal,
        )

    def _new_endpoint(self, name: str, host: str) -> Endpoint:
        if name in self.hosts:
            raise LabError(f"{name!r} is a host of lab {self.name!r}: choose another name for the endpoint")
        return Endpoint.claim(self._endpoint_path(name), self, self.host(host))

    def _endpoint_path(self, name: str) -> Path:
        return self.directory / _ENDPOINTS / f"{name}.json"

    def _make(self, entrance: socket.socket) -> None:
        (self.directory / _ENDPOINTS).mkdir()
        hosts = list(self.hosts.values())
        fabric.make(hosts, settings=self.settings, journal=self.journal)
        if self.settings.store == "etcd":
            self.storage.open_to_outside(entrance)
        with ThreadPoolExecutor(max_workers=min(len(hosts) + 1, 8)) as pool:
            starting = [pool.submit(self.storage.start), *(pool.submit(host.start) for host in hosts)]
            for each in starting:
                each.result()
        (self.directory / _SETTINGS).write_bytes(msgspec.json.encode(self.settings))


def _settled(wanted: Settings, directory: Path, entrance: socket.socket) -> Settings:
    """`wanted` with its name and the store's URLs, which follow from the directory and the entrance."""
    url = agents_url = f"sqlite://{directory / 'store.db'}"
    if wanted.store == "etcd":
        address = wanted.underlay_address(0)
        agents_url = f"etcd://[{address}]:{ETCD_PORT}" if ":" in address else f"etcd://{address}:{ETCD_PORT}"
        url = f"etcd://127.0.0.1:{entrance.getsockname()[1]}"
    return msgspec.structs.replace(wanted, name=directory.name, store_url=url, agents_store_url=agents_url)
