"""tcpdump on underlay links while something happens, and what it saw."""

import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from plait.lab.errors import LabError, require
from plait.lab.journal import Journal
from plait.lab.processes import Process, spawn
from plait.lab.waiting import wait_until

# Room for a second of full link, so that the kernel drops nothing while Python is busy.
_BUFFER_KIB = 65536


@dataclass(slots=True)
class Capture:
    """A running capture, one file a link."""

    _running: dict[str, tuple[Process, Path]]

    @classmethod
    def start(
        cls, namespaces: Mapping[str, str], *, link: str, directory: Path, journal: Journal
    ) -> "Capture":
        """Start tcpdump on `link` in every namespace (by host) and wait until all of them listen."""
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
        return cls(running)

    def stop(self) -> dict[str, Path]:
        """End the capture; the pcap file of every host. Raises LabError if the kernel dropped packets."""
        for host, (process, file) in self._running.items():
            process.kill(signal.SIGINT)
            said = file.with_suffix(".log").read_text()
            dropped = re.search(r"(\d+) packets dropped by kernel", said)
            if dropped is None or dropped[1] != "0":
                raise LabError(f"the capture on {host} is not whole: {said.strip().splitlines()[-1]}")
        return {host: file for host, (_, file) in self._running.items()}
