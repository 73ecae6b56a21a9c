"""A controller without a server behind it, which says what a test wants to hear, and what runs such tests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from streamcli.model.address import Controller

SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
YES = SETTINGS + b"\x00\x00\x01\x01\x05\x00\x00\x00\x01\x88"  # and an answer that says nothing against us
NO = SETTINGS + b"\x00\x00\x11\x01\x05\x00\x00\x00\x01\x88\x00\x0bgrpc-status\x0216"  # it asks for an account
HANG = 100.0  # seconds; fifty workers one after the other take a minute on a machine with a load of 20


def run(main: Coroutine[Any, Any, None]) -> None:
    async def settled() -> None:
        try:
            await asyncio.wait_for(main, HANG)
        finally:
            for _ in range(3):
                await asyncio.sleep(0)  # connections that were closed just now are gone only then

    asyncio.run(settled())


async def until(what: Callable[[], object]) -> None:
    while not what():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


class FakeController:
    """Listens, and says to each caller what ``says`` is then: None is silence, b"" is hanging up."""

    def __init__(self, says: bytes | None) -> None:
        self.says, self.port = says, 0

    @contextlib.asynccontextmanager
    async def listening(self, host: str = "127.0.0.1") -> AsyncIterator[Controller]:
        server = await asyncio.start_server(self._answer, host, self.port)
        async with server:
            self.port = server.sockets[0].getsockname()[1]
            yield Controller(host, self.port)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            try:
                await reader.read(100)
                if self.says is None:
                    await reader.read()
                else:
                    writer.write(self.says)
            finally:
                writer.close()
            await writer.wait_closed()
