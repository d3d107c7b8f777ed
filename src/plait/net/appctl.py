"""Asking a running Open vSwitch daemon by its control socket, as ovs-appctl(8) does (JSON-RPC 1.0)."""

import asyncio
from pathlib import Path

from plait.net.stream import Unreachable, dial
from plait.wire.errors import MalformedMessage
from plait.wire.ovsdb.jsonrpc import Reply, Request, Splitter, encode

ANSWER_TIMEOUT_S = 10.0

_READ_BYTES = 64 * 1024


class AppctlError(Exception):
    """The daemon refused `command`, or did not answer; the text is the daemon's own where it gave one."""

    def __init__(self, command: str, reason: str) -> None:
        super().__init__(f"{command}: {reason}")
        self.command = command
        self.reason = reason


def control_socket(rundir: str | Path, daemon: str = "ovs-vswitchd") -> Path:
    """The daemon's control socket in its run directory: <daemon>.ctl, or <daemon>.<pid>.ctl by its pid file.

    Raises Unreachable.
    """
    fixed = Path(rundir, f"{daemon}.ctl")
    if fixed.exists():
        return fixed
    pidfile = Path(rundir, f"{daemon}.pid")
    try:
        return Path(rundir, f"{daemon}.{int(pidfile.read_text())}.ctl")
    except (OSError, ValueError) as error:
        reason = f"no pid in {pidfile} ({error}): is {daemon} running, and is this its run directory?"
        raise Unreachable(str(fixed), reason) from None


async def appctl(target: str | Path, command: str, *args: str, timeout_s: float = ANSWER_TIMEOUT_S) -> str:
    """The daemon's answer to one command, as text.

    `target`: a control socket, or the run directory of an ovs-vswitchd. Raises AppctlError, Unreachable.
    """
    path = control_socket(target) if Path(target).is_dir() else Path(target)
    reader, writer = await dial(f"unix:{path}")
    try:
        async with asyncio.timeout(timeout_s):
            writer.write(encode(Request(0, command, args)))
            reply = await _reply(reader, command)
    except TimeoutError:
        raise AppctlError(command, f"no answer from {path} within {timeout_s:g} s") from None
    except (OSError, MalformedMessage) as error:
        raise AppctlError(command, f"no proper answer from {path}: {error}") from None
    finally:
        writer.close()
    if reply.error is not None:
        raise AppctlError(command, str(reply.error).strip())
    return str(reply.result or "")


async def _reply(reader: asyncio.StreamReader, command: str) -> Reply:
    splitter = Splitter()
    while data := await reader.read(_READ_BYTES):
        for message in splitter.receive(data):
            if isinstance(message, Reply):
                return message
    raise AppctlError(command, "the daemon closed the connection instead of answering")
