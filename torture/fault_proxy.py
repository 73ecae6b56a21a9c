"""Fault proxies: ports that lead to the server's own, or are closed, slow, lead nowhere, throw everybody out."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable

_PIECE = 1 << 16
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: what is closed is reset, not said goodbye to


class FaultProxy:
    """A port on loopback, served in a thread of its own together with the other proxies."""

    def __init__(self, target: Callable[[], int | None], loop: asyncio.AbstractEventLoop, closed: bool) -> None:
        """``target()`` names the real port, anew for each connection; a ``closed`` one refuses until it is opened."""
        self._target, self._loop, self._closed = target, loop, closed
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._writers: set[asyncio.StreamWriter] = set()
        self._open = asyncio.Event()
        self._delay = 0.0
        self._greeting = b""
        self.passed = 0  # bytes that came through, in both directions
        self.held = self.delayed = 0  # pieces and connections that were not passed on at once, in all

    async def serve(self) -> None:
        """Begin; runs in the loop of the proxies."""
        self._open.set()
        self._server = await asyncio.start_server(
            self._enter, sock=self._socket, backlog=200, start_serving=not self._closed
        )

    @property
    def url(self) -> str:
        """Where it listens, as a controller's URL."""
        return f"tcp://127.0.0.1:{self.port}"

    def end(self) -> None:
        """Listen no more."""
        self._server.close()

    def open(self) -> None:
        """Take connections from now on."""
        asyncio.run_coroutine_threadsafe(self._server.start_serving(), self._loop).result(10)

    def greet(self, words: bytes) -> None:
        """Say this to whoever connects, and lead nowhere; b"" is as usual."""
        self._greeting = words

    def hole(self, on: bool) -> None:
        """Take connections and bytes, and pass nothing on; afterwards all that was held goes its way."""
        self._loop.call_soon_threadsafe(self._open.clear if on else self._open.set)

    def slow(self, seconds: float) -> None:
        """Pass each piece on later; 0 is as usual."""
        self._delay = seconds

    def cut(self) -> int:
        """Reset all connections and return how many sockets that were."""
        return asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result(10)

    async def _cut(self) -> int:
        writers = list(self._writers)
        for writer in writers:
            with contextlib.suppress(OSError, AttributeError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()
        return len(writers)

    async def _enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        far: asyncio.StreamWriter | None = None
        try:
            if self._greeting:
                writer.write(self._greeting)
                await reader.read()
                return
            await self._opened()
            port = self._target()
            if port is None:
                return
            there, far = await asyncio.open_connection("127.0.0.1", port)
            self._writers.add(far)
            await asyncio.gather(self._pass(reader, far), self._pass(there, writer))
        except OSError:
            pass  # the server is dead, or somebody has hung up: so does the other side
        finally:
            for one in (writer, far):
                if one:
                    self._writers.discard(one)
                    one.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(_PIECE):
            if self._delay:
                self.delayed += 1
                await asyncio.sleep(self._delay)
            await self._opened()
            self.passed += len(piece)
            writer.write(piece)
            await writer.drain()
        raise ConnectionError

    async def _opened(self) -> None:
        if not self._open.is_set():
            self.held += 1
            await self._open.wait()


class FaultProxies:
    """The two ports that the server publishes, the controller's and the segment store's, and the gate's."""

    def __init__(
        self,
        controller: Callable[[], int | None],
        store: Callable[[], int | None],
        gate: Callable[[], int | None] = lambda: None,
        closed: bool = False,
    ) -> None:
        """Each names a real port; the controller's proxy may be ``closed`` at first."""
        self._loop, ready = asyncio.new_event_loop(), threading.Event()
        self.controller, self.store = FaultProxy(controller, self._loop, closed), FaultProxy(store, self._loop, False)
        self.gate = FaultProxy(gate, self._loop, False)
        self.by_name = {"controller": self.controller, "store": self.store, "gate": self.gate}
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True, name="proxies")
        self._thread.start()
        ready.wait()

    def _run(self, ready: threading.Event) -> None:
        self._loop.set_exception_handler(lambda loop, context: None)  # connections that break are its purpose
        for proxy in self.by_name.values():
            self._loop.run_until_complete(proxy.serve())
        ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._end())
        self._loop.close()

    async def _end(self) -> None:
        for proxy in self.by_name.values():
            proxy.end()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(3):
            await asyncio.sleep(0)  # connections that were closed just now are gone only then

    def close(self) -> None:
        """Serve no more."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
