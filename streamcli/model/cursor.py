"""Cursor: how far a log was read, and whether a newly opened log is the same one. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from streamcli.model.event import DecodedEvent
from streamcli.model.fingerprint import fingerprint


@dataclass(frozen=True)
class LogOpened:
    """What a reader knows of a log when it starts. ``start`` (head) and ``tail`` are offsets in bytes.

    ``log`` is the log's random tag, "" for a stream that another program created. ``segments`` is 1 only if the stream
    has always had one segment. Then offsets order all events, and ``segment`` names the segment, which tells a
    recreated stream from its predecessor. Otherwise ``segment`` is "".
    """

    log: str
    segments: int
    start: int
    tail: int
    segment: str = ""


@dataclass(frozen=True)
class Cursor:
    """How far a log was read. The `Reader` owns it, the history stores it.

    ``offsets`` maps a segment to the offset (bytes) below which all of it was read. It has one entry or, where offsets
    don't order the log, none. ``last`` is the last event's offset and fingerprint, used to recognise the log.
    """

    log: str = ""
    offsets: Mapping[str, int] = field(default_factory=dict)
    last: tuple[int, bytes] | None = None

    @property
    def segment(self) -> str:
        """The segment that ``position`` belongs to; "" where offsets don't order the log."""
        return next(iter(self.offsets), "")

    @property
    def position(self) -> int:
        """The offset below which everything was read; 0 where offsets don't order the log."""
        return next(iter(self.offsets.values()), 0)

    def reads_on(self, opened: LogOpened) -> bool:
        """Whether ``opened`` is the same log and continues from this cursor."""
        # A stream that was scaled never counts as having one segment again. A later start means that the log's head was
        # truncated meanwhile; an earlier start means another log.
        forward = opened.segment == self.segment and opened.start >= self.position
        return opened.log == self.log and (opened.segments > 1 or forward)

    def opened_at(self, opened: LogOpened) -> Cursor:
        """The cursor at which reading ``opened`` starts."""
        offsets = {opened.segment: opened.start} if opened.segments == 1 else {}
        return Cursor(opened.log, offsets, self.last if opened.segment == self.segment else None)

    def after(self, event: DecodedEvent) -> Cursor:
        """The cursor after reading ``event``; unchanged where offsets don't order the log."""
        if not self.offsets:
            return self
        end = max(self.position, event.end)
        return replace(self, offsets={self.segment: end}, last=(event.offset, fingerprint(event.data)))
