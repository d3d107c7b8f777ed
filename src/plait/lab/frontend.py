"""What a lab does as a user of Plait: a loop in a thread of its own, with the lab's store open."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from plait.intent import Intent
from plait.lab.errors import LabError
from plait.store.open import open_store

T = TypeVar("T")


class Frontend:
    """Runs work on the intent of the store at `url`, for callers that are no coroutines (or mean to block).

    The store stays open between calls, as it does in a frontend that serves many.
    """

    def __init__(self, url: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="lab frontend", daemon=True)
        self._thread.start()
        self._intent = self._wait(self._open(url), 30)

    def run(self, work: Callable[[Intent], Awaitable[T]], *, timeout_s: float = 120) -> T:
        """What `work` returns. Raises what it raises, and LabError after `timeout_s`."""

        async def call() -> T:
            return await work(self._intent)

        return self._wait(call(), timeout_s)

    def close(self) -> None:
        self._wait(self._intent.store.close(), 30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _open(self, url: str) -> Intent:
        return Intent(open_store(url))

    def _wait(self, work: Coroutine[Any, Any, T], timeout_s: float) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout_s)
        except TimeoutError:
            future.cancel()
            raise LabError(f"the store did not answer within {timeout_s:g} s") from None
