"""The store of a lab: a SQLite file that all processes share, or a real etcd beside the hosts.

The etcd listens in the fabric, where the agents reach it over the underlay as in a cluster; a relay
lets the rest of the machine in.
"""

import signal
import socket
import sys
from pathlib import Path

from plait.lab.errors import LabError
from plait.lab.journal import Journal
from plait.lab.processes import spawn
from plait.lab.settings import Settings
from plait.lab.waiting import wait_until

ETCD_PORT = 2379
_ETCD = "etcd"


class Storage:
    """Starts and ends what serves a lab's store; of a SQLite file there is nothing to start."""

    def __init__(self, settings: Settings, *, directory: Path, journal: Journal) -> None:
        self._settings = settings
        self._journal = journal
        self._directory = directory / _ETCD
        self._log = directory / "etcd.log"

    def start(self) -> None:
        """Start etcd with what it kept before, and wait until it serves."""
        if self._settings.store != _ETCD:
            return
        log_begins_at = self._log.stat().st_size if self._log.exists() else 0
        address = self._settings.underlay_address(0)
        url = f"http://[{address}]:{ETCD_PORT}" if ":" in address else f"http://{address}:{ETCD_PORT}"
        peer = "http://127.0.0.1:2380"
        process = spawn(
            [
                "etcd",
                "--name=lab",
                f"--data-dir={self._directory}",
                f"--listen-client-urls={url}",
                f"--advertise-client-urls={url}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=lab={peer}",
                # A lab's data need not survive the machine, and its disk is shared with everything else here.
                "--unsafe-no-fsync",
            ],
            name=_ETCD,
            journal=self._journal.path,
            log=self._log,
            namespace=self._settings.fabric,
        )

        def serves() -> bool:
            if not process.alive:
                raise LabError(f"etcd has ended, see {self._log}")
            return b"serving insecure client" in self._log.read_bytes()[log_begins_at:]

        wait_until(serves, f"etcd serves clients, see {self._log}", timeout_s=30)

    def open_to_outside(self, listener: socket.socket) -> None:
        """Let callers of `listener`, a socket outside the lab, through to etcd."""
        address = self._settings.underlay_address(0)
        spawn(
            [sys.executable, "-m", "plait.lab.relay", str(listener.fileno()), address, str(ETCD_PORT)],
            name="relay",
            journal=self._journal.path,
            log=self._log.with_name("relay.log"),
            namespace=self._settings.fabric,
            inherited=(listener.fileno(),),
        )

    def stop(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End etcd. Raises LabError if it does not run, or if the store is a file."""
        process = self._journal.process(_ETCD)
        if process is None:
            raise LabError(
                f"no etcd runs in lab {self._settings.name!r}, its store is {self._settings.store}"
            )
        process.kill(number)
