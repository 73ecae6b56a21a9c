"""Who reads and appends in the tests of a log: they keep what they are told, and in which thread."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Sequence

from streamcli.log.api import Event, Log, ReadMode
from streamcli.model.cursor import Cursor, LogOpened
from streamcli.model.event import DecodedEvent
from streamcli.model.message import Unreadable
from tests.fake_controller import until

ENDS_WITHIN = 10.0  # seconds
HEAD = Cursor()


def segment_of(opened: LogOpened) -> str:
    """The name of the one segment; "" if its offsets are not known."""
    return next(iter(opened.starts), "")


def start_of(opened: LogOpened) -> int:
    """Where reading the one segment starts; 0 if its offsets are not known."""
    return opened.starts.get(segment_of(opened), 0)


def tail_of(opened: LogOpened) -> int:
    """Where the one segment ended when it was opened."""
    return opened.tails[segment_of(opened)]


def decoded(offset: int, end: int, data: bytes) -> DecodedEvent:
    """An event that nobody looks into."""
    return DecodedEvent(offset, end, data, Unreadable(offset, len(data), "empty"))


class Reading:
    """Reads a log (streamcli.log.api.ReadListener) and takes each batch at once, unless a test says otherwise."""

    def __init__(self, log: Log, cursor: Cursor | None = HEAD, mode: ReadMode = ReadMode.FOLLOW) -> None:
        """Begin at ``cursor``; None is the log's end."""
        self._cursor = cursor
        self.calls: list[str] = []  # those in the log's thread
        self.connections: list[LogOpened] = []  # by connected()
        self.openings: list[LogOpened] = []  # by opened()
        self.batches: list[list[Event]] = []
        self.takes, self.untaken = True, list[Callable[[], None]]()
        self.wrong_threads: list[str] = []
        self._loop_thread, self._loop = threading.current_thread(), asyncio.get_running_loop()
        self.connection = log.read(self, mode)

    @property
    def all(self) -> list[Event]:
        return [event for batch in self.batches for event in batch]

    @property
    def datas(self) -> list[bytes]:
        return [event.data for event in self.all]

    async def has(self, count: int) -> None:
        """Wait until so many events came in all."""
        await until(lambda: len(self.all) >= count)

    def take_all(self) -> None:
        """Take what was not taken, and from now on all at once."""
        self.takes = True
        for taken in self.untaken:
            taken()
        self.untaken.clear()

    def cursor(self) -> Cursor | None:
        self._in_the_loop("cursor")
        return self._cursor

    def connected(self, opened: LogOpened) -> None:
        self._in_a_thread("connected")
        self.connections.append(opened)
        self._cursor = (self._cursor or HEAD).opened_at(opened)

    def opened(self, opened: LogOpened) -> None:
        self._in_the_loop("opened")
        assert self.connection.is_open
        self.openings.append(opened)

    def events(self, segment: str, batch: list[Event], taken: Callable[[], None]) -> None:
        self._in_a_thread("events")
        for offset, end, data in batch:
            self._cursor = (self._cursor or HEAD).after(segment, decoded(offset, end, data))
        self.batches.append(batch)
        self._loop.call_soon_threadsafe(self._came, taken)

    def _came(self, taken: Callable[[], None]) -> None:
        if self.takes:
            taken()
        else:
            self.untaken.append(taken)

    def caught_up(self) -> None:
        self._in_a_thread("caught_up")

    def stuck(self, passable: bool) -> None:
        self._in_a_thread("stuck")

    def ended(self) -> None:
        self._in_a_thread("ended")

    def due_since(self, last_sign: float) -> float | None:
        self._in_the_loop("due_since")
        return None

    def _in_the_loop(self, what: str) -> None:
        if threading.current_thread() is not self._loop_thread:
            self.wrong_threads.append(what)

    def _in_a_thread(self, what: str) -> None:
        if threading.current_thread() is self._loop_thread:
            self.wrong_threads.append(what)
        self.calls.append(what)


class Appending:
    """Appends to a log (streamcli.log.api.AppendListener). All it is told comes in the loop."""

    def __init__(self, log: Log) -> None:
        self.logs: list[str] = []  # the id of each that was opened
        self.counts: list[int] = []  # of acknowledgements
        self.rejections: list[str] = []
        self.wrong_threads: list[str] = []
        self._loop_thread = threading.current_thread()
        self.connection = log.append_for(self)

    @property
    def count(self) -> int:
        """How many the server has acknowledged in all."""
        return sum(self.counts)

    async def opens(self, times: int = 1) -> None:
        """Wait until a connection was opened for the so manieth time."""
        await until(lambda: len(self.logs) >= times)

    async def appends(self, datas: Sequence[bytes], key: str = "lobby") -> None:
        """Append and wait until all is acknowledged."""
        before = self.count
        self.connection.append(key, list(datas))
        await until(lambda: self.count >= before + len(datas))

    def opened(self, log: str) -> None:
        self._in_the_loop("opened")
        assert self.connection.is_open
        self.logs.append(log)

    def acknowledged(self, count: int) -> None:
        self._in_the_loop("acknowledged")
        self.counts.append(count)

    def rejected(self, words: str) -> None:
        self._in_the_loop("rejected")
        self.rejections.append(words)

    def refused(self) -> None:
        self._in_the_loop("refused")

    def stream_gone(self) -> None:
        self._in_the_loop("stream_gone")

    def due_since(self, last_sign: float) -> float | None:
        self._in_the_loop("due_since")
        return None

    def _in_the_loop(self, what: str) -> None:
        if threading.current_thread() is not self._loop_thread:
            self.wrong_threads.append(what)


@contextlib.asynccontextmanager
async def used(*logs: Log) -> AsyncIterator[None]:
    """Run logs beside a test, and end them."""
    runs = [asyncio.create_task(log.run()) for log in logs]
    try:
        yield
    finally:
        for log in logs:
            log.kill()
        await asyncio.wait_for(asyncio.gather(*runs), ENDS_WITHIN)
        for log in logs:
            log.close()
