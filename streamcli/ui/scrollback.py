"""`Scroll`: adds messages to the scrollback in log order, with day separators and notices between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, datetime

from streamcli.model.message import Message
from streamcli.ui import Screen
from streamcli.ui.days import Days
from streamcli.ui.render import MessageStyle

UNREADABLE_SAID_AFTER = 0.5  # seconds during which unreadable events are collected into one line


class Scroll:
    """Draws messages on one screen, and keeps the state that the next line depends on."""

    def __init__(
        self, style: MessageStyle, screen: Screen, today: date, later: Callable[[float, Callable[[], None]], object]
    ) -> None:
        """``later(seconds, what)`` calls ``what`` after that delay."""
        self._style, self._screen, self._later = style, screen, later
        self._days = Days(style, today)
        self._unreadable: Counter[str] = Counter()

    def messages(self, messages: Sequence[Message], now: datetime | None = None) -> None:
        """Draw messages; pass ``now`` when they have just arrived."""
        for day, message, off in self._days.divide(messages, now):
            if day:
                self._screen.note(self._style.day(day))
            self._screen.draw(self._style.message(message, off))

    def another_log(self) -> None:
        """Reset the skew detection: the messages that follow come from another log."""
        self._days.another_log()

    def unreadable(self, reasons: Counter[str]) -> None:
        """Report unreadable events: all that arrive within UNREADABLE_SAID_AFTER share one line."""
        if reasons and not self._unreadable:
            self._later(UNREADABLE_SAID_AFTER, self._say_unreadable)
        self._unreadable += reasons

    def _say_unreadable(self) -> None:
        reasons, self._unreadable = self._unreadable, Counter()
        self._screen.note(self._style.unreadable(reasons))
