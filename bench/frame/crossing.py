"""Two containers on two hosts, in two subnets behind one router, both filtered: the same for everybody.

A packet is judged and tracked where it leaves, routed, carried to the other host, judged and tracked there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from plait.intent import Intent
from plait.lab.endpoint import Endpoint
from plait.lab.lab import Lab
from plait.lab.waiting import wait_until
from plait.model.policy import Direction, Protocol
from plait.net.vswitch import PortIo

PORT = 5201
"""What may be reached from outside, by TCP; echo requests may pass, too, and nothing else."""
SIDES = ("left", "right")
GROUP = "ends"


@dataclass(frozen=True, slots=True)
class Crossing:
    """`client` is on h1, `server` on h2."""

    name: str
    lab: Lab
    client: Endpoint
    server: Endpoint


def prefixes(side: int) -> tuple[str, str]:
    """The subnets of side 0 or 1, IPv4 and IPv6."""
    return f"10.{side + 1}.0.0/16", f"fd00:{side + 1}::/64"


def gateways(side: int) -> tuple[str, str]:
    """The router's addresses in them."""
    return f"10.{side + 1}.0.1", f"fd00:{side + 1}::1"


def set_out(crossing: Crossing) -> None:
    """Point the containers to their router, and wait until both families cross."""
    for side, end in enumerate((crossing.client, crossing.server)):
        for gateway in gateways(side):
            end.exec("ip", "route", "add", "default", "via", gateway, "dev", "eth0")
    for address in (crossing.server.v4, crossing.server.v6):
        wait_until(lambda address=address: crossing.client.reaches(address), f"{address} is reached")  # type: ignore[misc]


@contextmanager
def plait_crossing(lab_name: str, io: PortIo) -> Iterator[Crossing]:
    """Plait, whose hosts read containers and underlay by `io`."""
    with Lab.up(lab_name, hosts=2, port_io=io, underlay_io=io) as lab:
        lab.start_agents()
        for side, name in enumerate(SIDES):
            lab.network(name, *prefixes(side))

        async def join(intent: Intent) -> None:
            await intent.routers.create("middle")
            for name in SIDES:
                for subnet in await intent.subnets.list(name):
                    await intent.interfaces.add("middle", subnet.id)
            await intent.groups.create(GROUP, isolated=True)
            await intent.rules.add(GROUP, Direction.INGRESS, protocol=Protocol.TCP, ports=(PORT, PORT))
            await intent.rules.add(GROUP, Direction.INGRESS, protocol=Protocol.ICMP)

        lab.frontend.run(join)
        ends = [
            lab.endpoint(name, network=side, host=host)
            for name, side, host in zip(("client", "server"), SIDES, lab.hosts, strict=True)
        ]
        lab.frontend.run(lambda intent: intent.members.add(GROUP, [end.name for end in ends]))
        crossing = Crossing(f"Plait, {io}", lab, *ends)
        set_out(crossing)
        yield crossing
