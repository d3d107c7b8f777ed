"""How fast flows are compiled, on one core and without a switch.

    bench/run compile [--ports 10000] [--runs 9]

Claim: at least 100,000 flows/s when everything is compiled, and at most 1 ms of CPU when one port changes,
with 10,000 ports in 100 networks. One view has all ports on other hosts, one has a tenth of them here and one
has all of them here, so that every kind of flow counts; a port has an IPv4 and an IPv6 address.

An incremental change is what the agent does for one event of the store: view, compile, and the difference to
the switch; a far port that comes, one that moves, a port of this host that is plugged in.
"""

import argparse
import gc
import time
from collections.abc import Callable, Iterator

from frame.figures import at_least, at_most
from frame.record import Record
from plait.agent.engine import Engine
from plait.compile import compile_all
from plait.model.entities import Endpoint, FixedAddress, LiveHost, Network, Port, Transport
from plait.model.facets import Attachment, Change, Tunnels
from plait.model.view import View

HERE = "h1"
NETWORKS = 100
HOSTS = 50
CHANGES = 300
GOAL_FLOWS_PER_S = 100_000
GOAL_MS = 1.0


def host(number: int) -> str:
    return f"h{2 + number % HOSTS}"


def addresses(number: int) -> tuple[str, str]:
    turn = number // NETWORKS
    return f"10.{number % NETWORKS}.{turn >> 8}.{turn & 255}", f"fd00:{number % NETWORKS:x}::{turn + 1:x}"


def mac(number: int) -> str:
    return f"02:00:00:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"


def far(number: int, *, at: str | None = None, sequence: int = 0) -> Change:
    """Port `number` lives on another host."""
    id, network = f"p{number}", f"n{number % NETWORKS}"
    where = at or host(number // NETWORKS)
    record = Endpoint(
        network=network, port=id, mac=mac(number), host=where, ips=addresses(number), sequence=sequence
    )
    return Change(Endpoint, id, record)


def here(number: int) -> tuple[Change, Change]:
    """Port `number` lives on this host and is plugged in."""
    id, network = f"p{number}", f"n{number % NETWORKS}"
    fixed = tuple(FixedAddress("s", address) for address in addresses(number))
    port = Port(id=id, name=id, network=network, mac=mac(number), addresses=fixed, host=HERE)
    return Change(Port, id, port), Change(Attachment, id, Attachment(id, number + 1))


def world(ports: int, local: int) -> Iterator[Change]:
    """All changes that lead to a host with `ports` ports in its networks, `local` of them its own."""
    yield Change(Tunnels, "", Tunnels(tuple((each, 65001 + n) for n, each in enumerate(Transport))))
    for number in range(NETWORKS):
        id = f"n{number}"
        yield Change(Network, id, Network(id=id, name=id, vni=4096 + number))
    for name in (HERE, *map(host, range(HOSTS))):
        yield Change(LiveHost, name, LiveHost(name=name, vtep=f"172.16.0.{name[1:]}"))
    for number in range(ports):
        if number < local:
            yield from here(number)
        else:
            yield far(number)


def full(record: Record, ports: int, local: int, runs: int) -> None:
    view = View(HERE)
    view.apply(world(ports, local))
    rates = []
    for run in range(runs + 1):
        gc.collect()
        began = time.perf_counter()
        compiler = compile_all(view)
        took_s = time.perf_counter() - began
        if run:
            rates.append(len(compiler.flows) / took_s)
    at = f"{ports:,} ports, {local:,} here; {len(compiler.flows):,} flows"
    record.add("full compile", rates, at=at, unit="flows/s", goal=at_least(GOAL_FLOWS_PER_S))


def incremental(record: Record, ports: int, local: int) -> None:
    engine = Engine(HERE)
    engine.change(world(ports, local))
    engine.open_gate()
    while engine.switch.take(10_000):
        engine.switch.committed()
    kinds: dict[str, Callable[[int], tuple[Change, ...]]] = {
        "a far port comes": lambda n: (far(ports + n),),
        "a far port moves": lambda n: (far(ports - 1 - n, at="h2", sequence=n + 1),),
        "an own port is plugged in": lambda n: here(ports + CHANGES + n),
    }
    for what, change in kinds.items():
        took = []
        for number in range(CHANGES):
            changes = change(number)
            began = time.process_time_ns()
            engine.change(changes)
            engine.switch.take(1000)
            engine.switch.committed()
            took.append((time.process_time_ns() - began) / 1e6)
        record.add(f"incremental, {what}", took, at=f"{ports:,} ports", unit="ms CPU", goal=at_most(GOAL_MS))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ports", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=9)
    options = parser.parse_args()
    record = Record("compile")
    for local in (0, options.ports // 10, options.ports):
        full(record, options.ports, local, options.runs)
    incremental(record, options.ports, options.ports // 10)


if __name__ == "__main__":
    main()
