"""Networks with routers in the shared lab: endpoints whose default routes lead to their gateways."""

from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any, TypeVar

import pytest

from plait.intent import Intent, PortSpec
from plait.intent.errors import NotFound
from plait.lab.capture import Capture
from plait.lab.endpoint import Endpoint
from plait.lab.lab import Lab
from plait.lab.waiting import wait_until
from plait.model.entities import DEFAULT_PROJECT, Network, Transport
from plait.model.policy import Action
from plait.model.routers import Router

T = TypeVar("T")
_numbers = count(1)
VERSIONS = (4, 6)


def prefixes(number: int) -> tuple[str, str]:
    """The subnets of a network."""
    return f"10.{number}.0.0/24", f"fd00:{number}::/64"


def gateways(number: int) -> tuple[str, str]:
    """The addresses of a network's gateways."""
    return f"10.{number}.0.1", f"fd00:{number}::1"


def address(end: Endpoint, version: int) -> str:
    return end.v4 if version == 4 else end.v6


def wait_reaches(one: Endpoint, *targets: str) -> None:
    """The way is there: what was asked for has arrived on all hosts."""
    for target in targets:
        wait_until(lambda target=target: one.ping(target, count=1).lost == 0, f"{one.name} reaches {target}")


def wait_loses(one: Endpoint, *targets: str) -> None:
    """The way is gone, on the host of `one`."""
    for target in targets:
        wait_until(
            lambda target=target: one.ping(target, count=3, wait_s=0.3).received == 0,
            f"{one.name} loses {target}",
        )


class Routed:
    """Makes routers, networks on them, and endpoints; all of it is removed after the test."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.routers: list[Router] = []
        self._networks: list[Network] = []
        self._endpoints: list[Endpoint] = []
        self._groups: list[str] = []
        self._number_of: dict[str, int] = {}

    def run(self, work: Callable[[Intent], Coroutine[Any, Any, T]], *, project: str = DEFAULT_PROJECT) -> T:
        """What `work` comes to, on the intent of a project."""
        return self.lab.frontend.run(lambda intent: work(Intent(intent.store, project=project)))

    def router(self, *, project: str = DEFAULT_PROJECT) -> Router:
        name = f"router-{next(_numbers)}"
        self.routers.append(self.run(lambda intent: intent.routers.create(name), project=project))
        return self.routers[-1]

    def network(
        self,
        number: int,
        router: Router | None = None,
        *,
        transport: Transport = Transport.VXLAN,
        mtu_bytes: int | None = None,
        project: str = DEFAULT_PROJECT,
    ) -> Network:
        """A network with the subnets of `number`, and `router` on both."""
        name = f"routed-{next(_numbers)}"
        made = self.run(
            lambda intent: intent.networks.create(
                name, subnets=prefixes(number), transport=transport, mtu_bytes=mtu_bytes
            ),
            project=project,
        )
        self._networks.append(made)
        self._number_of[made.id] = number
        if router is not None:
            self.attach(router, made)
        return made

    def attach(self, router: Router, network: Network) -> None:
        """Put the router on both subnets of the network."""

        async def work(intent: Intent) -> None:
            for subnet in await intent.subnets.list(network.id):
                await intent.interfaces.add(router.id, subnet.id)

        self.run(work, project=network.project)

    def peer(self, router: Router, other: Router) -> None:
        """`router`'s word that it wants to be joined to `other`."""
        self.run(lambda intent: intent.peerings.add(router.id, other.id), project=router.project)

    def part(self, router: Router, other: Router) -> None:
        """That word taken back."""
        self.run(lambda intent: intent.peerings.remove(router.id, other.id), project=router.project)

    def route(self, router: Router, destination: str, *next_hops: str, via: Router | None = None) -> None:
        way = None if via is None else via.id
        self.run(
            lambda intent: intent.routes.add(router.id, destination, next_hops=next_hops, via=way),
            project=router.project,
        )

    def endpoint(self, network: Network, host: str, *, security: bool = True) -> Endpoint:
        """An endpoint that knows its network's gateways."""
        name = f"rt{next(_numbers)}"
        if network.project == DEFAULT_PROJECT:
            end = self.lab.endpoint(name, network=network.id, host=host, security=security)
        else:
            end = self._endpoint_of(network.project, name, network, host)
        self._endpoints.append(end)
        for gateway in gateways(self._number_of[network.id]):
            end.exec("ip", "route", "add", "default", "via", gateway)
        return end

    def filter(self, end: Endpoint, *, egress: Action = Action.ALLOW) -> None:
        """Put the endpoint in a group of its own, which lets nothing in, and out what `egress` says."""
        name = f"of-{end.name}"

        async def work(intent: Intent) -> None:
            self._groups.append((await intent.groups.create(name, isolated=True, egress=egress)).id)
            await intent.members.add(name, [end.record.port or ""])

        self.run(work)

    def _endpoint_of(self, project: str, name: str, network: Network, host: str) -> Endpoint:
        """In another project than the lab's own: plugged in by hand."""
        spec = PortSpec(name=name, network=network.id, host=host)
        port = self.run(lambda intent: intent.ports.create(spec), project=project)
        addresses = tuple(f"{each}/{64 if ':' in each else 24}" for each in port.ips)
        end = self.lab.plain_endpoint(name, host, mac=port.mac, addresses=addresses)
        self.lab.host(host).plug(end.device, f"iface-id={port.id}")
        self.lab.journal.plugged(vni=network.vni, mac=port.mac, at=self.lab.host(host).address)
        self.run(lambda intent: intent.ports.wait_up(port, timeout_s=10), project=project)
        return end

    def remove(self) -> None:
        for end in self._endpoints:
            end.delete()
        for group in self._groups:
            self.run(partial(_without_group, group))
        for router in self.routers:
            for each in self._routes_of(router):
                work = partial(_without_route, router.id, each)
                self.run(work, project=router.project)
        for router in self.routers:
            with suppress(NotFound):
                self.run(partial(_without_router, router.id), project=router.project)
        for network in self._networks:
            self.run(partial(_without_network, network.id), project=network.project)

    def _routes_of(self, router: Router) -> list[str]:
        with suppress(NotFound):
            now = self.run(lambda intent: intent.routers.get(router.id), project=router.project)
            return [route.destination for route in now.routes]
        return []


async def _without_group(group: str, intent: Intent) -> None:
    await intent.groups.delete(group)


async def _without_route(router: str, destination: str, intent: Intent) -> None:
    await intent.routes.remove(router, destination)


async def _without_router(router: str, intent: Intent) -> None:
    await intent.routers.delete(router, cascade=True)


async def _without_network(network: str, intent: Intent) -> None:
    await intent.networks.delete(network, cascade=True)


@pytest.fixture
def routed(lab: Lab, underlay: Capture) -> Iterator[Routed]:
    made = Routed(lab)
    try:
        yield made
    finally:
        made.remove()
