"""`Scroll`: puts messages into the scrollback in the log's order, with what a reader needs between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, datetime

from streamcli.model.message import Message
from streamcli.ui import Screen
from streamcli.ui.days import Days
from streamcli.ui.render import MessageStyle

UNREADABLE_SAID_AFTER = 0.5  # seconds in which unreadable events are counted into one line


class Scroll:
    """What one terminal has drawn, as far as it matters for what comes next."""

    def __init__(
        self, style: MessageStyle, screen: Screen, today: date, later: Callable[[float, Callable[[], None]], object]
    ) -> None:
        """``later(seconds, what)`` calls ``what`` after a while."""
        self._style, self._screen, self._later = style, screen, later
        self._days = Days(style, today)
        self._unreadable: Counter[str] = Counter()

    def messages(self, messages: Sequence[Message], now: datetime | None = None) -> None:
        """Draw messages; ``now`` when they have come just now."""
        for day, message, off in self._days.divide(messages, now):
            if day:
                self._screen.note(self._style.day(day))
            self._screen.draw(self._style.message(message, off))

    def another_log(self) -> None:
        """What follows comes from another log."""
        self._days.another_log()

    def unreadable(self, reasons: Counter[str]) -> None:
        """Say, soon and in one line for many, that events could not be read."""
        if reasons and not self._unreadable:
            self._later(UNREADABLE_SAID_AFTER, self._say_unreadable)
        self._unreadable += reasons

    def _say_unreadable(self) -> None:
        reasons, self._unreadable = self._unreadable, Counter()
        self._screen.note(self._style.unreadable(reasons))
