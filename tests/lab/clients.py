"""Real DHCP clients in a container, each with what it was told: udhcpc, dhclient, dhcpcd.

They run in the endpoint's network namespace with mounts of their own, so that they find no leases of others
and leave none behind.
"""

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from plait.lab.endpoint import Endpoint
from plait.lab.waiting import wait_until

_SCRIPT = """#!/bin/sh
# The address becomes eth0's, and then what the client was told a file.
event=${1:-$reason}
case $event in
    deconfig|EXPIRE|RELEASE|STOP) ip -4 addr flush dev eth0 ;;
    bound|renew) ip -4 addr flush dev eth0; ip addr add "$ip/$mask" dev eth0 ;;
    BOUND|RENEW|REBIND|REBOOT) ip addr replace "$new_ip_address/$new_subnet_mask" dev eth0 ;;
    BOUND6|REBOOT6) ip addr replace "$new_ip6_address/$new_ip6_prefixlen" dev eth0 nodad ;;
    DEPREF6|EXPIRE6|RELEASE6|STOP6) ip addr del "$old_ip6_address/$old_ip6_prefixlen" dev eth0 ;;
esac
{ echo "event=$event"; env; echo; } >> "$TOLD"
exit 0
"""

Told = Mapping[str, str]


class Client:
    """A running client. `said` is its log, `told` what it passed to its script, event by event."""

    def __init__(
        self, endpoint: Endpoint, directory: Path, *command: str, mounts: tuple[str, ...] = ()
    ) -> None:
        self._endpoint = endpoint
        self._log, self._told = directory / "client.log", directory / "told"
        self._told.touch()
        script = directory / "script"
        script.write_text(_SCRIPT)
        script.chmod(0o755)
        line = [word.replace("SCRIPT", str(script)).replace("DIR", str(directory)) for word in command]
        prepare = "".join(f"mount -t tmpfs none {place} && " for place in mounts)
        inside = ("unshare", "--mount", "sh", "-c", prepare + 'exec "$@"', "sh", *line)
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                ("ip", "netns", "exec", endpoint.namespace, *inside),
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, "TOLD": str(self._told), "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
            )

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        # With all that it started, such as dhcpcd's helpers, if it has not ended by itself.
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    @property
    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def events(self) -> list[Told]:
        """What the script was called with, oldest first."""
        blocks = self._told.read_text(errors="replace").split("\n\n")
        pairs = ((line.partition("=") for line in block.splitlines() if "=" in line) for block in blocks[:-1])
        return [{name: value for name, _, value in block} for block in pairs]

    def until(self, *events: str, after: int = 0) -> Told:
        """The first of these events from number `after` on."""

        def first() -> Told | None:
            return next((told for told in self.events()[after:] if told["event"] in events), None)

        return wait_until(first, f"the client says one of {events}; it said\n{self.said}", timeout_s=20)

    def until_said(self, pattern: str) -> None:
        wait_until(lambda: re.search(pattern, self.said), f"the client says {pattern}", timeout_s=20)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        return self._process.wait(20)


def bare(endpoint: Endpoint) -> None:
    """Take the addresses that the lab gave to the container's `eth0`; its link-local one stays."""
    endpoint.exec("ip", "-4", "addr", "flush", "dev", "eth0")
    endpoint.exec("ip", "-6", "addr", "flush", "dev", "eth0", "scope", "global")


@contextmanager
def udhcpc(endpoint: Endpoint, directory: Path, *options: str) -> Iterator[Client]:
    """busybox's client, which stays after its lease."""
    asked = ("search", "mtu", "ntpsrv", "staticroutes", "broadcast", "tftp")
    command = ["udhcpc", "-f", "-v", "-v", "-i", "eth0", "-s", "SCRIPT", "-t", "4", "-T", "1"]
    command += [word for name in asked for word in ("-O", name)]
    with Client(endpoint, directory, *command, *options) as client:
        yield client


@contextmanager
def dhclient(
    endpoint: Endpoint, directory: Path, *options: str, config: str = "", lease: str = ""
) -> Iterator[Client]:
    """ISC's client in the foreground; `lease` is what it remembers of before."""
    (directory / "dhclient.conf").write_text(config)
    (directory / "leases").write_text(lease)
    files = ("-cf", "DIR/dhclient.conf", "-lf", "DIR/leases", "-pf", "DIR/dhclient.pid", "-sf", "SCRIPT")
    command = ("dhclient", "-d", "-v", *files, "-e", f"TOLD={directory}/told")
    with Client(endpoint, directory, *command, *options, "eth0") as client:
        yield client


@contextmanager
def dhcpcd(endpoint: Endpoint, directory: Path, *options: str) -> Iterator[Client]:
    """dhcpcd in the foreground, which does what router advertisements tell it to."""
    command = ("dhcpcd", "-B", "-d", "-f", "/dev/null", "-c", "SCRIPT", "-e", f"TOLD={directory}/told")
    places = ("/run", "/var/lib/dhcpcd")
    with Client(endpoint, directory, *command, *options, "eth0", mounts=places) as client:
        yield client
