"""Carries TCP connections from one namespace into another: `python -m plait.lab.relay FD ADDRESS PORT`.

The listening socket FD was opened outside and inherited; the process runs, and connects, in the other one.
"""

import asyncio
import contextlib
import socket
import sys

_CHUNK_BYTES = 1 << 16


async def relay(listener: socket.socket, address: str, port: int) -> None:
    """Serve `listener` until cancelled; every connection gets one of its own to `address`."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            to_reader, to_writer = await asyncio.open_connection(address, port)
        except OSError:
            # The caller sees what a caller of the far end would see: nobody is there.
            writer.close()
            return
        async with asyncio.TaskGroup() as both:
            both.create_task(_pour(reader, to_writer))
            both.create_task(_pour(to_reader, writer))

    server = await asyncio.start_server(carry, sock=listener)
    await server.serve_forever()


async def _pour(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(_CHUNK_BYTES):
            sink.write(data)
            await sink.drain()
    sink.close()


if __name__ == "__main__":
    fd, address, port = sys.argv[1:]
    asyncio.run(relay(socket.socket(fileno=int(fd)), address, int(port)))
