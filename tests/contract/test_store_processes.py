"""What the engines that processes share must do when there are several of them, and when one dies."""

import signal
from contextlib import aclosing

import pytest

from plait.store.api import Change

# A store in memory has no second process.
pytestmark = pytest.mark.parametrize("engine", ["sqlite", "etcd"], indirect=True)


async def test_processes_that_count_up_one_key_lose_no_update(engine, root, run):
    times, processes = 50, 4
    store = engine.open()
    counting = [await run("count_up.py", engine.url, root + "n", str(times)) for _ in range(processes)]
    assert [await process.wait() for process in counting] == [0] * processes
    item = (await store.get([root + "n"])).items[root + "n"]
    assert item.value == b"%d" % (times * processes)


async def test_a_watch_hears_every_commit_of_other_processes_once_and_in_order(engine, root, run):
    times, processes = 30, 3
    store = engine.open()
    start = (await store.snapshot(root)).revision
    counting = [await run("count_up.py", engine.url, root + "n", str(times)) for _ in range(processes)]
    async with aclosing(store.watch(root, start)) as watch:
        heard: list[Change] = []
        while len(heard) < times * processes:
            heard += (await anext(watch)).changes
    assert [int(change.value) for change in heard] == list(range(1, times * processes + 1))
    for process in counting:
        await process.wait()


async def test_a_writer_killed_at_any_moment_leaves_whole_commits_and_all_that_it_acknowledged(
    engine, root, run
):
    store = engine.open()
    for round_ in range(4):
        prefix = f"{root}{round_}/"
        writer = await run("write_rows.py", engine.url, prefix)
        acknowledged = 0
        while acknowledged < 10 + 7 * round_:
            acknowledged = int(await writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        rest = (await writer.communicate())[0].split()
        snapshot = await store.snapshot(prefix)
        values = {int(item.value) for item in snapshot.items.values()}
        assert len(snapshot.items) == 10
        assert len(values) == 1
        assert values.pop() >= max([acknowledged, *map(int, rest)])
        assert len({item.revision for item in snapshot.items.values()}) == 1


async def test_the_lease_of_a_killed_process_ends_by_itself(engine, root, run):
    store = engine.open()
    start = (await store.snapshot(root)).revision
    async with aclosing(store.watch(root, start)) as watch:
        owner = await run("hold_lease.py", engine.url, root + "a")
        assert await owner.stdout.readline() == b"held\n"
        owner.kill()
        changes: list[Change] = []
        while Change(root + "a", None) not in changes:
            changes += (await anext(watch)).changes
    assert not (await store.snapshot(root)).items
