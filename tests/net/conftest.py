"""Real parts for the tests of the shells: an OVSDB server, and a whole Open vSwitch in its own namespace.

One userspace ovs-vswitchd fits into a network namespace, so each has its own; everything ends by process id.
"""

import contextlib
import ctypes
import datetime
import itertools
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from plait.net.stream import TlsFiles

SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
CLONE_NEWNET = 0x40000000

Key = ec.EllipticCurvePrivateKey

_numbers = itertools.count()


def wait_for(condition: Callable[[], bool], what: str, *, timeout_s: float = 15.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout_s} s"
        time.sleep(0.005)


def run(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


class DatabaseServer:
    """An ovsdb-server on a folder, listening on a unix socket and where else it is told to."""

    def __init__(self, rundir: Path, *arguments: str, prefix: tuple[str, ...] = ()) -> None:
        self.rundir = rundir
        self.target = f"unix:{rundir}/db.sock"
        self._arguments = arguments
        self._prefix = prefix
        self._process: subprocess.Popen[bytes] | None = None
        folders = dict.fromkeys(("OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR"), str(rundir))
        self.env = {**os.environ, **folders}
        run("ovsdb-tool", "create", rundir / "conf.db", SCHEMA)

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                *self._prefix, "ovsdb-server", f"{self.rundir}/conf.db",
                f"--remote=p{self.target}", f"--unixctl={self.rundir}/ovsdb-server.ctl",
                f"--log-file={self.rundir}/ovsdb-server.log", "-vconsole:off", *self._arguments,
            ],
            env=self.env,
        )  # fmt: skip
        wait_for(self._answers, "ovsdb-server's answer")

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def vsctl(self, *arguments: str) -> str:
        return run("ovs-vsctl", f"--db={self.target}", "--no-wait", *arguments)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(f"{self.rundir}/db.sock") == 0


class Switch(DatabaseServer):
    """An Open vSwitch in its own network namespace, on the userspace datapath."""

    def __init__(self, rundir: Path) -> None:
        self.netns = f"pt{os.getpid()}n{next(_numbers)}"
        self._inside = ("ip", "netns", "exec", self.netns)
        self._vswitchd: subprocess.Popen[bytes] | None = None
        super().__init__(rundir, prefix=self._inside)
        run("ip", "netns", "add", self.netns)
        run("ip", "-n", self.netns, "link", "set", "lo", "up")
        # Or a veth would itself answer ARP requests for the address of a bridge.
        run(*self._inside, "sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1")

    def start_vswitchd(self) -> None:
        self._vswitchd = subprocess.Popen(
            [
                *self._inside, "ovs-vswitchd", self.target, f"--unixctl={self.rundir}/ovs-vswitchd.ctl",
                f"--pidfile={self.rundir}/ovs-vswitchd.pid",
                f"--log-file={self.rundir}/ovs-vswitchd.log", "-vconsole:off",
            ],
            env=self.env,
        )  # fmt: skip

    def kill_vswitchd(self) -> None:
        if self._vswitchd is not None:
            self._vswitchd.kill()
            self._vswitchd.wait(10)
            self._vswitchd = None

    def end(self) -> None:
        self.kill_vswitchd()
        self.kill()
        run("ip", "netns", "del", self.netns)

    def ip(self, *arguments: str) -> str:
        return run("ip", "-n", self.netns, *arguments)

    def add_veths(self, *names: str) -> None:
        for name in names:
            self.ip("link", "add", name, "type", "veth", "peer", "name", f"{name}p")

    def ofctl(self, command: str, bridge: str, *arguments: str) -> str:
        return run("ovs-ofctl", "-O", "OpenFlow14", command, f"unix:{self.rundir}/{bridge}.mgmt", *arguments)

    @contextlib.contextmanager
    def endpoint(self, device: str, address: str) -> Iterator["Endpoint"]:
        """A namespace behind a new veth `device`; the device goes with it."""
        netns = f"{self.netns}e"
        run("ip", "netns", "add", netns)
        try:
            self.add_veths(device)
            self.ip("link", "set", f"{device}p", "netns", netns)
            self.ip("link", "set", device, "up")
            run("ip", "-n", netns, "address", "add", address, "dev", f"{device}p")
            run("ip", "-n", netns, "link", "set", f"{device}p", "up")
            yield Endpoint(netns)
        finally:
            self.ip("link", "del", device)
            run("ip", "netns", "del", netns)

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """This thread is in the switch's namespace; no await within."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/thread-self/ns/net") as home, open(f"/var/run/netns/{self.netns}") as away:
            assert libc.setns(away.fileno(), CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            try:
                yield
            finally:
                assert libc.setns(home.fileno(), CLONE_NEWNET) == 0


class Endpoint:
    """Something that sends and receives in its own namespace."""

    def __init__(self, netns: str) -> None:
        self._netns = netns

    def ping(self, address: str) -> None:
        """Ping until one answer comes."""
        run("ip", "netns", "exec", self._netns, "ping", "-c", "1", "-w", "15", "-i", "0.2", address)


def _require(*programs: str) -> None:
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (apt-get install openvswitch-switch iproute2)")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[DatabaseServer]:
    """An ovsdb-server alone."""
    _require("ovsdb-server", "ovsdb-tool", "ovs-vsctl")
    server = DatabaseServer(tmp_path)
    server.start()
    server.vsctl("init")
    yield server
    server.kill()


@pytest.fixture
def start_database(tmp_path: Path) -> Iterator[Callable[..., DatabaseServer]]:
    """Starts an ovsdb-server with more arguments."""
    _require("ovsdb-server", "ovsdb-tool", "ovs-vsctl")
    servers: list[DatabaseServer] = []

    def start(*arguments: str) -> DatabaseServer:
        server = DatabaseServer(tmp_path, *arguments)
        servers.append(server)
        server.start()
        server.vsctl("init")
        return server

    yield start
    for server in servers:
        server.kill()


@pytest.fixture
def switch(tmp_path: Path) -> Iterator[Switch]:
    """A whole Open vSwitch, running, with an empty database."""
    _require("ovs-vswitchd", "ovsdb-server", "ip")
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    switch = Switch(tmp_path)
    switch.start()
    switch.start_vswitchd()
    yield switch
    switch.end()


@pytest.fixture
def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def make_tls(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., TlsFiles]:
    """Certificates signed by one authority (or by another one), as PEM files."""
    folder = tmp_path_factory.mktemp("tls")
    authorities: dict[str, tuple[x509.Name, Key]] = {}

    def write(name: str, data: bytes) -> str:
        (folder / name).write_bytes(data)
        return str(folder / name)

    def sign(subject: str, key: Key, issuer: tuple[x509.Name, Key] | None) -> bytes:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
        issuer_name, issuer_key = issuer or (name, key)
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        )
        return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def make(name: str, authority: str = "ca") -> TlsFiles:
        if authority not in authorities:
            key = ec.generate_private_key(ec.SECP256R1())
            write(f"{authority}.pem", sign(authority, key, None))
            authorities[authority] = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, authority)]), key
        key = ec.generate_private_key(ec.SECP256R1())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return TlsFiles(
            ca=str(folder / f"{authority}.pem"),
            certificate=write(f"{authority}-{name}.pem", sign(name, key, authorities[authority])),
            private_key=write(f"{authority}-{name}-key.pem", private),
        )

    return make
