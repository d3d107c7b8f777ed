"""What goes wrong in a lab, in one line with the way out."""

import os
import shutil

# What a lab runs, and the Debian package that has it.
TOOLS = {
    "ip": "iproute2",
    "ovsdb-tool": "openvswitch-common",
    "ovsdb-server": "openvswitch-switch",
    "ovs-vswitchd": "openvswitch-switch",
    "ovs-vsctl": "openvswitch-switch",
    "ovs-ofctl": "openvswitch-common",
    "ovs-appctl": "openvswitch-common",
}


class LabError(Exception):
    """A lab can't do what it was asked for; the message says what to do."""


class CommandError(LabError):
    """A command that the lab ran ended with an error. `status` is its exit status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def require(*extra: str) -> None:
    """Raise LabError unless this process is root and the tools of a lab (and `extra`) are installed."""
    if os.geteuid() != 0:
        raise LabError(
            f"a lab needs root for its network namespaces, this is user {os.geteuid()}: run it with sudo"
        )
    packages = TOOLS | {
        "tcpdump": "tcpdump",
        "etcd": "etcd-server",
        "iperf3": "iperf3",
        "traceroute": "traceroute",
        "tracepath": "iputils-tracepath",
        "dhclient": "isc-dhcp-client",
        "dhcpcd": "dhcpcd-base",
    }
    missing = [tool for tool in (*TOOLS, *extra) if not shutil.which(tool)]
    if missing:
        wanted = sorted({packages.get(tool, tool) for tool in missing})
        raise LabError(f"{', '.join(missing)} not found: apt-get install {' '.join(wanted)}")
