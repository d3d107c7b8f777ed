"""Three hosts with an etcd, minutes of random work and trouble, then silence and an audit of everything.

    python -m tests.soak [--minutes 3] [--seed 1] [--rounds-s 20] [--without "stop store" ...]

Prints its seed. A run has rounds: trouble for `--round-s`, then all faults end, and within 60 s all of this
has to hold: the store is sound, every port is up, every agent agrees with a fresh compile and its switch,
every pair of a network answers and no pair across networks does. The lab of a failed run is left standing.
"""

import argparse
import os
import random
import sys
import time

from tests.soak.faults import AGENT, Faults
from tests.soak.users import Users

from plait.intent import Intent, IntentError, audit
from plait.lab.endpoint import Endpoint
from plait.lab.errors import LabError
from plait.lab.lab import Lab
from plait.lab.pinger import Pinger
from plait.lab.waiting import wait_until
from plait.model.entities import PortState
from plait.store.api import StoreError

SETTLE_S = 60.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--round-s", type=float, default=25.0)
    parser.add_argument("--containers", type=int, default=15)
    parser.add_argument("--without", action="append", default=[], help="a fault that is left out")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    lab = Lab.up(f"soak-{os.getpid()}", hosts=3, store="etcd", stands=True)
    try:
        _run(lab, options)
    except (LabError, IntentError, StoreError, AssertionError) as error:
        print(f"FAILED with seed {options.seed}: {error}\nthe lab stands: plait lab down --name {lab.name}")
        lab.close()
        return 1
    except BaseException:
        lab.down()
        raise
    lab.down()
    return 0


def _run(lab: Lab, options: argparse.Namespace) -> None:
    choose = random.Random(options.seed)
    users = Users(lab, choose, options.containers)
    faults = Faults(lab, choose, tolerate=frozenset(options.without))
    lab.start_agents(**AGENT)
    users.begin()
    until = time.monotonic() + 60 * options.minutes
    number = 0
    while time.monotonic() < until:
        number += 1
        round_ends = time.monotonic() + options.round_s
        while time.monotonic() < round_ends:
            dice = choose.random()
            act = users.act if dice < 0.8 else faults.begin if dice < 0.9 else faults.end_one
            _say(act())
            # Some things happen at once, between others there is time for leases to run out.
            time.sleep(choose.choice((0, 0, 0.1, 0.3, 1.0)))
        _say("silence")
        faults.end_all()
        _judge(lab, users)
        _say(f"round {number} is sound: {len(users.containers)} containers")


def _judge(lab: Lab, users: Users) -> None:
    lab.start_agents(timeout_s=SETTLE_S, **AGENT)
    users.settle()

    _holds("every port is up", lambda: lab.frontend.run(lambda intent: _not_up(intent, users)))
    _holds("the store is sound", lambda: lab.frontend.run(lambda intent: audit(intent.store)))
    _holds("agents, fresh compiles and switches agree", lab.differences)
    _holds("who shall reach each other does", lambda: _unreached(users.by_network()))
    crossed = _crossed(users.by_network())
    assert not crossed, f"reached across networks: {crossed}"


def _holds(what: str, wrong: "object") -> None:
    """`wrong()` becomes empty within the time to settle."""
    assert callable(wrong)
    last: object = None

    def nothing() -> bool:
        nonlocal last
        last = wrong()
        return not last

    try:
        wait_until(nothing, what, timeout_s=SETTLE_S, every_s=0.2)
    except LabError as error:
        raise AssertionError(f"{error}: {last}") from None


async def _not_up(intent: Intent, users: Users) -> list[str]:
    """Ports whose agent did not say `up`, and what it says; an error may pass."""
    ports = list(users.ports.values())
    said = await intent.ports.statuses(ports)
    return [
        f"{port.name} on {port.host}: {status.reason if (status := said.get(port.id)) else 'nothing said'}"
        for port in ports
        if port.id not in said or said[port.id].state is not PortState.UP
    ]


def _unreached(networks: dict[str, list[Endpoint]]) -> list[str]:
    return [
        f"{one.name} reaches only {got} of {len(others)} in {network}"
        for network, members in networks.items()
        for one in members
        if (others := [other.address for other in members if other is not one])
        and (got := _answered(one, others)) < len(others)
    ]


def _crossed(networks: dict[str, list[Endpoint]]) -> list[str]:
    """Addresses that only other networks have must be silent."""
    crossed: list[str] = []
    for network, members in networks.items():
        own = {member.address for member in members}
        foreign = sorted(
            {other.address for name, others in networks.items() if name != network for other in others} - own
        )
        crossed += [
            f"{one.name} of {network} got answers from {foreign}"
            for one in members
            if foreign and _answered(one, foreign)
        ]
    return crossed


def _answered(one: Endpoint, addresses: list[str]) -> int:
    return Pinger(one.namespace, addresses, interval_s=0.002).run(count=len(addresses), wait_s=0.3).received


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
