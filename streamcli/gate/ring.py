"""The last events of the log, which the gate keeps for all guests. Pure.

A guest who has read up to the ring's beginning, or further, is served from it alone. Anybody else first reads the log
itself, until that is so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Final, NamedTuple

from streamcli.log.api import Event
from streamcli.log.frames import join_events, pack_events, split_events
from streamcli.model.cursor import Cursor, LogOpened
from streamcli.model.fingerprint import fingerprint
from streamcli.model.segment import segment_number

LIMIT: Final = 4 << 20  # bytes of events
# Bytes of events that are sent together, unless a single batch has more. Each frame is answered, and who answers none
# for 20 s is taken for gone: with frames of this size nobody is who gets 13 KB a second.
MAX_FRAME: Final = 1 << 18


class Batch(NamedTuple):
    """Events of one segment that came together; ``frame`` is how they are sent."""

    segment: str
    first: int  # offset of the first event
    last: int  # of the last
    end: int  # the offset just past it
    fingerprint: bytes  # of the last event
    frame: bytes


class Ring:
    """Batches in the order in which they came, numbered from 0 on; the oldest are dropped."""

    def __init__(self, limit: int = LIMIT) -> None:
        """Keep at most ``limit`` bytes of events, but always the last batch."""
        self._limit = limit
        self._batches: deque[Batch] = deque()
        self._size = 0
        self.begin = 0  # the number of the oldest batch
        self.base = self.cursor = Cursor()  # how far the log was read before the oldest batch, and after the last

    @property
    def end(self) -> int:
        """The number that the next batch gets."""
        return self.begin + len(self._batches)

    def opened(self, opened: LogOpened) -> bool:
        """Go on at ``opened`` if it goes on exactly there; else begin anew and return False."""
        starts = {segment: self.cursor.at(segment, -1) for segment in opened.starts}
        if self.cursor.log == opened.log and self.cursor.offsets and starts == dict(opened.starts):
            return True
        last = self.cursor.last if self.cursor.log == opened.log else None
        self.begin = self.end
        self._batches.clear()
        self._size = 0
        self.base = self.cursor = Cursor(opened.log, dict(opened.starts), last)
        return False

    def add(self, segment: str, events: Sequence[Event]) -> None:
        """Add events that follow all earlier ones of their segment."""
        last = events[-1]
        frame = pack_events([(event.offset, event.data) for event in events], segment_number(segment))
        self._batches.append(Batch(segment, events[0].offset, last.offset, last.end, fingerprint(last.data), frame))
        self._size += len(frame)
        self.cursor = self.cursor.after(segment, last)
        while self._size > self._limit and len(self._batches) > 1:
            self._drop()

    def _drop(self) -> None:
        oldest = self._batches.popleft()
        self._size -= len(oldest.frame)
        self.begin += 1
        offsets = {**self.base.offsets, oldest.segment: oldest.end}
        self.base = Cursor(self.base.log, offsets, (oldest.segment, oldest.last, oldest.fingerprint))

    def follows(self, cursor: Cursor) -> bool:
        """Whether all that follows ``cursor`` is in the ring or still to come."""
        if cursor.log != self.cursor.log or not self.cursor.offsets:
            return False
        if any(cursor.at(segment) < offset for segment, offset in self.base.offsets.items()):
            return False
        return all(offset <= self.cursor.at(segment, offset) for segment, offset in cursor.offsets.items())

    def is_there(self, cursor: Cursor) -> bool:
        """Whether the ring knows that the last event before ``cursor`` is in this log."""
        if cursor.last is None or cursor.last == self.base.last:
            return True
        segment, offset, wanted = cursor.last
        for batch in self._batches:
            if batch.segment == segment and batch.first <= offset <= batch.last:
                return any(at == offset and fingerprint(data) == wanted for at, data in split_events(batch.frame))
        return False

    def after(self, number: int, cursor: Cursor) -> tuple[int, bytes, Cursor]:
        """Return what to send to who has read up to ``cursor`` and was given all batches before ``number``.

        That is the number to ask for next, a frame with events of one segment (b"" if all were given), and the cursor
        after them. Batches of one segment that follow each other are joined.
        """
        segment, frames, size = "", list[bytes](), 0
        for batch in islice(self._batches, number - self.begin, None):
            behind = cursor.at(batch.segment)
            if batch.end > behind:
                if frames and (batch.segment != segment or size + len(batch.frame) > MAX_FRAME):
                    break
                segment = batch.segment
                frames.append(batch.frame if batch.first >= behind else _rest(batch, behind))
                size += len(batch.frame)
                last = (segment, batch.last, batch.fingerprint)
                cursor = Cursor(cursor.log, {**cursor.offsets, segment: batch.end}, last)
            number += 1
        return number, join_events(frames), cursor


def _rest(batch: Batch, behind: int) -> bytes:
    events = [event for event in split_events(batch.frame) if event[0] >= behind]
    return pack_events(events, segment_number(batch.segment))
