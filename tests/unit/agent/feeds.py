"""What tests of the agent's feeds, and of its presence, share."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from plait.model.entities import Port


def port(id: str, network: str = "red", **more: object) -> Port:
    """A port of host h1."""
    return Port(id=id, name=id, network=network, mac="02:00:00:00:00:01", host="h1", **more)  # type: ignore[arg-type]


async def until(condition: Callable[[], bool]) -> None:
    """Lets others run until it holds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0)


@asynccontextmanager
async def running(*works: Awaitable[None]) -> AsyncIterator[None]:
    """These run inside the block."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
