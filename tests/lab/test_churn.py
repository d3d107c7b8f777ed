"""Two command lines and three agents create and delete ports at random: nothing twice, nothing left."""

import random
import subprocess
import sys

from plait.intent import audit
from plait.lab import netns
from plait.lab.lab import Lab
from plait.lab.waiting import wait_until

PORTS = 500
CLIENTS = 2
DEVICES = 30
"""A client has so many on each host, so some have to be used again and again."""

# Every call of `run` is what the shell runs: options parsed, the store opened, read, written and closed.
_COMMAND_LINE = """
import random, sys
from plait.cli.main import run

store, me, seed, count, devices = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
choose = random.Random(seed)
free = [(f"h{host}", f"c{me}-{number}") for host in (1, 2, 3) for number in range(devices)]
mine, made = {}, 0
while made < count:
    if mine and (not free or choose.random() < 0.4):
        name = choose.choice(sorted(mine))
        assert run(["--store", store, "port", "delete", name]) == 0
        free.append(mine.pop(name))
        continue
    name, place = f"churn-{me}-{made}", free.pop(choose.randrange(len(free)))
    command = ["port", "create", name, "--network", "churn", "--host", place[0], "--device", place[1]]
    assert run(["--store", store, *command]) == 0
    mine[name] = place
    made += 1
"""


def test_500_ports_created_and_deleted_at_random_leave_no_duplicate_no_leak_and_the_flows_of_a_fresh_compile(
    lab: Lab,
) -> None:
    # Small enough that addresses have to be used again.
    network = lab.network("churn", "10.9.0.0/24", "fd00:9::/64")
    devices = [f"{client}-{number}" for client in range(CLIENTS) for number in range(DEVICES)]
    for host in lab.hosts.values():
        netns.ip_batch(
            (f"link add c{device} type veth peer name p{device}" for device in devices),
            namespace=host.namespace,
        )
    before = _plugged(lab)
    seed = random.randrange(1 << 30)
    clients = []
    for client in range(CLIENTS):
        numbers = map(str, (client, seed + client, PORTS // CLIENTS, DEVICES))
        command = [sys.executable, "-c", _COMMAND_LINE, lab.settings.store_url, *numbers]
        clients.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
    assert [client.wait() for client in clients] == [0] * CLIENTS, f"seed {seed}"

    ports = lab.frontend.run(lambda intent: intent.ports.list(network=network.id))
    assert ports
    addresses = [address for port in ports for address in port.ips]
    for claimed in (addresses, [port.mac for port in ports], [(port.host, port.device) for port in ports]):
        assert len(set(claimed)) == len(claimed), f"seed {seed}"
    lab.frontend.run(lambda intent: intent.ports.wait_all_up(ports, timeout_s=60))
    wanted = {name: here | {str(p.device) for p in ports if p.host == name} for name, here in before.items()}
    wait_until(
        lambda: _plugged(lab) == wanted, f"every device of a port is plugged in, no other, seed {seed}"
    )
    wait_until(lambda: lab.differences() == {}, f"all agents agree with a fresh compile, seed {seed}")
    # What an agent said of a port that was deleted just then it takes back by itself.
    wait_until(lambda: _leaks(lab) == [], f"the store is clean, seed {seed}")

    lab.frontend.run(lambda intent: intent.networks.delete(network.id, cascade=True))
    wait_until(lambda: _plugged(lab) == before, "all devices are unplugged")
    for host in lab.hosts.values():
        netns.ip_batch((f"link del c{device}" for device in devices), namespace=host.namespace)
    wait_until(lambda: lab.differences() == {}, "all agents agree with their switches")
    wait_until(lambda: _leaks(lab) == [], f"the store is clean, seed {seed}")


def _leaks(lab: Lab) -> list[str]:
    return lab.frontend.run(lambda intent: audit(intent.store))


def _plugged(lab: Lab) -> dict[str, set[str]]:
    """The devices in the bridge of every host."""
    return {name: set(host.switch.vsctl("list-ports", "br-int").split()) for name, host in lab.hosts.items()}
