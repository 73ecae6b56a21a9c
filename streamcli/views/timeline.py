"""What one terminal knows of the log: a pure fold of what the reader brings. No clock, no files, no threads.

Duplicates are dropped here, by their keys (streamcli.model.dedup_key). What the history already held arrives marked.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from streamcli.model.message import Message, Unreadable

SHOWN_AT_START = 50
SHOWN_AFTER_A_GAP = 1000  # of what came while a reader was replaced: more would hold up the keys
KEPT_PEOPLE = 1000  # names to complete


class DecodedEvent(NamedTuple):
    """One event from the log: the offset just past it (bytes), what it means, and its identity.

    It is not ``fresh`` when the history on disk held it already at the start: it moves the position and is not shown.
    """

    end: int
    content: Message | Unreadable
    key: bytes
    fresh: bool = True


@dataclass(frozen=True)
class LogOpened:
    """What the read worker says of the log it opened; ``start`` and ``tail`` are offsets in bytes.

    ``segments`` is 1 only when the stream has had one segment all its life: then offsets order all events, and
    ``place`` names what they are offsets in, so that a stream made anew is told from the one before.
    """

    log: str
    segments: int
    start: int
    tail: int
    place: str = ""


class LogPosition(NamedTuple):
    """How far which log was read: its id (a tag, "" for a stream of someone else's), what ``position`` counts in."""

    log: str = ""
    place: str = ""
    position: int = 0

    def goes_on(self, opened: LogOpened) -> bool:
        """Whether ``opened`` is the same log, read on from here."""
        # What was split has no place any more, and never gets one again.
        # Who begins further on missed what was cut off the head meanwhile; who begins before reads something else.
        forward = opened.place == self.place and opened.start >= self.position
        return opened.log == self.log and (opened.segments > 1 or forward)


@dataclass(frozen=True)
class FoldResult:
    """What came of a batch: messages to draw and how many events could not be read, by reason."""

    messages: list[Message] = field(default_factory=list)
    unreadable: Counter[str] = field(default_factory=Counter)
    skipped: int = 0  # messages read but not drawn, which came before ``messages``


class Timeline:
    """The fold."""

    def __init__(self) -> None:
        self.place: LogPosition | None = None  # None before the first log
        self.segments = 0
        self.missed = 0  # bytes that were cut off the log's head before this reader could read them
        self.tail = 0
        self.live = False
        self.people: dict[str, None] = {}  # in the order of who spoke last
        self._start = 0
        # All identities, for as long as we run: a sender may repeat a message after days of an outage, and on several
        # segments a new worker brings everything again.
        self._known: set[bytes] = set()
        self._waiting: deque[Message] = deque(maxlen=SHOWN_AT_START)
        self._waiting_count = 0
        self._unreadable: Counter[str] = Counter()

    @property
    def position(self) -> int:
        """The offset below which all events have been taken (one segment only)."""
        return self.place.position if self.place else 0

    def resume(self, place: LogPosition, shown: Iterable[Message], keys: Iterable[bytes]) -> None:
        """Begin where a history on disk ends, whose last messages are ``shown`` already."""
        self.place = place
        self._known.update(keys)
        self._remember_people(shown)

    def open(self, opened: LogOpened) -> bool:
        """Take note that reading begins; True when this is not the log read before, so that nothing known holds."""
        other = self.place is not None and not self.place.goes_on(opened)
        if other:
            self._known.clear()
            self._clear_waiting()
        elif self.segments and self.live:
            # Who has seen what came before wants to see what comes now, all that somebody can read.
            self._waiting = deque(maxlen=SHOWN_AFTER_A_GAP)
        self.missed = 0 if self.place is None or other or opened.segments > 1 else opened.start - self.place.position
        self.place, self.segments = LogPosition(opened.log, opened.place, opened.start), opened.segments
        self._start, self.tail, self.live = opened.start, opened.tail, False
        return other

    def take(self, batch: Iterable[DecodedEvent]) -> FoldResult:
        """Fold in a batch. Until the reader has caught up all is kept back, see :meth:`caught_up`."""
        fresh: list[Message] = []
        unreadable: Counter[str] = Counter()
        position = self.position
        for end, content, key, is_fresh in batch:
            position = max(position, end)
            if not is_fresh or key in self._known:
                continue
            self._known.add(key)
            if isinstance(content, Unreadable):
                unreadable[content.reason] += 1
            else:
                fresh.append(content)
        if self.place and self.segments == 1:
            self.place = self.place._replace(position=position)
        self._remember_people(fresh[-SHOWN_AT_START:])
        if self.live:
            return FoldResult(fresh, unreadable)
        self._waiting.extend(fresh)
        self._waiting_count += len(fresh)
        self._unreadable += unreadable
        return FoldResult()

    def caught_up(self) -> FoldResult:
        """What follows is live: the last messages of what was kept back, and how many came before them."""
        self.live = True
        seen = FoldResult(list(self._waiting), self._unreadable, self._waiting_count - len(self._waiting))
        self._clear_waiting()
        return seen

    @property
    def progress(self) -> float | None:
        """How much of what there was at the start is read, 0 to 1; None when live or not known in bytes."""
        if self.live or self.segments != 1 or self.tail <= self._start:
            return None
        return min(1.0, (self.position - self._start) / (self.tail - self._start))

    def _remember_people(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self.people.pop(message.sender, None)
            self.people[message.sender] = None
        while len(self.people) > KEPT_PEOPLE:
            del self.people[next(iter(self.people))]

    def _clear_waiting(self) -> None:
        self._waiting = deque(maxlen=SHOWN_AT_START)
        self._waiting_count, self._unreadable = 0, Counter()
