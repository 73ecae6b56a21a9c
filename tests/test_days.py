"""Day lines: one for each day, in the order of the log, whatever the senders' clocks say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta, timezone

import pytest

from streamcli.model.message import Chat
from streamcli.ui.days import Days
from streamcli.ui.render import MessageStyle

LOOK = MessageStyle("tim", colour=False, zone=timezone.utc)


def test_the_times_of_another_log_say_nothing() -> None:
    days = Days(LOOK)
    before, after = [at("20T10:00")], [at("20T09:00", "b")]
    assert [off for part in (before, after) for _, _, off in days.divide(part)] == [None, -timedelta(hours=1)]
    days.another_log()
    assert [off for _, _, off in days.divide(after)] == [None]


def at(time: str, sender: str = "alex") -> Chat:
    sent = datetime.fromisoformat(f"2026-11-{time}:00+00:00") if time else None
    return Chat(sender=sender, message="x", id="a", sent_at=sent)


@pytest.mark.parametrize(
    ("today", "messages", "days"),
    [
        (None, [at("20T10:00")], [20]),
        (20, [at("20T10:00"), at("21T10:00")], [None, 21]),
        (21, [at("20T10:00"), at("21T10:00")], [20, 21]),
        (21, [at(""), at("20T10:00"), at(""), at("21T10:00")], [None, 20, None, 21]),
        # Two clocks around midnight, and one clock that was set back by an hour.
        (None, [at("20T23:59"), at("21T00:00", "b"), at("20T23:59"), at("21T00:00", "b")], [20, 21, None, None]),
        (None, [at("21T00:10"), at("20T23:15"), at("21T00:00")], [21, None, None]),
        # A clock that was wrong by days and was set right: nobody else tells that it was wrong.
        (None, [at("25T10:00"), at("20T10:00"), at("20T11:00"), at("21T10:00")], [25, 20, None, 21]),
        # Others tell.
        (None, [at("20T10:00", "b"), at("25T10:00"), at("20T10:01", "b")], [20, None, None]),
    ],
)
def test_each_day_has_one_line(today: int | None, messages: Sequence[Chat], days: list[int | None]) -> None:
    divider = Days(LOOK, date(2026, 11, today) if today else None)
    assert [day and day.day for day, _, _ in divider.divide(messages)] == days


def test_how_much_a_time_is_off_is_passed_on() -> None:
    messages = [at("20T10:00", "b"), at("20T08:00"), at("20T10:01", "b")]
    days = Days(LOOK)
    assert [off for message in messages for _, _, off in days.divide([message])] == [None, timedelta(hours=-2), None]
