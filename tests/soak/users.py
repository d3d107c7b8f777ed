"""What users do, at random: make, move and remove containers in networks that use the same addresses.

Rule 1: what a user began while the store was away may or may not have happened; `settle` finds out.
Rule 2: nobody waits for a port to come up here; that all do is a matter of the verdict.
"""

import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from plait.intent import Intent, IntentError, NotFound, PortSpec
from plait.lab.endpoint import Endpoint, Plug, device_name
from plait.lab.errors import LabError
from plait.lab.lab import Lab
from plait.model.entities import Port
from plait.store.api import StoreError

NETWORKS = ("blue", "green", "red")
PREFIX = "10.0.0.0/24"
MTU_BYTES = 1400
STORE_TIMEOUT_S = 5.0

T = TypeVar("T")


class Users:
    """The containers of a lab, with the ports that stand behind them."""

    def __init__(self, lab: Lab, choose: random.Random, most: int) -> None:
        self._lab = lab
        self._choose = choose
        self._most = most
        self._count = 0
        self._torn = 0
        self.containers: dict[str, Endpoint] = {}
        self.ports: dict[str, Port] = {}

    def begin(self) -> None:
        for name in NETWORKS:
            self._lab.network(name, PREFIX)

    def act(self) -> str:
        """One thing that a user does; what it was."""
        acts = [self.create] * 5 + [self.move] * 3 + [self.delete] * 3 + [self.flash, self.leave_host]
        act = self._choose.choice(acts)
        if act == self.create and len(self.containers) >= self._most:
            act = self.delete
        try:
            return f"{act.__name__} {act()}"
        except (StoreError, IntentError, LabError) as error:
            self._torn += 1
            return f"{act.__name__} failed: {str(error)[:100]}"

    def create(self) -> str:
        self._count += 1
        # Few names, so that they come again soon.
        name = f"c{self._count % (2 * self._most)}"
        host = self._choose.choice(list(self._lab.hosts))
        network = self._choose.choice(NETWORKS)
        if name in self.containers:
            return "nothing"
        spec = PortSpec(name=name, network=network, host=host, device=device_name(name))
        port = self._do(lambda intent: intent.ports.create(spec))
        self._contain(name, port)
        return f"{name} in {network} on {host}"

    def move(self) -> str:
        name = self._one()
        if name is None:
            return "nothing"
        container, host = self.containers[name], self._choose.choice(list(self._lab.hosts))
        container.relink(self._lab.host(host))
        container.configure(_plug(self.ports[name]))
        self.ports[name] = self._do(lambda intent: intent.ports.set(self.ports[name].id, host=host))
        return f"{name} to {host}"

    def delete(self) -> str:
        name = self._one()
        if name is None:
            return "nothing"
        if self._choose.random() < 0.5:
            self._delete_port(name)
            self._remove(name)
        else:
            port = self.ports[name]
            self._remove(name)
            self._do(lambda intent: intent.ports.delete(port.id))
        return name

    def flash(self) -> str:
        """One name, made and deleted again and again, faster than anybody follows."""
        network, host = self._choose.choice(NETWORKS), self._choose.choice(list(self._lab.hosts))
        spec = PortSpec(name="flash", network=network, host=host, device="v-flash")

        async def work(intent: Intent) -> None:
            for _ in range(5):
                port = await intent.ports.create(spec)
                await intent.ports.delete(port.id)

        self._do(work)
        return f"in {network} on {host}"

    def leave_host(self) -> str:
        """All containers of one network leave a host: it has no interest in the network any more."""
        network, host = self._choose.choice(NETWORKS), self._choose.choice(list(self._lab.hosts))
        names = [
            name
            for name, container in self.containers.items()
            if container.host.name == host and self._network_of(name) == network
        ]
        for name in names:
            self._delete_port(name)
            self._remove(name)
        return f"{host} with {len(names)} of {network}"

    def settle(self) -> None:
        """After a time without faults: what was begun and torn is ended, one way or the other."""
        found = {port.id: port for port in self._do(lambda intent: intent.ports.list())}
        for name in list(self.containers):
            port = found.pop(self.ports[name].id, None)
            container = self.containers[name]
            if port is None:
                self._remove(name)
                continue
            self.ports[name] = port
            if port.host is not None and port.host != container.host.name:
                container.relink(self._lab.host(port.host))
            container.exec("ip", "addr", "flush", "dev", "eth0")
            container.configure(_plug(port))
        for port in found.values():
            self._do(lambda intent, id=port.id: intent.ports.delete(id))  # type: ignore[misc]

    def by_network(self) -> dict[str, list[Endpoint]]:
        """Network -> its containers."""
        sorted_names = sorted(self.containers)
        return {
            network: [self.containers[name] for name in sorted_names if self._network_of(name) == network]
            for network in NETWORKS
        }

    def _network_of(self, name: str) -> str:
        return self._names[self.ports[name].network]

    @property
    def _names(self) -> dict[str, str]:
        if not hasattr(self, "_known_names"):
            networks = self._do(lambda intent: intent.networks.list())
            self._known_names = {network.id: network.name for network in networks}
        return self._known_names

    def _contain(self, name: str, port: Port) -> None:
        plug = _plug(port)
        self.containers[name] = self._lab.plain_endpoint(
            name, str(port.host), mac=plug.mac, addresses=plug.addresses, mtu_bytes=plug.mtu_bytes
        )
        self.ports[name] = port

    def _delete_port(self, name: str) -> None:
        with _gone_is_fine():
            self._do(lambda intent: intent.ports.delete(self.ports[name].id))

    def _remove(self, name: str) -> None:
        self.containers.pop(name).remove()
        del self.ports[name]

    def _one(self) -> str | None:
        return self._choose.choice(sorted(self.containers)) if self.containers else None

    def _do(self, work: Callable[[Intent], Awaitable[T]]) -> T:
        return self._lab.frontend.run(work, timeout_s=STORE_TIMEOUT_S)


def _plug(port: Port) -> Plug:
    return Plug(mac=port.mac, addresses=tuple(f"{ip}/24" for ip in port.ips), mtu_bytes=MTU_BYTES)


@contextmanager
def _gone_is_fine() -> Iterator[None]:
    try:
        yield
    except NotFound:
        return
