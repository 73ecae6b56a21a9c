"""Appends to the log for all guests: one connection, whose acknowledgements go to whose events they are for."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Final, NamedTuple

from streamcli.log.api import Log

MAX_WAITING: Final = 4 << 20  # bytes that are not acknowledged: beyond, no more is read from guests


class _Waiting(NamedTuple):
    """An event that is not acknowledged: whom to tell, its size in bytes, and when it was handed over."""

    written: Callable[[int], None]
    size: int
    since: float


class SharedWriter:
    """Hands events over (implements streamcli.log.api.AppendListener). All calls are for the loop's thread."""

    def __init__(
        self,
        log: Log,
        on_opened: Callable[[], None],
        on_gone: Callable[[], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``on_opened`` is called when events can be appended; those that were not acknowledged before, once more.

        ``on_gone`` is called when the stream no longer exists.
        """
        self.life = 0  # how often it was opened
        self.log = ""
        self.room = asyncio.Event()  # set while more events may be appended
        self.room.set()
        self._on_opened, self._on_gone, self._now = on_opened, on_gone, now
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self.connection = log.append_for(self)

    @property
    def is_open(self) -> bool:
        """Whether events can be appended."""
        return self.connection.is_open

    def append(self, routing_key: str, data: bytes, written: Callable[[int], None]) -> None:
        """Append an event; ``written`` is called with a count when so many of its calls' events are in the log.

        It is not called for what is open when the connection breaks.
        """
        self._waiting.append(_Waiting(written, len(data), self._now()))
        self._bytes += len(data)
        if self._bytes > MAX_WAITING:
            self.room.clear()
        self.connection.append(routing_key, [data])

    def opened(self, log: str) -> None:
        """Forget what an earlier connection did not acknowledge: guests send it again."""
        self._waiting.clear()
        self._bytes = 0
        self.room.set()
        self.life += 1
        self.log = log
        self._on_opened()

    def acknowledged(self, count: int) -> None:
        """Tell each guest how many of these were theirs."""
        counts: Counter[Callable[[int], None]] = Counter()
        for _ in range(min(count, len(self._waiting))):
            one = self._waiting.popleft()
            self._bytes -= one.size
            counts[one.written] += 1
        if self._bytes <= MAX_WAITING:
            self.room.set()
        for written, number in counts.items():
            written(number)

    def refused(self) -> None:
        """Ignore it: the log's status says it."""

    def rejected(self, words: str) -> None:
        """Never happens: a server of Pravega's takes all events of a permitted size."""

    def stream_gone(self) -> None:
        """Have the reader replaced, which would wait for ever."""
        self._on_gone()

    def due_since(self, last_sign: float) -> float | None:
        """Return since when an acknowledgement has been due."""
        return max(last_sign, self._waiting[0].since) if self._waiting else None
