"""Where a day line stands between messages, the same in every view: one for each day, in the log's order. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta

from streamcli.model.clock_skew import SkewDetector
from streamcli.model.message import Message
from streamcli.ui.render import MessageStyle

_DAY = timedelta(days=1)


class Days:
    """Judges the messages of one view in order: under which day each stands, and whether its time is plausible."""

    def __init__(self, style: MessageStyle, today: date | None = None) -> None:
        """``today`` needs no line before the first message of the view."""
        self._style, self._today = style, today
        self._day: date | None = None
        self._clocks = SkewDetector()

    def another_log(self) -> None:
        """What follows comes from another log: the times of what was judged so far say nothing about it."""
        self._clocks = SkewDetector()

    def divide(
        self, messages: Sequence[Message], now: datetime | None = None
    ) -> Iterator[tuple[date | None, Message, timedelta | None]]:
        """Yield each message after the day whose line stands before it, if one does, and by how much its time is off.

        ``now`` when the messages have come just now.
        """
        for message, off in zip(messages, self._clocks.judge(messages, now), strict=True):
            yield None if off else self._begun(self._style.local_day(message)), message, off

    def _begun(self, day: date | None) -> date | None:
        if day is None:
            return None
        if self._day is None:
            self._day = day
            return None if day == self._today else day
        # Around midnight two clocks that differ by seconds would go back and forth. More than a day back is no such
        # thing: a clock was set right, and what follows must not stand under a day that is still to come.
        if day in (self._day, self._day - _DAY):
            return None
        self._day = day
        return day
