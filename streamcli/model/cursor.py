"""How far a log was read, and whether a log that was just opened is the one read before. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from streamcli.model.event import DecodedEvent
from streamcli.model.fingerprint import fingerprint


@dataclass(frozen=True)
class LogOpened:
    """What is known of a log when reading begins. ``start`` and ``tail`` are offsets in bytes.

    ``log`` is the log's id: a random tag, "" for a stream that somebody else made. ``segments`` is 1 only when the
    stream has had one segment all its life. Then offsets order all events, and ``segment`` names what they are offsets
    in, so that a stream made anew is told from the one before. On several segments ``segment`` is "".
    """

    log: str
    segments: int
    start: int
    tail: int
    segment: str = ""


@dataclass(frozen=True)
class Cursor:
    """How far which log was read. The one value of its kind; the `Reader` owns it and the history stores it.

    ``offsets`` says for each segment below which offset (bytes) all of it was read. It holds one segment or, where
    offsets don't order the log, none. ``last`` is the last event's offset and fingerprint, to know the log again by.
    """

    log: str = ""
    offsets: Mapping[str, int] = field(default_factory=dict)
    last: tuple[int, bytes] | None = None

    @property
    def segment(self) -> str:
        """What ``position`` is an offset in; "" where offsets don't order the log."""
        return next(iter(self.offsets), "")

    @property
    def position(self) -> int:
        """The offset below which all was read; 0 where offsets don't order the log."""
        return next(iter(self.offsets.values()), 0)

    def reads_on(self, opened: LogOpened) -> bool:
        """Whether ``opened`` is the same log, read on from here."""
        # A stream that was split has no single segment any more, and never gets one again. A start further on means
        # that the log's head was cut off meanwhile; a start further back means another log.
        forward = opened.segment == self.segment and opened.start >= self.position
        return opened.log == self.log and (opened.segments > 1 or forward)

    def opened_at(self, opened: LogOpened) -> Cursor:
        """The cursor with which reading ``opened`` begins."""
        offsets = {opened.segment: opened.start} if opened.segments == 1 else {}
        return Cursor(opened.log, offsets, self.last if opened.segment == self.segment else None)

    def after(self, event: DecodedEvent) -> Cursor:
        """The cursor when ``event`` was read; the same where offsets don't order the log."""
        if not self.offsets:
            return self
        end = max(self.position, event.end)
        return replace(self, offsets={self.segment: end}, last=(event.offset, fingerprint(event.data)))
