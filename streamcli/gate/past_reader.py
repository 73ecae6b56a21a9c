"""Reads the log for one guest, from where the guest was, until the ring has what follows."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import NamedTuple

from streamcli.log.api import Event, Log, ReadMode
from streamcli.model.cursor import Cursor, LogOpened
from streamcli.system.guard import post

_EMPTIED_WITHIN = 5.0  # seconds for the loop to take the last events of a connection


class Piece(NamedTuple):
    """The next events for a guest. Call ``taken`` when there is room for more."""

    segment: str
    events: list[Event]
    taken: Callable[[], None]


class PastReader:
    """A log of its own, read from ``cursor`` on, or from its end (implements streamcli.log.api.ReadListener)."""

    def __init__(self, open_log: Callable[[], Log], cursor: Cursor | None) -> None:
        """Start to read. Raises StreamcliError if the client can't be used."""
        self._loop = asyncio.get_running_loop()
        self._cursor = cursor
        self._pieces: asyncio.Queue[Piece | None] = asyncio.Queue()
        self._untaken = 0
        self.is_another = False  # whether the log was replaced while it was read
        self._opened: asyncio.Future[LogOpened] = self._loop.create_future()
        self._log = open_log()
        self._log.read(self, ReadMode.LOOK)
        self._running = asyncio.create_task(self._log.run())

    async def opening(self) -> LogOpened:
        """Wait until the log is open for the first time."""
        return await self._opened

    async def next(self) -> Piece | None:
        """Wait for the next events; None when all that was in the log at its opening has come, once."""
        return await self._pieces.get()

    def close(self) -> None:
        """End the connection."""
        self._log.kill()
        self._running.add_done_callback(lambda task: self._log.close())

    def cursor(self) -> Cursor | None:
        """Return how far the log was read: the next connection goes on there."""
        return self._cursor

    def connected(self, opened: LogOpened) -> None:
        """Pass it to the loop."""
        post(self._loop, self._connected, opened)

    def opened(self, opened: LogOpened) -> None:
        """Ignore it: `connected` came before."""

    def events(self, segment: str, batch: list[Event], taken: Callable[[], None]) -> None:
        """Pass them to the loop."""
        post(self._loop, self._arrived, segment, batch, taken)

    def caught_up(self) -> None:
        """Pass it to the loop."""
        post(self._loop, self._pieces.put_nowait, None)

    def stuck(self, passable: bool) -> None:
        """Ignore it: the next connection gets past it, or nobody can."""

    def ended(self) -> None:
        """Wait until the loop has taken all."""
        emptied = threading.Event()
        post(self._loop, emptied.set)
        emptied.wait(_EMPTIED_WITHIN)

    def due_since(self, last_sign: float) -> float | None:
        """Expect a sign of life while the guest is not the one who is slow."""
        return None if self._untaken else last_sign

    def _connected(self, opened: LogOpened) -> None:
        if self._opened.done():
            self.is_another = self.is_another or not (self._cursor and self._cursor.reads_on(opened))
        else:
            self._opened.set_result(opened)
        self._cursor = (self._cursor or Cursor()).opened_at(opened)

    def _arrived(self, segment: str, events: list[Event], taken: Callable[[], None]) -> None:
        def pass_on() -> None:
            self._untaken -= 1
            taken()

        assert self._cursor
        self._untaken += 1
        self._cursor = self._cursor.after(segment, events[-1])
        self._pieces.put_nowait(Piece(segment, events, pass_on))
