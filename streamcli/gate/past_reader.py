"""Reads the log for one guest, from where the guest was, until the ring has what follows."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from streamcli.gate.loop_listener import LoopListener
from streamcli.log.api import Event, Log, ReadMode
from streamcli.model.cursor import Cursor, LogOpened


class Piece(NamedTuple):
    """The next events for a guest. Call ``taken`` when there is room for more."""

    segment: str
    events: list[Event]
    taken: Callable[[], None]


class PastReader(LoopListener):
    """A log of its own, read from ``cursor`` on, or from its end (implements streamcli.log.api.ReadListener)."""

    def __init__(self, log: Log, cursor: Cursor | None, on_news: Callable[[], None]) -> None:
        """Start to read; ``on_news`` is called in the loop when there is more, or an end."""
        super().__init__()
        self._cursor, self._on_news = cursor, on_news
        self.pieces: deque[Piece] = deque()
        self._untaken = 0
        self.is_over = False  # whether this log ends here: another one has its name, or it can't be read
        self._opened: asyncio.Future[LogOpened] = self._loop.create_future()
        self._log = log
        log.read(self, ReadMode.LOOK)
        self._running = asyncio.create_task(log.run())
        self._running.add_done_callback(self._end)

    async def opening(self) -> LogOpened:
        """Wait until the log is open for the first time. Raises ConnectionError if it can't be read."""
        return await self._opened

    def close(self) -> None:
        """End the connection."""
        self._log.kill()

    def cursor(self) -> Cursor | None:
        """Return how far the log was read: the next connection goes on there."""
        return self._cursor

    def opened(self, opened: LogOpened) -> None:
        """Ignore it: `connected` came before."""

    def caught_up(self) -> None:
        """Ignore it: the past ends where the ring begins."""

    def due_since(self, last_sign: float) -> float | None:
        """Expect a sign of life while the guest is not the one who is slow."""
        return None if self._untaken else last_sign

    def _connected(self, opened: LogOpened) -> None:
        if self._opened.done():
            self.is_over = self.is_over or not (self._cursor and self._cursor.reads_on(opened))
        else:
            self._opened.set_result(opened)
        self._cursor = (self._cursor or Cursor()).opened_at(opened)
        self._on_news()

    def _arrived(self, segment: str, batch: list[Event], taken: Callable[[], None]) -> None:
        def pass_on() -> None:
            self._untaken -= 1
            taken()

        if self.is_over:
            return  # it is of another log
        assert self._cursor
        self._untaken += 1
        self._cursor = self._cursor.after(segment, batch[-1])
        self.pieces.append(Piece(segment, batch, pass_on))
        self._on_news()

    def _end(self, running: asyncio.Task[None]) -> None:
        self._log.close()
        self.is_over = True
        if not self._opened.done():
            self._opened.set_exception(ConnectionError("the log can't be read"))
            self._opened.exception()  # nobody may be waiting for it any more
        self._on_news()
        with contextlib.suppress(asyncio.CancelledError):
            running.result()  # an unexpected error is the loop's to report
