"""Day separators between messages in log order, the same in every view. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta

from streamcli.model.clock_skew import SkewDetector
from streamcli.model.message import Message
from streamcli.ui.render import MessageStyle

_DAY = timedelta(days=1)


class Days:
    """Decides for the messages of one view, in order, where a day separator goes and whose time is implausible."""

    def __init__(self, style: MessageStyle, today: date | None = None) -> None:
        """A view that begins with messages of ``today`` gets no separator before them."""
        self._style, self._today = style, today
        self._day: date | None = None
        self._clocks = SkewDetector()

    def another_log(self) -> None:
        """Forget earlier times: the messages that follow come from another log."""
        self._clocks = SkewDetector()

    def divide(
        self, messages: Sequence[Message], now: datetime | None = None
    ) -> Iterator[tuple[date | None, Message, timedelta | None]]:
        """Yield (day, message, skew): the day whose separator goes before the message, and the error of its time.

        Day and skew are None where there is none. Pass ``now`` when the messages have just arrived.
        """
        for message, off in zip(messages, self._clocks.judge(messages, now), strict=True):
            yield None if off else self._begun(self._style.local_day(message)), message, off

    def _begun(self, day: date | None) -> date | None:
        if day is None:
            return None
        if self._day is None:
            self._day = day
            return None if day == self._today else day
        # Clocks that differ by seconds would alternate between two days around midnight, so one day back is ignored.
        # A larger step back means that a wrong clock was corrected.
        if day in (self._day, self._day - _DAY):
            return None
        self._day = day
        return day
