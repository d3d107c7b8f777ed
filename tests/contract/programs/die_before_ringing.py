"""Commits a key and is killed right after, before it can tell anybody: argv is a store's URL and the key."""

import asyncio
import os
import signal
import sys

from plait.store.api import Put
from plait.store.bell import Bell
from plait.store.open import open_store


def die(bell: Bell) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def main(url: str, key: str) -> None:
    Bell.ring = die
    await open_store(url).commit([], [Put(key, b"last words")])


asyncio.run(main(sys.argv[1], sys.argv[2]))
