"""`Reader`: brings messages from the log to the screen, in its own threads, and owns the cursor.

A batch goes through three stages: the log's thread decodes its events, the storing thread stores and deduplicates them,
the loop shows them. While one batch is stored the next is decoded. The log is told that a batch is taken only when it
has been shown: that is the backpressure.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Protocol

from streamcli.log.api import Event, Log, ReadMode
from streamcli.model.cursor import Cursor, LogOpened
from streamcli.model.dedup_key import DedupKeys
from streamcli.model.event import Arrived, DecodedEvent
from streamcli.model.message import decode
from streamcli.model.segment import segment_number
from streamcli.system.guard import report

_log = logging.getLogger(__name__)


class Beginning(NamedTuple):
    """The start of a connection: whether it is ``another`` log, and how many bytes were ``missed`` at its head."""

    another: bool = False
    missed: int = 0


class Listener(Protocol):
    """Receives what arrives; all calls come in the loop's thread, in the log's order."""

    def opened(self, opened: LogOpened, beginning: Beginning) -> None:
        """Reading begins."""

    def arrived(self, batch: list[Arrived], shown: Callable[[], None]) -> None:
        """Events were read; call ``shown`` when they are shown."""

    def caught_up(self) -> None:
        """What follows is live."""

    def stuck(self, passable: bool) -> None:
        """An empty event blocks the reader group; ``passable`` if the next connection will get past it."""


class Storage(Protocol):
    """Stores what is read. All calls but `close` come in the storing thread."""

    def opened(self, cursor: Cursor, another: bool) -> None:
        """Reading begins at ``cursor``; ``another`` if it is not the same log as before."""

    def store(self, segment: str, events: Sequence[DecodedEvent], keys: Sequence[bytes], cursor: Cursor) -> list[bool]:
        """Store events of ``segment`` that follow ``cursor``; return for each whether it is new to this terminal."""

    def close(self) -> None:
        """Close the files."""


class Reader:
    """One terminal's pipeline from the log to the screen."""

    def __init__(
        self,
        log: Log,
        mode: ReadMode,
        listener: Listener,
        storage: Storage,
        own_unread_since: Callable[[], float | None] = lambda: None,
        cursor: Cursor | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Continue reading from ``cursor``; without one, start at the head.

        ``own_unread_since()`` returns since when (by ``now``, seconds) a message of ours has been in the log without
        having been read back, None when there is none.
        """
        self._listener, self._storage, self._own_unread_since, self._now = listener, storage, own_unread_since, now
        self._cursor = cursor
        self._opened: LogOpened | None = None
        self._beginning = Beginning()
        self._keys = DedupKeys()
        self._storing = ThreadPoolExecutor(1, thread_name_prefix="recorder")
        self._loop = asyncio.get_running_loop()
        self._closed = self._broken = self._failed_before = False
        self._showing = 0  # batches on their way to the screen
        self._brought = 0.0  # when the last events arrived, if their offsets are known
        self.connection = log.read(_Listening(self), mode)

    @property
    def progress(self) -> float | None:
        """The share read of what the log held when it was opened, 0 to 1; None when it is not known in bytes."""
        return self._opened.share(self._cursor) if self._opened and self._cursor else None

    def close(self) -> None:
        """Store what has arrived and close the history; later frames of a killed worker are ignored.

        It waits for the disk, or up to 2 s for another terminal that is suspended while it stores.
        """
        self._closed = True
        self._storing.shutdown()
        self._storage.close()

    # In the log's thread. Everything goes through the storing thread, so the order stays.

    def _on_connected(self, opened: LogOpened) -> None:
        if self._closed:
            return
        self._keys, self._broken = DedupKeys(), False
        # Wait: the loop hears of this next, and must first have heard of all that was read before.
        self._next(self._begin, opened).result()

    def _on_events(self, segment: str, batch: list[Event], taken: Callable[[], None]) -> None:
        if self._closed:
            return
        offsets, ends, datas = zip(*batch, strict=True)
        decoded = list(map(DecodedEvent, offsets, ends, datas, map(decode, datas, offsets)))
        if segment:
            self._brought = self._now()
        keys = self._keys.of((event.content for event in decoded), segment_number(segment) if segment else None)
        self._next(self._store, segment, decoded, keys, taken)

    def _on_ended(self) -> None:
        with contextlib.suppress(RuntimeError):  # we are leaving: there is no next connection
            self._next(lambda: None).result()

    def _post(self, tell: Callable[..., None], *values: object) -> None:
        if not self._closed:
            self._next(self._loop.call_soon_threadsafe, tell, *values)

    def _next(self, work: Callable[..., object], *values: object) -> Future[None]:
        """Run ``work`` in the storing thread, after all earlier work."""

        def job() -> None:
            if self._broken:
                return  # otherwise the batches after the failed one would count as complete
            try:
                work(*values)
            except Exception as error:
                self._broken = True
                if self._loop.is_closed():
                    return
                _log.exception("what was read can't be used")
                if self._failed_before:  # a new connection did not help
                    report(self._loop, error)
                self._failed_before = True
                self._loop.call_soon_threadsafe(self.connection.replace)

        return self._storing.submit(job)

    # In the storing thread.

    def _begin(self, opened: LogOpened) -> None:
        before = self._cursor
        another = before is not None and not before.reads_on(opened)
        missed = 0 if before is None or another else before.missed(opened)
        cursor = (before or Cursor()).opened_at(opened)
        self._storage.opened(cursor, another)
        self._opened, self._beginning, self._cursor = opened, Beginning(another, missed), cursor

    def _store(
        self, segment: str, batch: Sequence[DecodedEvent], keys: Sequence[bytes], taken: Callable[[], None]
    ) -> None:
        assert self._cursor is not None
        fresh = self._storage.store(segment, batch, keys, self._cursor)
        self._cursor = self._cursor.after(segment, batch[-1])
        self._failed_before = False
        arrived = list(map(Arrived, [event.content for event in batch], fresh))
        self._loop.call_soon_threadsafe(self._show, arrived, taken)

    # In the loop.

    def _show(self, batch: list[Arrived], taken: Callable[[], None]) -> None:
        if self._closed:
            return  # it is stored, and the next start shows it
        self._showing += 1

        def shown() -> None:
            self._showing -= 1
            taken()

        self._listener.arrived(batch, shown)

    def _next_cursor(self) -> Cursor:
        return self._cursor or Cursor()

    def _due_since(self, last_sign: float) -> float | None:
        if self._showing:
            return None  # it waits for the screen, which may be a pipe that nobody reads for hours
        # An idle reader sends a heartbeat every second. One that is idle although our own message is in the log is
        # broken; one that still brings earlier events of the log is not.
        unread = self._own_unread_since()
        return last_sign if unread is None else min(last_sign, max(unread, self._brought))

    def _on_opened(self, opened: LogOpened) -> None:
        self._listener.opened(opened, self._beginning)


class _Listening:
    """Adapts the reader to streamcli.log.api.ReadListener."""

    def __init__(self, reader: Reader) -> None:
        self.cursor, self.due_since, self.opened = reader._next_cursor, reader._due_since, reader._on_opened
        self.connected, self.events, self.ended = reader._on_connected, reader._on_events, reader._on_ended
        self._reader = reader

    def caught_up(self) -> None:
        self._reader._post(self._reader._listener.caught_up)

    def stuck(self, passable: bool) -> None:
        self._reader._post(self._reader._listener.stuck, passable)
