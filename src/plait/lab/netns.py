"""Network namespaces: making them, entering them with one thread, setting what is inside.

All is done with as few processes as can be: `ip -batch` for links and addresses, the rest in a thread that
has entered the namespace (setns(2) moves one thread, and sockets stay where they were opened).
"""

import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from plait.lab.errors import CommandError, LabError
from plait.lab.processes import recorded

T = TypeVar("T")

RUN_NETNS = Path("/run/netns")

_CLONE_NEWNET = 0x40000000
_SIOCETHTOOL = 0x8946
_ETHTOOL_STXCSUM = 0x17
_libc = ctypes.CDLL(None, use_errno=True)


def exists(namespace: str) -> bool:
    return (RUN_NETNS / namespace).exists()


def ip_batch(commands: Iterable[str], *, namespace: str | None = None, journal: Path | None = None) -> None:
    """Run lines of `ip` in one process. Raises CommandError with the kernel's word and the line at fault.

    With `journal` the process is on record: one that outlives us makes nothing once all is cleaned up.
    """
    lines = list(commands)
    if not lines:
        return
    command = ["ip", *(["-n", namespace] if namespace else []), "-batch", "-"]
    if journal is not None:
        command = recorded(command, name="ip", journal=journal)
    result = subprocess.run(
        command, input="\n".join(lines) + "\n", text=True, capture_output=True, check=False
    )
    if result.returncode:
        said = result.stderr.strip()
        number = said.rpartition("-:")[2]
        at = f": {lines[int(number) - 1]}" if number.isdecimal() and int(number) <= len(lines) else ""
        raise CommandError(f"ip in {namespace or 'this namespace'}: {said}{at}", result.returncode)


def inside(namespace: str, work: Callable[[], T]) -> T:
    """What `work` returns, run by a thread of its own in `namespace`; the caller's thread stays out."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            _enter(namespace)
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name=f"in {namespace}")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _enter(namespace: str) -> None:
    try:
        fd = os.open(RUN_NETNS / namespace, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise LabError(
            f"network namespace {namespace} does not exist: see `ip netns` and `plait lab list`"
        ) from None
    try:
        if _libc.setns(fd, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"can't enter network namespace {namespace}")
    finally:
        os.close(fd)


def configure(namespace: str, sysctls: Mapping[str, int | str], *, checksums_off: Iterable[str] = ()) -> None:
    """Set sysctls (paths below /proc/sys/net) and switch off checksum offload of devices in `namespace`.

    The userspace datapath takes frames as they are: with offload on, the checksum is not yet in them, and TCP
    carries nothing while ping works. A sysctl that this kernel lacks is left out.
    """

    def work() -> None:
        for path, value in sysctls.items():
            file = Path("/proc/sys/net", path)
            if file.exists():
                file.write_text(str(value))
        for device in checksums_off:
            _checksum_offload_off(device)

    inside(namespace, work)


def _checksum_offload_off(device: str) -> None:
    """What `ethtool -K device tx off` does; segmentation offload falls with it (ethtool(8))."""
    value = ctypes.create_string_buffer(struct.pack("=II", _ETHTOOL_STXCSUM, 0), 8)
    request = struct.pack("16sP16x", device.encode(), ctypes.addressof(value))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        fcntl.ioctl(handle, _SIOCETHTOOL, request)
