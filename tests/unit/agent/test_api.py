"""The agent's socket: answers, refusals, and what a client can't do to it."""

import asyncio
import json
import os
import random
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from plait.agent import api
from plait.agent.api import CallFailed, NoAgent, NotNow, SocketUnusable, call, listening, serve


async def echo(request: dict[str, Any]) -> object:
    return request


async def busy(request: dict[str, Any]) -> object:
    raise NotNow("the switch is not connected")


async def broken(request: dict[str, Any]) -> object:
    raise RuntimeError("secret of the inside")


async def large(request: dict[str, Any]) -> object:
    return "x" * int(request["bytes"])


async def sleepy(request: dict[str, Any]) -> object:
    return await asyncio.Event().wait()


HANDLERS = {"echo": echo, "busy": busy, "broken": broken, "large": large, "sleepy": sleepy}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "agent.sock"


@pytest.fixture
async def agent(path: Path) -> AsyncIterator[Path]:
    async with listening(path, HANDLERS):
        yield path


async def test_a_call_with_arguments_is_answered(agent: Path) -> None:
    assert await call(agent, "echo", network="web", deep={"a": [1, None]}) == {
        "network": "web",
        "deep": {"a": [1, None]},
    }


async def test_only_its_user_may_connect(agent: Path) -> None:
    assert stat.S_IMODE(agent.stat().st_mode) == 0o600


async def test_several_calls_go_over_one_connection(agent: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(agent)
    writer.write(b'{"call":"echo","n":1}\n{"call":"nope"}\n[]\n{"call":"echo","n":2}\n')
    replies = [json.loads(await reader.readline()) for _ in range(4)]
    assert replies[0] == {"ok": {"n": 1}}
    assert "this agent knows broken, busy, echo" in replies[1]["error"]
    assert "JSON object on one line" in replies[2]["error"]
    assert replies[3] == {"ok": {"n": 2}}
    writer.close()


async def test_what_a_handler_refuses_is_the_callers_error(agent: Path) -> None:
    with pytest.raises(CallFailed, match=r"^the switch is not connected$"):
        await call(agent, "busy")


async def test_a_failing_handler_is_logged_and_tells_the_caller_nothing_of_the_inside(agent: Path) -> None:
    said = "broken failed inside the agent: its log says why"
    with capture_logs() as events, pytest.raises(CallFailed, match=said):
        await call(agent, "broken")
    assert [event["event"] for event in events] == ["call failed, the agent goes on"]
    assert await call(agent, "echo") == {}


async def test_a_large_answer_arrives_and_a_too_large_one_is_refused(
    agent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(await call(agent, "large", bytes=5_000_000)) == 5_000_000
    monkeypatch.setattr(api, "MAX_REPLY_BYTES", 1000)
    with pytest.raises(CallFailed, match="larger than 1000 bytes: ask for less"):
        await call(agent, "large", bytes=2000)


async def test_a_request_without_end_is_refused_and_the_connection_closed(agent: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(agent)
    writer.write(b"x" * (api.MAX_REQUEST_BYTES * 4))
    assert b"at most 65536 bytes" in await reader.readline()
    # What we sent and nobody read makes the kernel end it by a reset.
    with suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()


async def test_too_many_clients_are_refused_and_welcome_later(agent: Path) -> None:
    clients = [await asyncio.open_unix_connection(agent) for _ in range(api.MAX_CONNECTIONS)]
    for reader, writer in clients:
        writer.write(b'{"call":"echo"}\n')
        assert await reader.readline() == b'{"ok":{}}\n'
    with pytest.raises(CallFailed, match="32 clients are connected: try again"):
        await call(agent, "echo")
    for reader, writer in clients:
        writer.close()
        await reader.read()
    await answered(agent)


async def answered(agent: Path) -> None:
    while True:
        try:
            assert await call(agent, "echo") == {}
            return
        except CallFailed:
            await asyncio.sleep(0)


async def test_a_client_that_says_nothing_is_let_go(agent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "IDLE_TIMEOUT_S", 0.01)
    reader, writer = await asyncio.open_unix_connection(agent)
    assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize("seed", range(5))
async def test_random_bytes_cost_nothing_but_their_connection(seed: int, agent: Path) -> None:
    dice = random.Random(seed)
    good = b'{"call":"echo","a":[1,{"b":null}]}\n'
    with capture_logs() as events:
        for _ in range(60):
            reader, writer = await asyncio.open_unix_connection(agent)
            data = bytearray(good * dice.randrange(1, 4))
            for _ in range(dice.randrange(8)):
                data[dice.randrange(len(data))] = dice.randrange(256)
            writer.write(bytes(data) + dice.randbytes(dice.randrange(50)) + b"\n" * dice.randrange(2))
            writer.write_eof()
            for line in (await reader.read()).splitlines():
                assert json.loads(line).keys() <= {"ok", "error"}
            writer.close()
    assert events == []
    assert await call(agent, "echo") == {}


async def test_deeply_nested_json_is_refused(agent: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(agent)
    writer.write(b'{"call":"echo","a":' + b"[" * 30_000 + b"]" * 30_000 + b"}\n")
    assert b"JSON object on one line" in await reader.readline()
    writer.close()


async def test_a_second_agent_on_the_same_socket_is_refused_and_the_first_goes_on(agent: Path) -> None:
    with pytest.raises(SocketUnusable, match=f"another agent answers at {agent}: stop it first"):
        await serve(agent, {})
    assert await call(agent, "echo") == {}


HOLDER = """
import asyncio, os, signal, sys
from plait.agent.api import listening
async def main():
    async with listening(sys.argv[1], {}):
        print("listening", flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


async def test_the_socket_of_a_killed_agent_is_replaced(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(SocketUnusable):
            await serve(path, {})
        holder.kill()
    assert path.is_socket()
    with pytest.raises(NoAgent, match=f"no agent listens at {path}: start it by `plait agent`"):
        await call(path, "echo")
    async with listening(path, HANDLERS):
        assert await call(path, "echo") == {}


async def test_after_a_stop_the_socket_is_gone_and_callers_are_told(path: Path) -> None:
    async with listening(path, HANDLERS):
        calling = asyncio.create_task(call(path, "sleepy"))
        waiting = asyncio.create_task(call(path, "echo"))
        await waiting
    with pytest.raises(CallFailed, match="ended the connection without an answer: is it stopping"):
        await calling
    assert not path.exists()
    with pytest.raises(NoAgent):
        await call(path, "echo")


async def test_an_agent_that_does_not_answer_is_given_up(agent: Path) -> None:
    with pytest.raises(CallFailed, match=r"gave no answer to 'sleepy' in 0\.01 s"):
        await call(agent, "sleepy", timeout_s=0.01)


async def test_a_file_that_is_no_socket_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("precious")
    with pytest.raises(SocketUnusable, match="exists and is no socket"):
        await serve(path, {})
    assert path.read_text() == "precious"
    with pytest.raises(NoAgent):
        await call(path, "echo")


async def test_a_path_that_cannot_be_is_refused_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(SocketUnusable, match="longer than 107 bytes: choose a shorter one"):
        await serve(tmp_path / ("x" * 120), {})
    (tmp_path / "file").write_text("")
    with pytest.raises(SocketUnusable, match="choose another path by `socket`"):
        await serve(tmp_path / "file" / "agent.sock", {})


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
async def test_another_user_is_told_to_become_root(agent: Path) -> None:
    for folder in (agent.parent, *agent.parent.parents):
        if folder.stat().st_uid == 0 and folder.is_relative_to("/tmp") and folder != Path("/tmp"):
            folder.chmod(0o755)
    os.seteuid(65534)
    try:
        with pytest.raises(NoAgent, match=r"permission denied .* run this as root"):
            await call(agent, "echo")
    finally:
        os.seteuid(0)


async def test_something_else_behind_the_socket_is_found_out(tmp_path: Path) -> None:
    path = tmp_path / "other.sock"

    async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 400 Bad Request\r\n")
        writer.close()

    async with await asyncio.start_unix_server(http, path):
        with pytest.raises(CallFailed, match="is no agent of Plait"):
            await call(path, "status")


def test_the_socket_can_be_bound_by_no_umask_to_be_open_to_others(path: Path) -> None:
    before = os.umask(0)
    try:
        with api._sole_owner(path), api._bound(path) as bound:
            assert isinstance(bound, socket.socket)
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.umask(before)
