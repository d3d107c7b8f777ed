"""How fast the stores are, and that they rest when nothing happens.

    bench/run store [--rounds 3] [--engine sqlite --engine etcd]

Measures, on SQLite (each commit on disk, and left to the kernel) and on a single etcd:

commit    one client, one commit after the other: milliseconds each
watch     from before a commit in one process until a watch in another has it: milliseconds each
writers   four processes that write keys of their own as fast as they can: commits a second, all together
counters  four processes that count one key up by compare-and-swap: updates a second, all together
rest      CPU of a process with 50 idle watches: percent of one core
"""

import argparse
import asyncio
import itertools
import os
import random
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, create_subprocess_exec
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from frame.figures import at_most
from frame.record import Record
from plait.lab.etcd import EtcdServer
from plait.store.api import ABSENT, Committed, KeyAt, Put, Store
from plait.store.open import open_store

VALUE = b"x" * 300
COMMITS = 300
WATCHED = 200
WRITERS = 4
WRITES_EACH = 250
COUNTS_EACH = 60
REST_S = 3.0
IDLE_WATCHES = 50
WATCH_GOAL_MS = 20.0

_keys = (f"bench/{number}/" for number in itertools.count())


@asynccontextmanager
async def sqlite(directory: Path, synchronous: str) -> AsyncIterator[str]:
    yield f"sqlite://{directory}/plait.db?synchronous={synchronous}"


@asynccontextmanager
async def etcd(directory: Path) -> AsyncIterator[str]:
    server = EtcdServer(directory / "etcd")
    await asyncio.to_thread(server.start)
    try:
        yield server.url
    finally:
        await asyncio.to_thread(server.stop)


ENGINES = {
    "sqlite": lambda directory: sqlite(directory, "full"),
    "sqlite-normal": lambda directory: sqlite(directory, "normal"),
    "etcd": etcd,
}


async def commit_ms(url: str) -> list[float]:
    store, prefix = open_store(url), next(_keys)
    took = []
    for number in range(COMMITS):
        begun = time.perf_counter()
        await store.commit([KeyAt(f"{prefix}{number}", ABSENT)], [Put(f"{prefix}{number}", VALUE)])
        took.append(1000 * (time.perf_counter() - begun))
    await store.close()
    return took


async def watch_ms(url: str) -> list[float]:
    """The writer stamps every value with the machine's monotonic clock before it commits."""
    store, prefix = open_store(url), next(_keys)
    start = (await store.snapshot(prefix)).revision
    took: list[float] = []
    async with aclosing(store.watch(prefix, start)) as watch:
        writer = await worker("stamp", url, prefix, WATCHED)
        while len(took) < WATCHED:
            batch = await anext(watch)
            heard = time.monotonic_ns()
            took += [(heard - int(change.value or 0)) / 1e6 for change in batch.changes]
        await writer.wait()
    await store.close()
    return took


async def stamp(store: Store, prefix: str, times: int) -> None:
    await store.snapshot(prefix)
    for _ in range(times):
        await asyncio.sleep(random.uniform(0.002, 0.01))
        await store.commit([], [Put(prefix + "now", b"%d" % time.monotonic_ns())])


async def writers_per_s(url: str) -> list[float]:
    return [await together("write", url, WRITES_EACH)]


async def write(store: Store, prefix: str, times: int) -> None:
    for number in range(times):
        await store.commit([], [Put(f"{prefix}{os.getpid()}/{number}", VALUE)])


async def counters_per_s(url: str) -> list[float]:
    return [await together("count", url, COUNTS_EACH)]


async def count(store: Store, prefix: str, times: int) -> None:
    done = 0
    while done < times:
        item = (await store.get([prefix])).items.get(prefix)
        seen, value = (ABSENT, 0) if item is None else (item.revision, int(item.value))
        done += isinstance(
            await store.commit([KeyAt(prefix, seen)], [Put(prefix, b"%d" % (value + 1))]), Committed
        )


async def together(task: str, url: str, each: int) -> float:
    """Commits a second of several processes that begin at the same time."""
    prefix = next(_keys)
    workers = [await worker(task, url, prefix, each) for _ in range(WRITERS)]
    for process in workers:
        assert process.stdout is not None
        await process.stdout.readline()
    begun = time.perf_counter()
    for process in workers:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
    for process in workers:
        await process.wait()
    return WRITERS * each / (time.perf_counter() - begun)


async def rest_percent(url: str) -> list[float]:
    store = open_store(url)
    start = (await store.snapshot("bench/")).revision
    watches = [store.watch(f"bench/idle/{number}/", start) for number in range(IDLE_WATCHES)]
    waiting = [asyncio.ensure_future(anext(watch)) for watch in watches]
    await asyncio.sleep(0.5)
    before = time.process_time()
    await asyncio.sleep(REST_S)
    used_s = time.process_time() - before
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await store.close()
    return [100 * used_s / REST_S]


MEASUREMENTS: dict[str, tuple[str, Callable[[str], Awaitable[list[float]]]]] = {
    "commit": ("ms", commit_ms),
    "watch": ("ms", watch_ms),
    "writers": ("/s", writers_per_s),
    "counters": ("/s", counters_per_s),
    "rest": ("%", rest_percent),
}
TASKS = {"stamp": stamp, "write": write, "count": count}


async def worker(task: str, url: str, prefix: str, times: int) -> asyncio.subprocess.Process:
    return await create_subprocess_exec(
        sys.executable, __file__, "--worker", task, url, prefix, str(times), stdin=PIPE, stdout=PIPE
    )


async def work(task: str, url: str, prefix: str, times: int) -> None:
    store = open_store(url)
    await store.snapshot(prefix)
    if task != "stamp":
        print("ready", flush=True)
        sys.stdin.readline()
    await TASKS[task](store, prefix, times)
    await store.close()


async def measure(engines: Sequence[str], rounds: int) -> None:
    record = Record("store")
    for engine in engines:
        for name, (unit, take) in MEASUREMENTS.items():
            taken: list[float] = []
            for _ in range(rounds):
                with tempfile.TemporaryDirectory() as directory:
                    async with ENGINES[engine](Path(directory)) as url:
                        taken += await take(url)
            goal = at_most(WATCH_GOAL_MS) if name == "watch" else None
            record.add(name, taken, who=engine, unit=unit, goal=goal)


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        task, url, prefix, times = sys.argv[2:]
        asyncio.run(work(task, url, prefix, int(times)))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engine", action="append", choices=sorted(ENGINES))
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.engine or list(ENGINES), arguments.rounds))


if __name__ == "__main__":
    main()
