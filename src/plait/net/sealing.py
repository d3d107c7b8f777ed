"""Devices of endpoints, sealed against the host's own kernel.

The userspace datapath reads a device's frames by a packet socket, and the kernel gets every one of them, too.
So that no endpoint reaches the host itself by writing the device's MAC into a frame, the kernel takes no IPv4
from the device (nothing is routed back by it, so every source fails the strict reverse path: RFC 3704, 2.2),
answers no ARP on it, and speaks no IPv6. With the kernel's datapath a device's frames end in the switch, and
none of this is needed.
Source: ip-sysctl (Documentation/networking/ip-sysctl.rst of the kernel).
"""

from collections.abc import Iterable
from pathlib import Path

_SYSCTL = Path("/proc/sys/net")

SEALS = {"ipv4/conf/{}/rp_filter": "1", "ipv4/conf/{}/arp_ignore": "8", "ipv6/conf/{}/disable_ipv6": "1"}
"""Settings of a device, below net/; the name of the device stands for the braces."""


def seal(devices: Iterable[str]) -> dict[str, str]:
    """Seal the devices of this network namespace that exist; returns those that could not be, with the
    reason.

    A device that is not there yet is no fault: it is sealed when it comes. Blocks for some 50 microseconds a
    device.
    """
    open_devices: dict[str, str] = {}
    for device in devices:
        if not (_SYSCTL / "ipv4/conf" / device).is_dir():
            continue
        for setting, value in SEALS.items():
            path = _SYSCTL / setting.format(device)
            try:
                if path.read_text().strip() != value:
                    path.write_text(value)
            except FileNotFoundError:
                # The kernel has no IPv6, or the device has just gone.
                continue
            except OSError as error:
                open_devices[device] = f"{path}: {error.strerror}"
    return open_devices
