"""An etcd of one's own, for labs, tests and benchmarks: on free ports, in a directory, ended by its pid."""

import re
import signal
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plait.lab.errors import LabError
from plait.lab.waiting import wait_until

_SERVES = re.compile(rb"serving (insecure )?client")


@dataclass(frozen=True, slots=True)
class ServerTls:
    """PEM files of the server; with `client_ca` it wants a certificate that this authority signed."""

    cert: Path
    key: Path
    client_ca: Path | None = None


class EtcdServer:
    """One etcd server that keeps its data in `directory`; the same data and ports after every start.

    A member of a cluster, if `join` made it. `options` are further flags of etcd, as --auth-token-ttl=10.
    """

    def __init__(self, directory: Path, *, tls: ServerTls | None = None, options: Sequence[str] = ()) -> None:
        self._directory = directory
        self._name = directory.name
        self._tls = tls
        self._options = tuple(options)
        self._client_port, self._peer_port = _free_ports(2)
        self._cluster = f"{self._name}={self._peer_url}"
        self._log = directory / "etcd.log"
        self._log_begins_at = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self._client_port}"

    @property
    def data(self) -> Path:
        """The folder that a backup, taken while it doesn't run, is a copy of."""
        return self._directory / "data"

    @property
    def url(self) -> str:
        """The store URL, without TLS files and login."""
        return f"{'etcd' if self._tls is None else 'etcds'}://{self.endpoint}"

    def start(self) -> None:
        """Returns when clients are served. Raises LabError, with the end of etcd's log, if it ends."""
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Start the process; the first members of a cluster serve only once most of them run."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._log_begins_at = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def wait_ready(self) -> None:
        wait_until(self._serves, f"etcd in {self._directory} serves clients", timeout_s=30)

    def stop(self) -> None:
        """End it in order; nothing happens if it doesn't run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power failure would."""
        self._end(signal.SIGKILL)

    @property
    def _scheme(self) -> str:
        return "http" if self._tls is None else "https"

    @property
    def _peer_url(self) -> str:
        return f"http://127.0.0.1:{self._peer_port}"

    def _command(self) -> list[str]:
        client_url = f"{self._scheme}://{self.endpoint}"
        command = [
            # A test run that is killed must not leave its server behind (setpriv(1)).
            *("setpriv", "--pdeathsig", "KILL", "--"),
            "etcd",
            f"--name={self._name}",
            f"--data-dir={self.data}",
            f"--listen-client-urls={client_url}",
            f"--advertise-client-urls={client_url}",
            f"--listen-peer-urls={self._peer_url}",
            f"--initial-advertise-peer-urls={self._peer_url}",
            f"--initial-cluster={self._cluster}",
            *self._options,
        ]
        if self._tls is not None:
            command += [f"--cert-file={self._tls.cert}", f"--key-file={self._tls.key}"]
            if self._tls.client_ca is not None:
                command += [f"--trusted-ca-file={self._tls.client_ca}", "--client-cert-auth"]
        return command

    def _serves(self) -> bool:
        with self._log.open("rb") as log:
            log.seek(self._log_begins_at)
            text = log.read()
        if self._process is None or self._process.poll() is not None:
            raise LabError(f"etcd in {self._directory} ended: {text[-500:].decode(errors='replace')}")
        return _SERVES.search(text) is not None

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()
            self._process = None

    @staticmethod
    def join(servers: Sequence["EtcdServer"]) -> None:
        """Make one cluster of servers that were never started."""
        cluster = ",".join(f"{server._name}={server._peer_url}" for server in servers)
        for server in servers:
            server._cluster = cluster


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now; all are held while they are searched, so that they differ."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports
