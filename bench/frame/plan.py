"""Who is where: the same networks, addresses and background ports for everybody who is measured.

Ports number 0, 1, ... go round over `NETWORKS` networks and, slower, over `STUBS` hosts that exist in the
database alone. Both real hosts have one port in every network, so that they hold all of it.
"""

from collections.abc import Iterable
from typing import NamedTuple

from plait.lab.endpoint import Endpoint
from plait.lab.host import LabHost
from plait.lab.lab import Lab

NETWORKS = 100
STUBS = 50
MTU_BYTES = 1400
TESTED = "n0"


class Place(NamedTuple):
    """A background port."""

    name: str
    network: int
    stub: int
    mac: str
    address: str


def place(number: int) -> Place:
    """Background port `number`, below 16,384 of a network."""
    network, turn = number % NETWORKS, number // NETWORKS
    return Place(
        f"bg{number}",
        network,
        turn % STUBS,
        f"0a:00:{network:02x}:00:{turn >> 8:02x}:{turn & 255:02x}",
        f"10.{network}.{128 + (turn >> 8)}.{turn & 255}",
    )


def network_name(number: int) -> str:
    return f"n{number}"


def prefix(number: int) -> str:
    return f"10.{number}.0.0/16"


def stub_address(number: int) -> str:
    return f"172.16.100.{number + 1}"


def anchor_address(network: int, host: int) -> str:
    return f"10.{network}.1.{host}"


def anchor_mac(network: int, host: int) -> str:
    return f"0a:01:{network:02x}:00:00:{host:02x}"


def container(lab: Lab, name: str, host: str, *, number: int) -> Endpoint:
    """A container with address 10.0.2.`number` that is plugged into nothing yet."""
    return lab.plain_endpoint(
        name,
        host,
        mac=f"0a:02:00:00:{number >> 8:02x}:{number & 255:02x}",
        addresses=(f"10.0.{2 + (number >> 8)}.{number & 255}/16",),
        mtu_bytes=MTU_BYTES,
    )


def acquaint(one: Endpoint, other: Endpoint) -> None:
    """Fixed neighbour entries: a kernel that asked in vain asks again a second later, which says nothing
    about the network."""
    for asker, asked in ((one, other), (other, one)):
        asker.exec("ip", "neigh", "replace", asked.v4, "lladdr", asked.mac, "dev", "eth0", "nud", "permanent")


def plug_anchors(host: LabHost, ids: Iterable[str], bridge: str = "br-int") -> None:
    """Give each port id an interface that carries nothing: one half of a patch into an empty bridge."""
    host.switch.vsctl(
        "--may-exist", "add-br", "anchors", "--", "set", "bridge", "anchors",
        "datapath_type=netdev", "fail_mode=secure",
    )  # fmt: skip
    command: list[str] = []
    for number, id in enumerate(ids):
        near, far = f"anchor{number}", f"rohcna{number}"
        command += ["--", "add-port", bridge, near, "--", "set", "interface", near, "type=patch"]
        command += [f"options:peer={far}", f"external_ids:iface-id={id}"]
        command += ["--", "add-port", "anchors", far, "--", "set", "interface", far, "type=patch"]
        command += [f"options:peer={near}"]
    host.switch.vsctl(*command[1:])
