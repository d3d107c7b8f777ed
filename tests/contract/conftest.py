"""The engines that the store contract is held against, and stores on them."""

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from plait.lab.etcd import EtcdServer
from plait.store.api import Revision, Store
from plait.store.memory import MemoryStore
from plait.store.open import open_store


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
