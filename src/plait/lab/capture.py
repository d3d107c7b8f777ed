"""tcpdump on underlay links while something happens, and what it saw."""

import os
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from plait.lab import crafted
from plait.lab.errors import LabError, require
from plait.lab.journal import Journal
from plait.lab.processes import Process, spawn
from plait.lab.waiting import wait_until
from plait.lab.wire import Wire

# Room for a second of full link, so that the kernel drops nothing while Python is busy.
_BUFFER_KIB = 65536
_EXPERIMENTAL = 0x88B5
"""For local experiments (IEEE 802, Local Experimental Ethertype 1)."""


@dataclass(slots=True)
class Capture:
    """A running capture, one file a link."""

    _running: dict[str, tuple[Process, Path]]
    _fabric: tuple[str, str]

    @classmethod
    def start(
        cls,
        namespaces: Mapping[str, str],
        *,
        link: str,
        fabric: tuple[str, str],
        directory: Path,
        journal: Journal,
    ) -> "Capture":
        """Start tcpdump on `link` in every namespace (by host) and wait until all of them listen.

        `fabric` is the namespace and the bridge that all those links lead to.
        """
        require("tcpdump")
        running = {}
        for host, namespace in namespaces.items():
            number = len(list(directory.glob(f"{host}-*.pcap")))
            file = directory / f"{host}-{number}.pcap"
            command = [
                "tcpdump",
                "-i",
                link,
                "-w",
                str(file),
                "-U",
                "-n",
                "-B",
                str(_BUFFER_KIB),
                "-Z",
                "root",
            ]
            file.touch()
            process = spawn(
                command,
                name=f"{host}/tcpdump",
                journal=journal.path,
                log=file.with_suffix(".log"),
                namespace=namespace,
            )
            running[host] = (process, file)
        for host, (_, file) in running.items():
            log = file.with_suffix(".log")
            wait_until(lambda log=log: "listening on" in log.read_text(), f"tcpdump listens on {host}")  # type: ignore[misc]
        return cls(running, fabric)

    def stop(self) -> dict[str, Path]:
        """End the capture; the pcap file of every host. Raises LabError if the kernel dropped packets.

        tcpdump does not read what waits in the kernel when it is ended: a last frame crosses every link,
        and once it is in a file, so is all that came before.
        """
        marker = os.urandom(32)
        with Wire(*self._fabric) as fabric:
            fabric.send(crafted.ethernet("02:ee:ff:00:00:00", crafted.BROADCAST, _EXPERIMENTAL, marker))
        for host, (_, file) in self._running.items():
            wait_until(partial(_holds, file, marker), f"the capture on {host} has all")
        for host, (process, file) in self._running.items():
            process.kill(signal.SIGINT)
            said = file.with_suffix(".log").read_text()
            dropped = re.search(r"(\d+) packets dropped by kernel", said)
            if dropped is None or dropped[1] != "0":
                raise LabError(f"the capture on {host} is not whole: {said.strip().splitlines()[-1]}")
        return {host: file for host, (_, file) in self._running.items()}


def _holds(file: Path, marker: bytes) -> bool:
    return marker in file.read_bytes()
