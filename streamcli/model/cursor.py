"""Cursor: how far a log was read, and whether a newly opened log is the same one. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from streamcli.model.fingerprint import fingerprint
from streamcli.model.segment import segment_name, segment_number


class Located(Protocol):
    """An event of a segment, whether decoded or not."""

    @property
    def offset(self) -> int:
        """Its offset, in bytes."""

    @property
    def end(self) -> int:
        """The offset just past it."""

    @property
    def data(self) -> bytes:
        """Its bytes."""


@dataclass(frozen=True)
class LogOpened:
    """What a connection knows of a log when it starts to read.

    ``log`` is the log's random tag, "" for a stream that another program created. ``segments`` is 1 only if the stream
    has always had one segment.

    ``starts`` maps the name of each segment to the offset (bytes) where reading it starts, and ``tails`` to the offset
    of its end at that time; a segment that is only in ``tails`` follows others and is read from 0. A name
    (`segment_name`) tells a recreated stream's segments from its predecessor's. Both are empty for a client that does
    not know the offsets of several segments.
    """

    log: str
    segments: int
    starts: Mapping[str, int] = field(default_factory=dict)
    tails: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def one(cls, log: str, start: int, tail: int, number: int = 0) -> LogOpened:
        """A log that has always had one segment."""
        name = segment_name(log, number)
        return cls(log, 1, {name: start}, {name: tail})

    def share(self, cursor: Cursor) -> float | None:
        """The share of what the log held when it was opened that was read up to ``cursor``; None if it held nothing."""
        held = read = 0
        for segment, tail in self.tails.items():
            start = self.starts.get(segment, 0)
            held += tail - start
            read += min(cursor.at(segment, start), tail) - start
        return read / held if held > 0 else None


@dataclass(frozen=True)
class Cursor:
    """How far a log was read. The `Reader` owns it, the history stores it.

    ``offsets`` maps a segment to the offset (bytes) below which all of it was read; it is empty where offsets are not
    known. Segments that have ended and were read to their end may remain in it. ``last`` is the last event read: its
    segment, offset and fingerprint, used to recognise the log.
    """

    log: str = ""
    offsets: Mapping[str, int] = field(default_factory=dict)
    last: tuple[str, int, bytes] | None = None

    def at(self, segment: str, otherwise: int = 0) -> int:
        """The offset below which ``segment`` was read."""
        return self.offsets.get(segment, otherwise)

    def reads_on(self, opened: LogOpened) -> bool:
        """Whether ``opened`` is the same log and continues from this cursor."""
        if opened.log != self.log:
            return False
        if not (opened.starts and self.offsets):
            return opened.segments > 1  # a stream that was scaled never counts as having one segment again
        if both := self.offsets.keys() & opened.starts.keys():
            # A later start means that the log's head was truncated meanwhile; an earlier start means another log.
            return all(opened.starts[segment] >= self.offsets[segment] for segment in both)
        # All that was read from has ended. What follows is newer.
        newest = max(map(segment_number, self.offsets))
        return opened.segments > 1 and max(map(segment_number, opened.starts)) > newest

    def missed(self, opened: LogOpened) -> int:
        """The bytes between this cursor and where ``opened`` starts, known to be truncated; 0 for an unread segment."""
        return sum(max(0, start - self.at(segment, start)) for segment, start in opened.starts.items())

    def opened_at(self, opened: LogOpened) -> Cursor:
        """The cursor at which reading ``opened`` starts."""
        known = self.last is not None and self.last[0] in opened.starts
        return Cursor(opened.log, dict(opened.starts), self.last if known else None)

    def after(self, segment: str, event: Located) -> Cursor:
        """The cursor after reading ``event`` of ``segment``; unchanged where offsets are not known."""
        if not self.offsets:
            return self
        end = max(self.at(segment), event.end)
        last = (segment, event.offset, fingerprint(event.data))
        return replace(self, offsets={**self.offsets, segment: end}, last=last)
