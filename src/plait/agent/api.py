"""The agent's socket: what the command line of this host asks, one JSON object a line, one line back.

    {"call": "status"}                     ->  {"ok": ...}
    {"call": "flows", "network": "web"}    ->  {"error": "..."}

Rule 1: who may connect is a matter of the file: its mode is 0600.
Rule 2: nothing that a client sends costs unbounded work or memory, or the agent anything but that connection.
Rule 3: of two agents with one socket the second is refused. A lock beside the socket says who lives; the
kernel lets go of it with the process, so a socket without a lock is a leftover and is replaced.
"""

import asyncio
import errno
import fcntl
import os
import socket
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import structlog

log = structlog.get_logger("plait.api")

MAX_REQUEST_BYTES = 64 * 1024
MAX_REPLY_BYTES = 64 * 1024 * 1024
"""Room for the flows of 50,000 ports."""
MAX_CONNECTIONS = 32
IDLE_TIMEOUT_S = 60.0
CALL_TIMEOUT_S = 30.0

_LONGEST_SOCKET_PATH = 107

Handler = Callable[[dict[str, Any]], Awaitable[object]]


class NotNow(Exception):
    """What a handler raises when it can't answer; the text goes to the client as it is."""


class SocketUnusable(Exception):
    """The agent can't listen at this path; the message says why and what to do."""


class CallFailed(Exception):
    """A call has no answer; the message is one line with the way out."""


class NoAgent(CallFailed):
    """No agent can be reached at the socket."""


async def serve(path: str | Path, handlers: Mapping[str, Handler]) -> None:
    """Answer calls at `path` until cancelled. Raises SocketUnusable before anything was answered."""
    async with listening(path, handlers):
        await asyncio.Event().wait()


@asynccontextmanager
async def listening(path: str | Path, handlers: Mapping[str, Handler]) -> AsyncIterator[None]:
    """Calls at `path` are answered inside the block. Raises SocketUnusable on entering."""
    path = Path(path)
    with _sole_owner(path), _bound(path) as bound:
        clients = _Clients(handlers)
        server = await asyncio.start_unix_server(clients.serve, sock=bound, limit=MAX_REQUEST_BYTES)
        try:
            yield
        finally:
            server.close()
            await clients.end()


async def call(path: str | Path, name: str, /, *, timeout_s: float = CALL_TIMEOUT_S, **args: object) -> Any:
    """The agent's answer to `name` as plain JSON values.

    Raises NoAgent, or CallFailed with what the agent says.
    """
    try:
        async with asyncio.timeout(timeout_s):
            line = await _exchange(Path(path), msgspec.json.encode({**args, "call": name}))
    except TimeoutError:
        raise CallFailed(
            f"the agent at {path} gave no answer to {name!r} in {timeout_s:g} s: see its log"
        ) from None
    try:
        reply = msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise CallFailed(f"what answers at {path} is no agent of Plait: is the path right?") from None
    if "error" in reply:
        raise CallFailed(str(reply["error"]))
    if "ok" not in reply:
        raise CallFailed(f"what answers at {path} is no agent of Plait: is the path right?")
    return reply["ok"]


async def _exchange(path: Path, request: bytes) -> bytes:
    try:
        reader, writer = await asyncio.open_unix_connection(path, limit=MAX_REPLY_BYTES)
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        raise NoAgent(f"no agent listens at {path}: start it by `plait agent`, or name its socket") from None
    except PermissionError:
        raise NoAgent(f"permission denied for {path}: run this as root, or as the agent's user") from None
    except OSError as error:
        raise NoAgent(f"the agent's socket {path} can't be used: {error.strerror or error}") from None
    try:
        writer.write(request + b"\n")
        await writer.drain()
        line = await reader.readline()
    except ValueError:
        raise CallFailed(
            f"the agent at {path} answered more than {MAX_REPLY_BYTES} bytes: ask for less"
        ) from None
    except OSError:
        line = b""
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    if not line.endswith(b"\n"):
        raise CallFailed(f"the agent at {path} ended the connection without an answer: is it stopping?")
    return line


class _Clients:
    """The open connections and how they are answered."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = handlers
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if len(self._tasks) > MAX_CONNECTIONS:
                writer.write(
                    _refusal(f"{MAX_CONNECTIONS} clients are connected: try again when one has gone")
                )
            else:
                await self._converse(reader, writer)
        except (OSError, TimeoutError):
            pass  # The client went away or fell asleep: it is its own concern.
        except asyncio.CancelledError:
            pass  # The agent stops; asyncio's streams log a cancelled handler as an error.
        finally:
            self._tasks.discard(task)
            writer.close()

    async def end(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                async with asyncio.timeout(IDLE_TIMEOUT_S):
                    line = await reader.readline()
            except ValueError:
                writer.write(_refusal(f"a request has at most {MAX_REQUEST_BYTES} bytes"))
                return
            if not line.endswith(b"\n"):
                return
            writer.write(await self._answer(line))
            async with asyncio.timeout(IDLE_TIMEOUT_S):
                await writer.drain()

    async def _answer(self, line: bytes) -> bytes:
        try:
            request = msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return _refusal('a request is a JSON object on one line, such as {"call": "status"}')
        name = request.pop("call", None)
        handler = self._handlers.get(name) if isinstance(name, str) else None
        if handler is None:
            return _refusal(f"unknown call: this agent knows {', '.join(sorted(self._handlers))}")
        try:
            reply = msgspec.json.encode({"ok": await handler(request)}) + b"\n"
        except NotNow as error:
            return _refusal(str(error))
        except Exception:
            log.exception("call failed, the agent goes on", call=name)
            return _refusal(f"{name} failed inside the agent: its log says why")
        if len(reply) > MAX_REPLY_BYTES:
            return _refusal(f"the answer to {name} is larger than {MAX_REPLY_BYTES} bytes: ask for less")
        return reply


def _refusal(reason: str) -> bytes:
    return msgspec.json.encode({"error": reason}) + b"\n"


@contextmanager
def _sole_owner(path: Path) -> Iterator[None]:
    lock = path.with_name(path.name + ".lock")
    if len(os.fsencode(path)) > _LONGEST_SOCKET_PATH:
        raise SocketUnusable(
            f"socket path {path} is longer than {_LONGEST_SOCKET_PATH} bytes: choose a shorter one"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise SocketUnusable(
            f"socket {path} can't be made: {error.strerror}: choose another path by `socket`"
        ) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SocketUnusable(
                f"another agent answers at {path}: stop it first, or give this one another `socket`"
            ) from None
        # The lock's file stays: removing it would let two processes hold locks on two files of one name.
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _bound(path: Path) -> Iterator[socket.socket]:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise SocketUnusable(
                f"{path} exists and is no socket: remove it, or choose another path by `socket`"
            )
        path.unlink()
    except FileNotFoundError:
        pass
    with socket.socket(
        socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    ) as bound:
        before = os.umask(0o177)
        try:
            bound.bind(os.fspath(path))
        except OSError as error:
            reason = error.strerror or errno.errorcode.get(error.errno or 0, "?")
            raise SocketUnusable(
                f"socket {path} can't be made: {reason}: choose another path by `socket`"
            ) from None
        finally:
            os.umask(before)
        try:
            yield bound
        finally:
            with suppress(OSError):
                path.unlink()
