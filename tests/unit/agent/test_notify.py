"""What systemd hears, on both kinds of sockets."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from plait.agent.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        if request.param == "path":
            name = address = str(tmp_path / "notify")
        else:
            name = f"@plait-test-{os.getpid()}"
            address = "\0" + name[1:]
        listening.bind(address)
        listening.setblocking(False)
        yield listening, name


def test_each_state_is_one_datagram(systemd: tuple[socket.socket, str]) -> None:
    listening, name = systemd
    notifier = Notifier({"NOTIFY_SOCKET": name})
    notifier.ready("12 flows,\n3 ports")
    notifier.status("waiting for the store")
    notifier.stopping()
    heard = [listening.recv(1000) for _ in range(3)]
    assert heard == [b"READY=1\nSTATUS=12 flows, 3 ports", b"STATUS=waiting for the store", b"STOPPING=1"]


async def test_signs_of_life_come_when_they_are_asked_for(systemd: tuple[socket.socket, str]) -> None:
    listening, name = systemd
    environment = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "2000", "WATCHDOG_PID": str(os.getpid())}
    running = asyncio.create_task(Notifier(environment).run())
    loop = asyncio.get_running_loop()
    assert [await loop.sock_recv(listening, 100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
    running.cancel()


@pytest.mark.parametrize(
    "watchdog",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"},
    ],
)
async def test_no_signs_of_life_come_when_nobody_wants_them(
    systemd: tuple[socket.socket, str], watchdog: dict[str, str]
) -> None:
    listening, name = systemd
    await Notifier({"NOTIFY_SOCKET": name, **watchdog}).run()
    with pytest.raises(BlockingIOError):
        listening.recv(100)


async def test_without_systemd_nothing_happens() -> None:
    for environment in ({}, {"NOTIFY_SOCKET": "vsock:2:1"}, {"NOTIFY_SOCKET": "@"}):
        notifier = Notifier({**environment, "WATCHDOG_USEC": "1000"})
        notifier.ready("x")
        notifier.stopping()
        await notifier.run()


def test_a_socket_that_is_gone_is_said_and_does_no_harm(tmp_path: Path) -> None:
    with capture_logs() as events:
        Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()
    assert [event["log_level"] for event in events] == ["warning"]
