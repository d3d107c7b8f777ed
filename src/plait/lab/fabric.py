"""The fabric: the namespaces of all hosts, and one whose bridge joins their links as real switches would.

It has an address of its own on that bridge, where the store may listen. Since all this is inside the lab, the
addresses may be the same in every lab.
"""

from collections.abc import Sequence

from plait.lab import netns
from plait.lab.errors import LabError
from plait.lab.host import UNDERLAY_LINK, LabHost
from plait.lab.journal import Journal
from plait.lab.settings import Settings

BRIDGE = "fabric"


def make(hosts: Sequence[LabHost], *, settings: Settings, journal: Journal) -> None:
    """Make the namespaces and the links between them. Raises LabError if one of that name exists."""
    for namespace in (settings.fabric, *(host.namespace for host in hosts)):
        if netns.exists(namespace):
            raise LabError(f"network namespace {namespace} exists already: choose another name for the lab")
        journal.namespace(namespace)
    mtu = settings.underlay_mtu_bytes
    lines = [f"netns add {settings.fabric}", f"link add {BRIDGE} netns {settings.fabric} type bridge"]
    for host in hosts:
        lines.append(f"netns add {host.namespace}")
        ends = f"peer name {UNDERLAY_LINK} netns {host.namespace} mtu {mtu}"
        lines.append(f"link add {host.name} netns {settings.fabric} mtu {mtu} type veth {ends}")
    netns.ip_batch(lines, journal=journal.path)
    _join(hosts, settings=settings)


def _join(hosts: Sequence[LabHost], *, settings: Settings) -> None:
    # Only neighbours and tunnels belong on the underlay; router solicitations and MLD reports do not.
    quiet: dict[str, int | str] = {} if settings.v6_underlay else {"ipv6/conf/all/disable_ipv6": 1}
    quiet["ipv6/conf/default/accept_dad"] = 0
    address = f"{settings.underlay_address(0)}/{settings.underlay_prefix_length}"
    nodad = " nodad" if settings.v6_underlay else ""
    netns.configure(settings.fabric, quiet, checksums_off=[BRIDGE, *(host.name for host in hosts)])
    netns.ip_batch(
        [
            "link set lo up",
            *(f"link set {host.name} master {BRIDGE} up" for host in hosts),
            f"link set {BRIDGE} mtu {settings.underlay_mtu_bytes} up",
            f"addr add {address} dev {BRIDGE}{nodad}",
        ],
        namespace=settings.fabric,
    )
    for host in hosts:
        netns.configure(host.namespace, quiet, checksums_off=[UNDERLAY_LINK])
        # The switch takes frames from the link, but so does the kernel, which would answer for the bridge
        # with the MAC of the link; who believed that would send tunnels past the switch.
        netns.ip_batch(["link set lo up", f"link set {UNDERLAY_LINK} arp off up"], namespace=host.namespace)
