"""Writes a key under a lease, says so, and stays: argv is a store's URL and the key."""

import asyncio
import sys

from plait.store.api import Put
from plait.store.open import open_store


async def main(url: str, key: str) -> None:
    store = open_store(url)
    lease = await store.grant(1)
    await store.commit([], [Put(key, b"", lease)])
    print("held", flush=True)
    await asyncio.Event().wait()


asyncio.run(main(sys.argv[1], sys.argv[2]))
