"""One terminal's view of the log: a pure fold of what the reader brings. No clock, no files, no threads.

Duplicates were marked before, see `streamcli.storage.recorder`.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from streamcli.model.event import Arrived
from streamcli.model.message import Message, Unreadable

SHOWN_AT_START = 50
SHOWN_AFTER_A_GAP = 1000  # messages drawn after a reader was replaced: more would block the keyboard
KEPT_PEOPLE = 1000  # names to complete


@dataclass(frozen=True)
class FoldResult:
    """The result of a batch: messages to draw, and the number of unreadable events by reason."""

    messages: list[Message] = field(default_factory=list)
    unreadable: Counter[str] = field(default_factory=Counter)
    skipped: int = 0  # messages before ``messages`` that were read but not drawn


class Timeline:
    """Folds batches into the messages to draw and the people to complete."""

    def __init__(self) -> None:
        self.live = False
        self.people: dict[str, None] = {}  # the most recent speaker is last
        self._read_before = False
        self._waiting: deque[Message] = deque(maxlen=SHOWN_AT_START)
        self._waiting_count = 0
        self._unreadable: Counter[str] = Counter()

    def resume(self, shown: Iterable[Message]) -> None:
        """Start at the end of a history on disk, whose last messages are ``shown`` already."""
        self._remember_people(shown)

    def open(self, another: bool) -> None:
        """Handle the start of reading; forget held messages if it is ``another`` log."""
        if another:
            self._clear_waiting()
        elif self._read_before and self.live:
            # A user who has seen the past wants to see all that arrives now, as far as it can be read.
            self._waiting = deque(maxlen=SHOWN_AFTER_A_GAP)
        self._read_before, self.live = True, False

    def take(self, batch: Iterable[Arrived]) -> FoldResult:
        """Fold in a batch. Until catch-up ends, all messages are held, see :meth:`caught_up`."""
        fresh: list[Message] = []
        unreadable: Counter[str] = Counter()
        for content, is_fresh in batch:
            if not is_fresh:
                continue
            if isinstance(content, Unreadable):
                unreadable[content.reason] += 1
            else:
                fresh.append(content)
        self._remember_people(fresh[-SHOWN_AT_START:])
        if self.live:
            return FoldResult(fresh, unreadable)
        self._waiting.extend(fresh)
        self._waiting_count += len(fresh)
        self._unreadable += unreadable
        return FoldResult()

    def caught_up(self) -> FoldResult:
        """End the catch-up: return the last held messages, and how many came before them."""
        self.live = True
        seen = FoldResult(list(self._waiting), self._unreadable, self._waiting_count - len(self._waiting))
        self._clear_waiting()
        return seen

    def _remember_people(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self.people.pop(message.sender, None)
            self.people[message.sender] = None
        while len(self.people) > KEPT_PEOPLE:
            del self.people[next(iter(self.people))]

    def _clear_waiting(self) -> None:
        self._waiting = deque(maxlen=SHOWN_AT_START)
        self._waiting_count, self._unreadable = 0, Counter()
