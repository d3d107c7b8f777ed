"""Commits ten equal values at a time until it is killed, says what is done: argv is a URL and a prefix."""

import asyncio
import itertools
import sys

from plait.store.api import Put
from plait.store.open import open_store


async def main(url: str, prefix: str) -> None:
    store = open_store(url)
    for number in itertools.count(1):
        await store.commit([], [Put(f"{prefix}{column}", b"%d" % number) for column in range(10)])
        print(number, flush=True)


asyncio.run(main(sys.argv[1], sys.argv[2]))
