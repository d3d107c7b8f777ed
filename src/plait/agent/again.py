"""Connecting to this host's switch again: soon at first, for without flows no packet goes."""

import asyncio

from plait.wire.reconnect import Backoff

FIRST_WAIT_S = 0.01
LAST_WAIT_S = 2.0


class Again:
    """A backoff on the loop's clock."""

    def __init__(self) -> None:
        self._backoff = Backoff(FIRST_WAIT_S, LAST_WAIT_S)
        self._clock = asyncio.get_running_loop().time

    def connected(self) -> None:
        self._backoff.connected(self._clock())

    async def wait(self) -> None:
        """After a failed attempt or a lost connection."""
        self._backoff.failed(self._clock())
        await asyncio.sleep(self._backoff.next_attempt() - self._clock())
