"""What one terminal knows of the log: a pure fold of what the reader brings. No clock, no files, no threads.

Doubles are dropped here and nowhere else. A message's identity is its sender and id (a retry writes the same id again);
on one segment an event's offset is an identity too, and the position below which all has been taken.
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

    ``segments`` is 1 only when the stream has had one segment all its life, whose number is ``segment``: then offsets
    order all events. The server numbers on when a stream is deleted and made anew.
    """

    log: str
    segments: int
    start: int
    tail: int
    segment: int = 0


@dataclass(frozen=True)
class Seen:
    """What came of a batch: messages to draw and how many events could not be read, by reason."""

    messages: list[Message] = field(default_factory=list)
    unreadable: Counter[str] = field(default_factory=Counter)
    skipped: int = 0  # messages read but not drawn, which came before ``messages``


class State:
    """The fold. ``position`` is the offset below which all events have been taken (one segment only)."""

    def __init__(self) -> None:
        self.segments = 0
        self.position = 0
        self.tail = 0
        self.live = False
        self.people: dict[str, None] = {}  # in the order of who spoke last
        self._log: tuple[str, int] = ("", 0)
        self._start = 0
        # All identities since the start, for ever: a sender may repeat a message after days in an outage. A hash of
        # 128 bits is as good as the thing itself and takes about 110 bytes of memory, of the thing itself over 300.
        self._known: set[bytes] = set()
        self._repeats: Counter[bytes] = Counter()
        self._unread_repeats: Counter[Unreadable] = Counter()
        self._unread_known: Counter[Unreadable] = Counter()
        self._waiting: deque[Message] = deque(maxlen=SHOWN_AT_START)
        self._waiting_count = 0
        self._unreadable: Counter[str] = Counter()

    @property
    def log(self) -> str:
        """Which log ``position`` belongs to, for the read worker."""
        return place_name(*self._log)

    def open(self, opened: Opened) -> bool:
        """Take note that reading begins; True when this is not the log read before, so that nothing known holds."""
        first = self.segments == 0
        other = not first and not self._goes_on(opened)
        if other:
            self._known.clear()
            self._unread_known.clear()
            self.people.clear()
        self._repeats.clear()
        self._unread_repeats.clear()
        self._drop_waiting(opened.segments == 1 and not other)
        self.segments, self._log = opened.segments, (opened.log, opened.segment)
        self.position = self._start = opened.start
        self.tail, self.live = opened.tail, False
        return other
