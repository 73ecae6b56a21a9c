"""What one terminal knows of the log: a pure fold of what the reader brings. No clock, no files, no threads.

Doubles are dropped here and nowhere else. A message's identity is its sender and id (a retry writes the same id again);
that of an event without an id is its offset and bytes.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

from streamcli.message import Message, Unreadable

SHOWN_AT_START = 50
KEPT_PEOPLE = 1000  # names to complete
_MADE_UP_ID = re.compile(r"o\d+-[0-9a-f]{16}")  # message.decode's for an event without an id


class Arrived(NamedTuple):
    """One event from the log; ``end`` is the offset just past it, in bytes."""

    end: int
    content: Message | Unreadable


@dataclass(frozen=True)
class Opened:
    """What the read worker says of the log it opened; ``start`` and ``tail`` are offsets in bytes.

    ``segments`` is 1 only when the stream has had one segment all its life: then offsets order all events, and
    ``place`` names what they are offsets in, so that a stream made anew is told from the one before.
    """

    log: str
    segments: int
    start: int
    tail: int
    place: str = ""


@dataclass(frozen=True)
class Seen:
    """What came of a batch: messages to draw and how many events could not be read, by reason."""

    messages: list[Message] = field(default_factory=list)
    unreadable: Counter[str] = field(default_factory=Counter)
    skipped: int = 0  # messages read but not drawn, which came before ``messages``


class State:
    """The fold. ``position`` is the offset below which all events have been taken (one segment only)."""

    def __init__(self) -> None:
        self.log = ""  # the place that ``position`` belongs to
        self.segments = 0
        self.position = 0
        self.tail = 0
        self.live = False
        self.people: dict[str, None] = {}  # in the order of who spoke last
        self._stream = ""
        self._start = 0
        # All identities, for as long as we run: a sender may repeat a message after days of an outage, and on several
        # segments a new worker brings everything again. 128 bits of hash are as exact and take 100 bytes, not 300.
        self._known: set[bytes] = set()
        self._same: Counter[bytes] = Counter()
        self._waiting: deque[Message] = deque(maxlen=SHOWN_AT_START)
        self._waiting_count = 0
        self._unreadable: Counter[str] = Counter()

    def open(self, opened: Opened) -> bool:
        """Take note that reading begins; True when this is not the log read before, so that nothing known holds."""
        goes_on = self.segments > 0 and self._goes_on(opened)
        other = self.segments > 0 and not goes_on
        if other:
            self._known.clear()
            self._clear_waiting()
        if goes_on and self.live:
            self._waiting = deque()  # who has seen what came before wants to see all that comes now
        self._same.clear()
        self._stream, self.log, self.segments = opened.log, opened.place, opened.segments
        self.position = self._start = opened.start
        self.tail, self.live = opened.tail, False
        return other

    def _goes_on(self, opened: Opened) -> bool:
        # What was split has no place any more, and never gets one again.
        # Who begins further on missed what was cut off the head meanwhile; who begins before reads something else.
        forward = opened.place == self.log and opened.start >= self.position
        return opened.log == self._stream and (opened.segments > 1 or forward)

    def take(self, batch: Iterable[Arrived]) -> Seen:
        """Fold in a batch. Until the reader has caught up all is kept back, see :meth:`caught_up`."""
        fresh: list[Message] = []
        unreadable: Counter[str] = Counter()
        for end, content in batch:
            if self.segments == 1:
                self.position = max(self.position, end)
            key = self._identity(content)
            if key in self._known:
                continue
            self._known.add(key)
            if isinstance(content, Unreadable):
                unreadable[content.reason] += 1
            else:
                fresh.append(content)
        self._remember_people(fresh[-SHOWN_AT_START:])
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
        self._clear_waiting()
        return seen

    @property
    def progress(self) -> float | None:
        """How much of what there was at the start is read, 0 to 1; None when live or not known in bytes."""
        if self.live or self.segments != 1 or self.tail <= self._start:
            return None
        return min(1.0, (self.position - self._start) / (self.tail - self._start))

    def _identity(self, content: Message | Unreadable) -> bytes:
        if isinstance(content, Unreadable):
            key, by_offset = _hash(f"{content.offset} {content.size}", content.reason), True
        else:
            key, by_offset = _hash(content.id, content.sender), _MADE_UP_ID.fullmatch(content.id) is not None
        if not by_offset or self.segments == 1:
            return key
        # The same bytes at the same offset of two segments are two events. A worker's life brings each once, so the
        # n-th of this life is the n-th of any other.
        self._same[key] += 1
        return key if self._same[key] == 1 else _hash(str(self._same[key]), key.hex())

    def _remember_people(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self.people.pop(message.sender, None)
            self.people[message.sender] = None
        while len(self.people) > KEPT_PEOPLE:
            del self.people[next(iter(self.people))]

    def _clear_waiting(self) -> None:
        self._waiting = deque(maxlen=SHOWN_AT_START)
        self._waiting_count, self._unreadable = 0, Counter()


def _hash(id: str, sender: str) -> bytes:
    # The length keeps apart what would be one text when joined.
    return blake2b(f"{len(id)} {id}{sender}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
