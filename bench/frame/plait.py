"""Plait in a lab of two hosts, with background ports on hosts that exist in the store alone."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from frame import plan
from plait.agent.judging import endpoint_of
from plait.intent import Intent, PortSpec
from plait.lab.endpoint import Endpoint as Container
from plait.lab.lab import Lab
from plait.lab.waiting import wait_until
from plait.model import codec
from plait.model.entities import Endpoint, LiveHost, Port
from plait.reach.watch import WatchReach
from plait.store import keys
from plait.store.api import Put

STUB_LEASE_S = 7200


class Plait:
    """See `frame.contender.Contender`."""

    groups: tuple[str, ...] = ()
    """What every port is put into."""

    def __init__(self, lab: Lab, store: str, options: dict[str, str | int | float | bool]) -> None:
        self.name = f"Plait, {store}"
        self.lab = lab
        self._options = options
        self._anchors = 0

    def grow(self, ports: int) -> None:
        have = self._announced()
        if ports and not self._anchors:
            self._base()
        if ports > have:
            self.create(have, ports - have)
            self.confirmed(ports)

    def create(self, first: int, ports: int) -> None:
        self.announce(self.wish(first, ports))

    def wish(self, first: int, ports: int) -> list[Port]:
        """What a frontend does: create the ports."""
        specs = []
        for number in range(first, first + ports):
            place = plan.place(number)
            specs.append(
                PortSpec(
                    name=place.name,
                    network=plan.network_name(place.network),
                    host=f"stub{place.stub}",
                    mac=place.mac,
                    addresses=(place.address,),
                    groups=self.groups,
                )
            )
        # Ports that share network and host share commits.
        return self.lab.frontend.run(lambda intent: intent.ports.create_many(specs), timeout_s=600)

    def announce(self, ports: Sequence[Port]) -> None:
        """What the agents of the ports' hosts do: say that they have them, all hosts at once."""
        by_host: dict[str, list[Endpoint]] = {}
        for port in ports:
            assert port.host is not None
            by_host.setdefault(port.host, []).append(endpoint_of(port, port.host, ()))

        async def together(intent: Intent) -> None:
            planes = {host: WatchReach(intent.store, host) for host in by_host}
            await asyncio.gather(*(planes[host].announce_many(of) for host, of in by_host.items()))

        self.lab.frontend.run(together, timeout_s=600)

    def confirmed(self, ports: int) -> None:
        def both() -> bool:
            for host in self.lab.hosts.values():
                status = host.ask("status")
                if status["endpoints"] < ports + self._anchors or status["pending"]:
                    return False
            return True

        wait_until(both, f"{ports} ports are in both switches", timeout_s=300, every_s=0.02)

    def attach(self, endpoint: Container) -> None:
        spec = self._spec(endpoint)
        self.lab.frontend.run(lambda intent: intent.ports.create(spec))

    def attach_all(self, endpoints: list[Container]) -> None:
        specs = [self._spec(endpoint) for endpoint in endpoints]

        async def work(intent: Intent) -> None:
            ports = await intent.ports.create_many(specs)
            await intent.ports.wait_all_up(ports, timeout_s=120)

        self.lab.frontend.run(work, timeout_s=130)

    def detach(self, endpoint: Container) -> None:
        self.lab.frontend.run(lambda intent: intent.ports.delete(endpoint.name))

    def restart(self, host: str) -> None:
        self.lab.host(host).kill_agent()
        self.lab.host(host).start_agent(**self._options)
        self.lab.wait_ready(host, timeout_s=120)

    def _spec(self, endpoint: Container) -> PortSpec:
        """A port for a container that exists."""
        return PortSpec(
            name=endpoint.name,
            network=plan.TESTED,
            host=endpoint.host.name,
            device=endpoint.device,
            mac=endpoint.mac,
            addresses=endpoint.addresses,
            groups=self.groups,
        )

    def _announced(self) -> int:
        if not self._anchors:
            return 0
        return int(self.lab.host("h1").ask("status")["endpoints"]) - self._anchors

    def _base(self) -> None:
        """Networks, stub hosts, and one port of either host in every network."""

        async def stubs(intent: Intent) -> None:
            lease = await intent.store.grant(STUB_LEASE_S)
            hosts = [LiveHost(name=f"stub{n}", vtep=plan.stub_address(n)) for n in range(plan.STUBS)]
            writes = [Put(keys.host(host.name), codec.encode(host), lease) for host in hosts]
            await intent.store.commit([], writes)

        async def anchors(intent: Intent) -> list[Port]:
            for n in range(1, plan.NETWORKS):
                await intent.networks.create(plan.network_name(n), subnets=[plan.prefix(n)])
            return await intent.ports.create_many(
                [
                    PortSpec(
                        name=f"anchor{n}-h{host}",
                        network=plan.network_name(n),
                        host=f"h{host}",
                        mac=plan.anchor_mac(n, host),
                        addresses=(plan.anchor_address(n, host),),
                        groups=self.groups,
                    )
                    for host in (1, 2)
                    for n in range(plan.NETWORKS)
                ]
            )

        before = int(self.lab.host("h1").ask("status")["endpoints"])
        self.lab.frontend.run(stubs)
        made = self.lab.frontend.run(anchors)
        for name, host in self.lab.hosts.items():
            plan.plug_anchors(host, (port.id for port in made if port.host == name))
        self._anchors = before + len(made)
        self.confirmed(0)


@contextmanager
def plait(lab_name: str, store: str, **options: str | int | float | bool) -> Iterator[Plait]:
    """Two hosts with agents and one network; `options` are the agents'."""
    with plait_lab(lab_name, store, **options) as lab:
        yield Plait(lab, store, options)


@contextmanager
def plait_lab(lab_name: str, store: str, **options: str | int | float | bool) -> Iterator[Lab]:
    """The lab for it."""
    with Lab.up(lab_name, hosts=2, store=store) as lab:
        for host in lab.hosts.values():
            host.start_agent(**options)
        lab.wait_ready(*lab.hosts)
        lab.network(plan.TESTED, plan.prefix(0))
        yield lab
