"""Writes until the store takes no more, and says why: argv is its URL."""

import asyncio
import itertools
import sys

from plait.store.api import Put, StoreError
from plait.store.open import open_store


async def main(url: str) -> None:
    store = open_store(url)
    try:
        for number in itertools.count():
            await store.commit([], [Put(f"{number}", bytes(10_000))])
    except StoreError as error:
        print(type(error).__name__, error)
    kept = await store.snapshot("")
    print(len(kept.items) == number)


asyncio.run(main(sys.argv[1]))
