"""What only the etcd driver can meet: lost servers, slow readers, clusters."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from plait.lab.etcd import EtcdServer
from plait.store.api import (
    ABSENT,
    Batch,
    Change,
    Committed,
    Compacted,
    Delete,
    KeyAt,
    Put,
    Revision,
    Store,
    StoreUnavailable,
)
from plait.store.etcd import EtcdStore
from plait.store.open import open_store


async def put(store: Store, key: str, value: bytes = b"v") -> Revision:
    committed = await store.commit([], [Put(key, value)])
    assert isinstance(committed, Committed)
    return committed.revision


async def to_the_end(batches: AsyncIterator[Batch]) -> int:
    return len([batch async for batch in batches])


async def test_a_watch_goes_on_where_it_stood_when_a_killed_server_returns(server, opened):
    watching, writing = opened(open_store(server.url)), opened(open_store(server.url))
    async with aclosing(watching.watch("a", Revision(1))) as watch:
        await put(writing, "a1")
        assert (await anext(watch)).changes == (Change("a1", b"v"),)
        hearing = asyncio.ensure_future(anext(watch))
        for number in range(2, 4):
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            await put(writing, f"a{number}")
            assert (await hearing).changes == (Change(f"a{number}", b"v"),)
            hearing = asyncio.ensure_future(anext(watch))
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)
    assert set((await watching.snapshot("a")).items) == {"a1", "a2", "a3"}


async def test_many_prefixes_take_few_requests_and_no_answer_holds_more_than_a_page(server, opened):
    store = opened(EtcdStore([server.endpoint]))
    for start in range(0, 1600, 100):
        await store.commit([], [Put(f"{number % 400}/{number}", b"") for number in range(start, start + 100)])
    large = ["a/", "b/", "c/", "d/"]
    for start in range(0, 300, 100):
        for prefix in large:
            await store.commit([], [Put(f"{prefix}{number}", b"") for number in range(start, start + 100)])
    answers: list[int] = []
    ask = store._client.ask

    async def counted(method, question):
        answer = await ask(method, question)
        answers.append(sum(len(response.response_range.kvs) for response in answer.responses))
        return answer

    store._client.ask = counted
    found = await store.snapshots([*(f"{number}/" for number in range(400)), *large])
    assert [len(each.items) for each in found] == [4] * 400 + [300] * 4
    assert sum(answers) == 2800
    assert max(answers) <= 100
    assert len(answers) <= 40


async def test_hundreds_of_watches_begin_although_their_server_dies_meanwhile(server, opened):
    watching = opened(EtcdStore([server.endpoint], patience_s=60))
    writing = opened(EtcdStore([server.endpoint], timeout_s=60))
    prefixes = [f"{number}/" for number in range(300)]
    revision = await put(writing, "before")

    async def first(prefix: str) -> Batch:
        async with aclosing(watching.watch(prefix, revision)) as watch:
            return await anext(watch)

    hearing = [asyncio.ensure_future(first(prefix)) for prefix in prefixes]
    async with asyncio.timeout(20):
        while not 0 < len(watching._watches._unanswered) < 250:  # noqa: ASYNC110 - nobody says so
            await asyncio.sleep(0)
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)
    for start in range(0, 300, 100):
        await writing.commit([], [Put(f"{prefix}x", b"v") for prefix in prefixes[start : start + 100]])
    async with asyncio.timeout(60):
        batches = await asyncio.gather(*hearing)
    assert [batch.changes for batch in batches] == [(Change(f"{prefix}x", b"v"),) for prefix in prefixes]


async def test_what_was_committed_before_a_kill_is_there_after_it(server, opened):
    store = opened(open_store(server.url))
    revision = await put(store, "a", b"kept")
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)
    item = (await store.get(["a"])).items["a"]
    assert (item.value, item.revision) == (b"kept", revision)


class Relay:
    """A way to a server that can be cut and mended."""

    def __init__(self, server: EtcdServer) -> None:
        self._host, self._port = server.endpoint.split(":")
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.swallows_answers = False
        self._silent: set[asyncio.StreamWriter] = set()

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._join, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._writers = []

    def fall_silent(self) -> None:
        """Swallow everything on the connections that stand, without closing them; new ones work."""
        self._silent.update(self._writers)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
        self._writers += [writer, far_writer]
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._pass_on(source, sink, is_answer=source is far_reader))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass_on(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_answer: bool
    ) -> None:
        while data := await source.read(65536):
            if sink not in self._silent and not (is_answer and self.swallows_answers):
                sink.write(data)
        sink.close()


async def test_a_watch_that_was_cut_off_resumes_and_says_if_history_was_forgotten_meanwhile(server, opened):
    relay = Relay(server)
    await relay.mend()
    near, far = opened(EtcdStore([server.endpoint])), opened(EtcdStore([f"127.0.0.1:{relay.port}"]))
    async with aclosing(far.watch("a", Revision(1))) as watch:
        await put(near, "a1")
        assert (await anext(watch)).changes == (Change("a1", b"v"),)
        hearing = asyncio.ensure_future(anext(watch))
        await relay.cut()
        await put(near, "a2")
        await relay.mend()
        assert (await hearing).changes == (Change("a2", b"v"),)
        hearing = asyncio.ensure_future(anext(watch))
        await relay.cut()
        await put(near, "a3")
        await near.compact(await put(near, "b"))
        await relay.mend()
        with pytest.raises(Compacted, match="snapshot"):
            await hearing
    await far.close()
    await relay.cut()


async def test_a_watch_notices_that_its_connection_has_died_without_a_word(server, opened):
    relay = Relay(server)
    await relay.mend()
    near, far = opened(EtcdStore([server.endpoint])), opened(EtcdStore([f"127.0.0.1:{relay.port}"]))
    async with aclosing(far.watch("a", Revision(1))) as watch:
        await put(near, "a1")
        await anext(watch)
        relay.fall_silent()
        await put(near, "a2")
        assert (await anext(watch)).changes == (Change("a2", b"v"),)
    await far.close()
    await relay.cut()


async def test_lost_streams_leave_no_task_behind(server, opened):
    relay = Relay(server)
    await relay.mend()
    near, far = opened(EtcdStore([server.endpoint])), EtcdStore([f"127.0.0.1:{relay.port}"])
    await put(near, "a")
    before = asyncio.all_tasks()
    async with aclosing(far.watch("a", Revision(1))) as watch:
        await anext(watch)
        for _ in range(3):
            await relay.cut()
            await relay.mend()
            await put(near, "a")
            await anext(watch)
    await far.close()
    await relay.cut()
    if left := asyncio.all_tasks() - before:
        await asyncio.wait(left)


async def test_a_commit_whose_answer_is_lost_is_unknown_and_never_sent_twice(server, opened):
    relay = Relay(server)
    await relay.mend()
    near = opened(EtcdStore([server.endpoint]))
    far = opened(EtcdStore([f"127.0.0.1:{relay.port}", server.endpoint], timeout_s=2))
    far._client._at = 0
    before = (await far.snapshot("a")).revision
    relay.swallows_answers = True
    committing = asyncio.ensure_future(far.commit([], [Put("a", b"")]))
    async with aclosing(near.watch("a", before)) as watch:
        await anext(watch)
    await relay.cut()
    with pytest.raises(StoreUnavailable):
        await committing
    assert (await far.snapshot("a")).revision == before + 1


async def test_a_server_that_nobody_runs_is_named_with_the_way_out(server, opened):
    server.stop()
    store = opened(EtcdStore([server.endpoint], timeout_s=1))
    for ask in (store.snapshot("a"), store.grant(5), store.commit([], [Put("a", b"")])):
        with pytest.raises(StoreUnavailable) as caught:
            await ask
        assert str(caught.value) == (
            f"etcd can't be reached ({server.endpoint}: connection refused): "
            "check that etcd runs and that the store URL is right"
        )


async def test_a_server_that_accepts_and_says_nothing_is_unavailable_after_the_timeout(opened):
    silent = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    store = opened(EtcdStore([f"127.0.0.1:{port}"], timeout_s=0.5))
    with pytest.raises(StoreUnavailable, match=str(port)):
        await store.snapshot("a")
    silent.close()


async def test_a_watch_gives_up_when_the_server_stays_away_and_can_be_begun_again(server, opened):
    store = opened(EtcdStore([server.endpoint], timeout_s=0.3, patience_s=0.5))
    revision = await put(store, "a")
    async with aclosing(store.watch("a", Revision(revision - 1))) as watch:
        await anext(watch)
        await asyncio.to_thread(server.kill)
        with pytest.raises(StoreUnavailable, match="connection refused"):
            await anext(watch)
    await asyncio.to_thread(server.start)
    async with aclosing(store.watch("a", revision)) as watch:
        later = await put(store, "a")
        assert (await anext(watch)).revision == later


async def test_a_slow_reader_is_not_buffered_for_and_misses_nothing(server, opened):
    writing = opened(EtcdStore([server.endpoint]))
    reading = opened(EtcdStore([server.endpoint], buffer_bytes=20_000))
    async with (
        aclosing(reading.watch("a", Revision(1))) as watch,
        aclosing(reading.watch("a/end", Revision(1))) as quick,
    ):
        end = asyncio.ensure_future(anext(quick))
        await put(writing, "a/first")
        heard = list((await anext(watch)).changes)
        for number in range(300):
            await put(writing, f"a/{number:03}", bytes(1000))
        await put(writing, "a/end")
        # The stream has passed everything on by the time that the other watch hears of the end.
        assert (await end).changes == (Change("a/end", b"v"),)
        held = sum(each._buffered_bytes for each in reading._watches._watches.values())
        assert held < 30_000
        while heard[-1].key != "a/end":
            heard += (await anext(watch)).changes
    assert [change.key for change in heard] == [
        "a/first",
        *(f"a/{number:03}" for number in range(300)),
        "a/end",
    ]


async def test_a_slow_reader_whose_history_is_forgotten_is_told_so(server, opened):
    store = opened(EtcdStore([server.endpoint], buffer_bytes=5_000))
    async with (
        aclosing(store.watch("a", Revision(1))) as watch,
        aclosing(store.watch("end", Revision(1))) as quick,
    ):
        end = asyncio.ensure_future(anext(quick))
        await put(store, "a/first")
        await anext(watch)
        for number in range(50):
            await put(store, f"a/{number}", bytes(1000))
        last = await put(store, "end")
        await end
        await store.compact(last)
        with pytest.raises(Compacted, match="snapshot"):
            await to_the_end(watch)


async def test_commits_that_come_in_fragments_are_put_together(server, opened):
    store = opened(EtcdStore([server.endpoint]))
    for number in range(8):
        await store.commit([], [Put(f"a{column}", bytes([number]) * 9_000) for column in range(100)])
    async with aclosing(store.watch("a", Revision(1))) as watch:
        heard: list[Change] = []
        while len(heard) < 800:
            batch = await anext(watch)
            assert len(batch.changes) % 100 == 0
            heard += batch.changes
    assert [change.value[0] for change in heard] == [number for number in range(8) for _ in range(100)]


async def test_a_deletion_at_the_very_revision_of_a_compaction_is_not_lost(server, opened):
    store = opened(EtcdStore([server.endpoint]))
    await put(store, "a")
    deleted = await store.commit([], [Delete("a")])
    assert isinstance(deleted, Committed)
    await store.compact(deleted.revision)
    async with aclosing(store.watch("", Revision(deleted.revision - 1))) as watch:
        with pytest.raises(Compacted):
            await anext(watch)


async def test_a_watch_notices_that_the_server_came_back_from_a_backup(server, opened):
    watching, writing = opened(open_store(server.url)), opened(open_store(server.url))
    await put(writing, "a1")
    await asyncio.to_thread(server.stop)
    backup = await asyncio.to_thread(shutil.copytree, server.data, server.data.with_name("backup"))
    await asyncio.to_thread(server.start)
    after = await put(writing, "a2")
    async with aclosing(watching.watch("a", Revision(after - 1))) as watch:
        assert (await anext(watch)).revision == after
        hearing = asyncio.ensure_future(anext(watch))
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(shutil.rmtree, server.data)
        backup.rename(server.data)
        await asyncio.to_thread(server.start)
        with pytest.raises(Compacted, match="backup"):
            await hearing


async def test_a_dead_endpoint_is_passed_over(server, tmp_path, opened):
    dead = EtcdServer(tmp_path / "never-started")
    for endpoints in ([dead.endpoint, server.endpoint], [server.endpoint, dead.endpoint]):
        store = opened(EtcdStore(endpoints))
        await put(store, "a")
        assert "a" in (await store.snapshot("a")).items


async def test_a_cluster_goes_on_when_a_member_dies(tmp_path, opened):
    members = [EtcdServer(tmp_path / f"member{number}") for number in range(3)]
    EtcdServer.join(members)
    for member in members:
        member.launch()
    try:
        for member in members:
            await asyncio.to_thread(member.wait_ready)
        stores = [opened(EtcdStore([member.endpoint for member in members])) for _ in range(3)]
        watches = [store.watch("a", Revision(1)) for store in stores]
        await put(stores[0], "a0")
        for watch in watches:
            assert (await anext(watch)).changes == (Change("a0", b"v"),)
        for number, member in enumerate(members, 1):
            await asyncio.to_thread(member.kill)
            await committed_at_last(stores[0], f"a{number}")
            for watch in watches:
                assert Change(f"a{number}", b"v") in (await anext(watch)).changes
            await asyncio.to_thread(member.start)
        for watch in watches:
            await watch.aclose()
    finally:
        for member in members:
            member.stop()


async def committed_at_last(store: Store, key: str) -> None:
    """A commit may be lost while the cluster elects; asked as a claim, it's safe to ask again."""
    while True:
        try:
            await store.commit([KeyAt(key, ABSENT)], [Put(key, b"v")])
        except StoreUnavailable:
            continue
        return
