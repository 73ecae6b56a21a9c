"""A message's way to the server and back, measured on a stream made for that and deleted afterwards."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import IO, Any

from streamcli.config import Settings
from streamcli.errors import NotPermitted, Unreachable
from streamcli.log.frames import Frame, pack, pack_write, unpack_events
from streamcli.log.reader import MODULE as READ
from streamcli.log.supervisor import ConnectionStatus, Supervisor, WorkerSlot
from streamcli.log.wheel.cleaning import clean
from streamcli.log.wheel.groups import head_group
from streamcli.log.writer import MODULE as WRITE
from streamcli.model.address import Controller, Stream
from streamcli.model.names import reader_group
from streamcli.system.guard import watched

MESSAGES = 20


async def round_trip(
    settings: Settings, locate: Callable[[], Controller], worker_log: IO[bytes] | int
) -> tuple[str, list[float]]:
    """Return the name of the reader group that was used and the seconds each message took there and back.

    Raises NotPermitted, and Unreachable when it does not work within the settings' timeout.
    """
    trip = _RoundTrip(settings, locate, worker_log)
    try:
        times = await asyncio.wait_for(trip.run(), settings.timeout)
    except (asyncio.TimeoutError, TimeoutError):
        why = (trip.words or "the server answers, but its segment store may not").rstrip(".")
        raise Unreachable(
            f"No message came back within {settings.timeout:g} s: {why}. Can its port be reached from here?"
        ) from None
    finally:
        await trip.clean()
    return trip.group, times


class _RoundTrip:
    def __init__(self, settings: Settings, locate: Callable[[], Controller], worker_log: IO[bytes] | int) -> None:
        unique = os.urandom(4).hex()
        self._scope, self._stream = settings.stream.scope, f"streamcli-doctor-{unique}"
        self.group = reader_group(settings.group_owner, f"doctor.{unique}")
        self.words = ""
        self._locate, self._log = locate, worker_log
        self._loop = asyncio.get_running_loop()
        self._news: asyncio.Queue[Frame | NotPermitted] = asyncio.Queue()
        self._reading = WorkerSlot(READ, self._read_orders, self._on_read, lambda last: last)
        self._writing = WorkerSlot(WRITE, self._orders, self._on_write, lambda last: None)
        stream = Stream(self._scope, self._stream)
        self._supervisor = Supervisor(locate, [self._reading, self._writing], stream, self._on_link, worker_log)

    async def run(self) -> list[float]:
        """Send and wait, one message after the other."""
        watching = watched(self._supervisor.run())
        try:
            opened = 0
            while opened < 2:  # caught up, and open for writing
                opened += await self._next() in (Frame.CAUGHT_UP, Frame.OPENED)
            times = []
            for _ in range(MESSAGES):
                start = time.perf_counter()
                self._writing.send(pack_write("doctor", b"a message to measure with"))
                while await self._next() is not Frame.EVENTS:
                    pass
                times.append(time.perf_counter() - start)
            return times
        finally:
            watching.cancel()
            self._supervisor.kill()

    async def _next(self) -> Frame:
        news = await self._news.get()
        if isinstance(news, NotPermitted):
            raise news
        return news

    async def clean(self) -> None:
        """Delete the stream and the groups, if the server lets us in time."""
        groups = [self.group, head_group(self.group)]
        await clean(self._locate(), self._scope, groups, self._log, stream=self._stream)

    def _orders(self) -> dict[str, Any]:
        return {"scope": self._scope, "stream": self._stream}

    def _read_orders(self) -> dict[str, Any]:
        names = {"group": self.group, "head_group": head_group(self.group), "old_groups": []}
        return {**self._orders(), **names, "log": "", "position": 0, "last": None, "trace": True}

    def _on_link(self, link: ConnectionStatus) -> None:
        self.words = link.words
        if link.refusal:
            self._news.put_nowait(link.refusal)

    def _on_write(self, frame: Frame, payload: bytes) -> None:
        if frame is Frame.OPENED:
            self._loop.call_soon_threadsafe(self._news.put_nowait, frame)

    def _on_read(self, frame: Frame, payload: bytes) -> None:
        if frame is Frame.EVENTS:
            for _ in unpack_events(payload):
                self._loop.call_soon_threadsafe(self._news.put_nowait, frame)
            self._loop.call_soon_threadsafe(self._reading.send, pack(Frame.TAKEN))
        elif frame is Frame.CAUGHT_UP:
            self._loop.call_soon_threadsafe(self._news.put_nowait, frame)
