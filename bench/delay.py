"""A TCP proxy that passes all bytes on after a constant time, as a long way does, at whatever rate they come."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator

_PIECE = 1 << 16
_ON_THE_WAY = 256  # pieces, 16 MiB: more than any sender has on its way here


@contextlib.contextmanager
def delayed(port: int, one_way: float) -> Iterator[int]:
    """Return the port of a proxy before ``port`` of loopback; each direction takes ``one_way`` seconds longer."""
    loop, ready, found = asyncio.new_event_loop(), threading.Event(), list[int]()

    async def serve() -> None:
        server = await asyncio.start_server(lambda near, back: _connect(near, back, port, one_way), "127.0.0.1", 0)
        found.append(server.sockets[0].getsockname()[1])
        ready.set()

    def run() -> None:
        loop.run_until_complete(serve())
        loop.run_forever()

    thread = threading.Thread(target=run, name="delay", daemon=True)
    thread.start()
    ready.wait()
    try:
        yield found[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)


async def _connect(near: asyncio.StreamReader, back: asyncio.StreamWriter, port: int, one_way: float) -> None:
    try:
        await asyncio.sleep(2 * one_way)  # the handshake of TCP
        far, there = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pass(near, there, one_way), _pass(far, back, one_way))
    except OSError:
        pass
    finally:
        back.transport.abort()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, one_way: float) -> None:
    way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_ON_THE_WAY)

    async def arrive() -> None:
        while True:
            due, piece = await way.get()
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            writer.write(piece)
            if not piece:
                writer.transport.abort()
                return

    arriving = asyncio.create_task(arrive())
    with contextlib.suppress(OSError):
        while piece := await reader.read(_PIECE):
            await way.put((time.monotonic() + one_way, piece))
    await way.put((time.monotonic() + one_way, b""))
    await arriving
