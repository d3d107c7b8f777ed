"""Several processes on one real store: what one of them sees, claims or leaves behind adds up for all."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from plait.intent import Intent, audit
from plait.lab.etcd import EtcdServer
from plait.store.open import open_store

USER = """
import asyncio, random, sys
from plait.intent import Full, Intent, PortSpec
from plait.store.open import open_store

async def main(url, seed, wishes):
    chance = random.Random(seed)
    store = open_store(url)
    intent = Intent(store)
    mine = []
    for number in range(wishes):
        if mine and chance.random() < 0.45:
            await intent.ports.delete(mine.pop(chance.randrange(len(mine))))
        elif chance.random() < 0.2:
            mine += [port.id for port in await intent.ports.create_many([PortSpec(network="n")] * 12)]
        else:
            mine.append((await intent.ports.create(PortSpec(network="n", name=f"{seed}-{number}"))).id)
    print(*mine)
    await store.close()

asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
"""

BULK = """
import asyncio, sys
from plait.intent import Intent, PortSpec
from plait.store.open import open_store

async def main(url):
    intent = Intent(open_store(url))
    specs = [PortSpec(network="n")] * 60000
    await intent.ports.create_many(specs, on_progress=lambda made: print(made, flush=True))

asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture(params=["sqlite", "etcd"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite://{tmp_path}/plait.db"
        return
    server = EtcdServer(tmp_path / "etcd")
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


def process(script: str, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", script, *args], stdout=subprocess.PIPE, text=True)


async def test_processes_that_make_and_delete_ports_share_no_address_and_leak_none(url: str) -> None:
    store = open_store(url)
    await Intent(store).networks.create("n", subnets=["10.0.0.0/22", "fd00::/64"])
    users = [process(USER, url, str(seed), "80") for seed in range(3)]
    kept = [id for user in users for id in user.communicate(timeout=120)[0].split()]
    assert [user.returncode for user in users] == [0, 0, 0]
    ports = await Intent(store).ports.list()
    assert sorted(port.id for port in ports) == sorted(kept)
    assert Counter(Counter(ip for port in ports for ip in port.ips).values()) == {1: 2 * len(ports)}
    assert await audit(store) == []
    await store.close()


async def test_a_process_killed_in_the_middle_of_a_bulk_creation_leaves_whole_ports_only(url: str) -> None:
    store = open_store(url)
    await Intent(store).networks.create("n", subnets=["10.0.0.0/16"])
    bulk = process(BULK, url)
    assert bulk.stdout is not None
    bulk.stdout.readline()
    bulk.kill()
    bulk.communicate()
    left = await Intent(store).ports.list()
    assert 0 < len(left) < 60000
    assert await audit(store) == []
    await Intent(store).networks.delete("n", cascade=True)
    assert await audit(store) == []
    await store.close()
