"""Two command lines and three agents create and delete ports at random: nothing twice, nothing left."""

import random
import subprocess
import sys

from tests.lab.conftest import MakeNetwork

from plait.intent import audit
from plait.lab.lab import Lab
from plait.lab.waiting import wait_until

PORTS = 500

_CLIENT = """
import asyncio, random, sys
from plait.intent import Intent, PortSpec
from plait.store.open import open_store

async def main(url, network, seed, count):
    choose = random.Random(seed)
    store = open_store(url)
    intent = Intent(store)
    mine = []
    while count:
        if mine and choose.random() < 0.4:
            await intent.ports.delete(mine.pop(choose.randrange(len(mine))).id)
            continue
        host = f"h{choose.randint(1, 3)}"
        mine.append(await intent.ports.create(PortSpec(network=network, host=host)))
        count -= 1
    print(len(mine))
    await store.close()

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
"""


def test_500_ports_created_and_deleted_at_random_leave_no_duplicate_no_leak_and_the_flows_of_a_fresh_compile(
    lab: Lab, network: MakeNetwork
) -> None:
    # Small enough that addresses have to be used again.
    of = lab.network("churn", "10.9.0.0/23")
    seed = random.randrange(1 << 30)
    clients = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                _CLIENT,
                lab.settings.store_url,
                of.id,
                str(seed + number),
                str(PORTS // 2),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    left = sum(int(client.communicate()[0]) for client in clients)
    assert [client.returncode for client in clients] == [0, 0], f"seed {seed}"
    ports = lab.frontend.run(lambda intent: intent.ports.list(network=of.id))
    assert len(ports) == left
    for of_all in ([port.ips for port in ports], [port.mac for port in ports], [port.id for port in ports]):
        assert len(set(of_all)) == left, f"seed {seed}"
    assert lab.frontend.run(lambda intent: audit(intent.store)) == []
    wait_until(
        lambda: lab.differences() == {}, f"all agents agree with a fresh compile, seed {seed}", timeout_s=60
    )
    lab.frontend.run(lambda intent: intent.networks.delete(of.id, cascade=True))
    assert lab.frontend.run(lambda intent: audit(intent.store)) == []
    wait_until(lambda: lab.differences() == {}, "all agents agree with their switches")
