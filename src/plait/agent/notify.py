"""Telling systemd how the agent is: sd_notify(3), without the library. Without systemd it does nothing."""

import asyncio
import os
import socket
from collections.abc import Mapping

import structlog

log = structlog.get_logger("plait.notify")


class Notifier:
    """Sends to $NOTIFY_SOCKET; with $WATCHDOG_USEC, `run` sends a sign of life at half of that time."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self._watchdog_s = _watchdog_s(environment)

    def ready(self, status: str = "") -> None:
        """The agent is ready, so others may start; may be said again, with another status."""
        self._send("READY=1", status)

    def status(self, status: str) -> None:
        """One line for `systemctl status`."""
        self._send("", status)

    def stopping(self) -> None:
        self._send("STOPPING=1", "")

    async def run(self) -> None:
        """Signs of life, for ever, if they are asked for; a stuck event loop gives none."""
        while self._address is not None and self._watchdog_s is not None:
            self._send("WATCHDOG=1", "")
            await asyncio.sleep(self._watchdog_s / 2)

    def _send(self, state: str, status: str) -> None:
        if self._address is None:
            return
        lines = [state] if state else []
        if status:
            lines.append("STATUS=" + " ".join(status.split()))
        try:
            with socket.socket(
                socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
            ) as sender:
                sender.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            log.warning(
                "systemd can't be told, going on",
                state=state or "STATUS",
                reason=error.strerror or str(error),
            )


def _address(path: str) -> str | bytes | None:
    """An absolute path, or an abstract name, which systemd writes with '@' for the zero byte (unix(7))."""
    if path.startswith("/"):
        return path
    return b"\0" + path[1:].encode() if path.startswith("@") and len(path) > 1 else None


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    """sd_watchdog_enabled(3): meant for us unless $WATCHDOG_PID names another process."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    microseconds = environment.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1e6 if microseconds.isdecimal() and int(microseconds) > 0 else None
