"""A stream in memory: what would stand on the server, for tests. Its events, and who is to hear of another one.

Several `tests.memory_log.MemoryLog`s may share one. All its methods may be called in any thread.
"""

from __future__ import annotations

import itertools
import threading
import zlib
from collections.abc import Callable

from streamcli.log.api import Event
from streamcli.model.cursor import Cursor, LogOpened
from streamcli.model.fingerprint import fingerprint

HEAD_BYTES = 8  # of an event, before its data
BATCH, BATCH_BYTES = 2000, 1 << 20  # the most in a batch, unless a single event has more bytes


class Made:
    """One stream of the name, from when it was made until it is deleted. All use is under the `MemoryStream`'s lock."""

    def __init__(self, log: str, segments: int) -> None:
        self.log = log
        self.segments = segments
        self.segment = f"{log}#0" if segments == 1 else ""
        self.events: list[Event] = []  # in the order in which they came, whichever segment they stand in
        self.first, self.head = 0, 0  # what is not cut off: the first event's index, and its offset
        self._tails = [0] * segments

    @property
    def tail(self) -> int:
        """Offset just past the newest event of the one segment."""
        return self._tails[0]

    def add(self, key: str, data: bytes) -> None:
        """Append to the segment that ``key`` belongs to."""
        number = zlib.crc32(key.encode()) % self.segments
        offset = self._tails[number]
        self._tails[number] = end = offset + HEAD_BYTES + len(data)
        self.events.append(Event(offset, end, data))

    def open(self, cursor: Cursor | None) -> tuple[LogOpened, int]:
        """How reading from ``cursor``, or from the end, begins, and the first event's index."""
        if self.segments > 1:
            return LogOpened(self.log, self.segments), 0
        if cursor is None:
            return LogOpened.one(self.log, self.tail, self.tail), len(self.events)
        position = cursor.at(self.segment, -1)
        start = position if self.head <= position <= self.tail and self._holds(cursor.last) else self.head
        index = next((i for i, event in enumerate(self.events) if event.offset >= start), len(self.events))
        return LogOpened(self.log, 1, {self.segment: start}, {self.segment: self.tail}), index

    def _holds(self, last: tuple[str, int, bytes] | None) -> bool:
        if last is None or last[0] != self.segment or last[1] < self.head:
            return True
        return any(event.offset == last[1] and fingerprint(event.data) == last[2] for event in self.events)

    def batch(self, index: int, end: int) -> list[Event]:
        """The next events from ``index`` on, below ``end``; at least one."""
        batch: list[Event] = []
        size = 0
        for event in self.events[index : min(end, index + BATCH)]:
            size += len(event.data)
            if batch and size > BATCH_BYTES:
                break
            batch.append(event)
        return batch

    def cut_head(self, offset: int) -> None:
        """Cut off what is below ``offset``."""
        assert self.segments == 1
        self.head = offset
        self.first = next((i for i, event in enumerate(self.events) if event.offset >= offset), len(self.events))


class MemoryStream:
    """A name on a server that does not exist, and the stream that has this name now."""

    def __init__(self, segments: int = 1, tagged: bool = True) -> None:
        """``segments`` is of each stream that is made; an untagged log has no id, as one that somebody else made."""
        self.changed = threading.Condition()
        self.made: Made | None = None  # no stream has the name before somebody makes one
        self.watchers: list[Callable[[], None]] = []  # called, in any thread, when another stream has the name
        self._segments, self._tagged = segments, tagged
        self._numbers = itertools.count(1)

    def make(self) -> Made:
        """The stream, made if it is missing. Under the lock."""
        if self.made is None:
            self.made = Made(f"log-{next(self._numbers)}" if self._tagged else "", self._segments)
            self._tell()
        return self.made

    def write(self, *datas: bytes, key: str = "lobby") -> None:
        """As somebody else: append events; they are in the log when this returns."""
        with self.changed:
            for data in datas:
                self.make().add(key, data)
            self.changed.notify_all()

    def events(self) -> list[Event]:
        """All that is in the log."""
        with self.changed:
            return self.made.events[self.made.first :] if self.made else []

    def delete(self) -> None:
        """Delete the stream. Who appends is told; who reads waits for ever, as with a real one."""
        with self.changed:
            self.made = None
            self._tell()

    def make_anew(self, segments: int | None = None) -> None:
        """Delete the stream, and make one of the same name, with another id."""
        with self.changed:
            self._segments = segments or self._segments
            self.made = None
            self.make()

    def cut_head(self, offset: int) -> None:
        """Cut off the head of a log of one segment: what is below ``offset``, where an event begins."""
        with self.changed:
            self.make().cut_head(offset)

    def _tell(self) -> None:
        for watcher in self.watchers:
            watcher()
