"""Counts a key of a store up: argv is its URL, the key, and how often."""

import asyncio
import sys

from plait.store.api import ABSENT, Committed, KeyAt, Put
from plait.store.open import open_store


async def main(url: str, key: str, times: int) -> None:
    store = open_store(url)
    done = 0
    while done < times:
        item = (await store.get([key])).items.get(key)
        seen, value = (ABSENT, 0) if item is None else (item.revision, int(item.value))
        outcome = await store.commit([KeyAt(key, seen)], [Put(key, b"%d" % (value + 1))])
        done += isinstance(outcome, Committed)
    await store.close()


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
