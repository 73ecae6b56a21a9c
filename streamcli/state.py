"""What one terminal knows of the log: a pure fold of what the reader brings. No clock, no files, no threads.

Doubles are dropped here and nowhere else. A message's identity is its sender and id (a retry writes the same id again);
on one segment an event's offset is an identity too, and the position below which all has been taken.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from streamcli.message import Message, Unreadable

SHOWN_AT_START = 50


class Arrived(NamedTuple):
    """One event from the log; ``end`` is the offset just past it, in bytes."""

    end: int
    content: Message | Unreadable


@dataclass(frozen=True)
class Opened:
    """What the read worker says of the log it opened; ``start`` and ``tail`` are offsets in bytes."""

    log: str
    segments: int
    start: int
    tail: int


@dataclass(frozen=True)
class Seen:
    """What came of a batch: messages to draw and how many events could not be read, by reason."""

    messages: list[Message] = field(default_factory=list)
    unreadable: Counter[str] = field(default_factory=Counter)
    skipped: int = 0  # messages read but not drawn, which came before ``messages``


class State:
    """The fold. ``position`` is the offset below which all events have been taken (one segment only)."""

    def __init__(self) -> None:
        self.log = ""
        self.segments = 0
        self.position = 0
        self.tail = 0
        self.live = False
        self.people: dict[str, None] = {}  # in the order of who spoke last
        self._start = 0
        self._known: set[tuple[str, str]] = set()
        self._waiting: deque[Message] = deque(maxlen=SHOWN_AT_START)
        self._waiting_count = 0
        self._unreadable: Counter[str] = Counter()

    def open(self, opened: Opened) -> bool:
        """Take note that reading begins; True when this is not the log read before, so that nothing known holds."""
        first = self.segments == 0
        other = not first and (
            opened.log != self.log
            or opened.segments != self.segments
            or (opened.segments == 1 and opened.start != self.position)
        )
        if first or other:
            self._known.clear()
        self.log, self.segments = opened.log, opened.segments
        self.position = self._start = opened.start
        self.tail, self.live = opened.tail, False
        return other

    def take(self, batch: Iterable[Arrived]) -> Seen:
        """Fold in a batch. Until the reader has caught up all is kept back, see :meth:`caught_up`."""
        fresh: list[Message] = []
        unreadable: Counter[str] = Counter()
        for end, content in batch:
            if self.segments == 1:
                if end <= self.position:
                    continue
                self.position = end
            if isinstance(content, Unreadable):
                unreadable[content.reason] += 1
            elif (key := (content.sender, content.id)) not in self._known:
                self._known.add(key)
                fresh.append(content)
        for message in fresh[-SHOWN_AT_START:]:
            self.people.pop(message.sender, None)
            self.people[message.sender] = None
        if self.live:
            return Seen(fresh, unreadable)
        self._waiting.extend(fresh)
        self._waiting_count += len(fresh)
        self._unreadable += unreadable
        return Seen()

    def caught_up(self) -> Seen:
        """What follows is live: the last messages of what was kept back, and how many came before them."""
        self.live = True
        seen = Seen(list(self._waiting), self._unreadable, self._waiting_count - len(self._waiting))
        self._waiting.clear()
        self._waiting_count, self._unreadable = 0, Counter()
        return seen

    @property
    def progress(self) -> float | None:
        """How much of what there was at the start is read, 0 to 1; None when live or not known in bytes."""
        if self.live or self.segments != 1 or self.tail <= self._start:
            return None
        return min(1.0, (self.position - self._start) / (self.tail - self._start))
