"""What contracts are held against: engines with stores on them, certificates for them, and reach planes."""

import asyncio
import datetime
import ipaddress
import itertools
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from plait.lab.etcd import EtcdServer
from plait.reach.api import Interest, Reach
from plait.store.api import Revision, Store
from plait.store.memory import MemoryStore
from plait.store.open import open_store

from .reach_clusters import PLANES, Cluster, Listener, WatchCluster, in_memory

PROGRAMS = Path(__file__).parent / "programs"


class CompactableStore(Store, Protocol):
    """What every driver can do beyond the contract: forget, so that a test needn't wait for it."""

    async def compact(self, revision: Revision) -> None: ...


class Engine:
    """Where the stores of one test stand: `open` gives one more client of the same data."""

    def __init__(self, name: str, url: str | None, make: Callable[[], Store]) -> None:
        self.name = name
        self.url = url
        self.make = make
        self.opened: list[Store] = []

    def open(self) -> CompactableStore:
        store = self.make()
        self.opened.append(store)
        return store  # type: ignore[return-value]


_roots = itertools.count()


@pytest.fixture(scope="session")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    """A server that the tests share; who kills or compacts it for others too, starts one of their own."""
    server = EtcdServer(tmp_path_factory.mktemp("etcd"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EtcdServer]:
    """A server of this test's own."""
    server = EtcdServer(tmp_path / "etcd")
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def opened() -> AsyncIterator[Callable[[Store], Store]]:
    """Closes at the end what a test opens."""
    stores: list[Store] = []

    def opened(store: Store) -> Store:
        stores.append(store)
        return store

    yield opened
    for store in stores:
        await store.close()


@pytest.fixture
def root() -> str:
    """A prefix of this test's own: tests share one etcd."""
    return f"test{next(_roots)}/"


@pytest.fixture(params=["memory", "sqlite", "etcd"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engine]:
    match request.param:
        case "memory":
            only = MemoryStore()
            engine = Engine("memory", None, lambda: only)
        case "sqlite":
            url = f"sqlite://{tmp_path}/plait.db"
            engine = Engine("sqlite", url, lambda: open_store(url))
        case _:
            url = request.getfixturevalue("etcd").url
            engine = Engine("etcd", url, lambda: open_store(url))
    yield engine
    for store in engine.opened:
        await store.close()


@pytest.fixture
async def store(engine: Engine) -> CompactableStore:
    return engine.open()


@pytest.fixture
async def run() -> AsyncIterator[Callable[..., Awaitable[Process]]]:
    """Starts one of `programs/`; who still runs at the end is killed."""
    started: list[Process] = []

    async def run(program: str, *arguments: str) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, PROGRAMS / program, *arguments, stdout=PIPE
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()


class Authority:
    """Signs certificates for 127.0.0.1 and keeps everything as PEM files in one directory."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, directory.name)])
        certificate = (
            self._begin(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.ca = directory / "ca.pem"
        self.ca.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str) -> tuple[Path, Path]:
        """The files of a new certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        certificate = (
            self._begin(subject, key)
            .add_extension(x509.SubjectAlternativeName([address]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        cert_path, key_path = self._directory / f"{name}.pem", self._directory / f"{name}.key"
        cert_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return cert_path, key_path

    def _begin(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture
def stranger(tmp_path: Path) -> Authority:
    """An authority that nobody trusts."""
    return Authority(tmp_path / "stranger")


@pytest.fixture(params=PLANES)
async def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Cluster]:
    """Hosts that share a plane, for each plane there is."""
    cluster = PLANES[request.param](tmp_path)
    yield cluster
    await cluster.close()


@pytest.fixture
def watched(tmp_path: Path) -> WatchCluster:
    """Hosts that share the plane "watch"."""
    return in_memory(tmp_path)


@pytest.fixture
async def listen() -> AsyncIterator[Callable[..., Listener]]:
    """Listen to a plane, in some networks, until the test ends."""
    async with AsyncExitStack() as stack:

        def start(plane: Reach, *networks: str) -> Listener:
            interest = Interest()
            interest.set(frozenset(networks))
            listener = Listener(plane, interest)
            stack.push_async_callback(listener.stop)
            return listener

        yield start
