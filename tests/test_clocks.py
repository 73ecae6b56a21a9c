"""Whose time doesn't fit where it stands in the log."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streamcli.model.clock_skew import LOOKED_AT, OFF, SkewDetector
from streamcli.model.message import Chat, Message

START = datetime(2026, 11, 20, 14, 0, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)


def talk(*said: tuple[str, float | None]) -> list[Message]:
    """Messages by sender and minutes after START."""
    return [
        Chat(sender=sender, message="m", id="a", sent_at=None if at is None else START + at * MINUTE)
        for sender, at in said
    ]


def off(*said: tuple[str, float | None], now: float | None = None) -> list[float | None]:
    """By how many minutes each is off."""
    judged = SkewDetector().judge(talk(*said), None if now is None else START + now * MINUTE)
    return [None if span is None else span / MINUTE for span in judged]


def test_silence_and_small_differences_are_no_error() -> None:
    assert off(("a", 0), ("b", 0.5), ("a", 0.2), ("b", 600), ("a", 601), ("c", None)) == [None] * 6


def test_who_is_late_or_early_among_others_is_marked_and_they_are_not() -> None:
    assert off(("a", 0), ("b", 1), ("c", -9), ("a", 2)) == [None, None, -10, None]
    assert off(("a", 0), ("b", 1), ("c", 40), ("a", 2), ("b", 3)) == [None, None, 37, None, None]
    assert off(("c", 40), ("a", 0), ("b", 1)) == [39, None, None]
    assert off(("c", -40), ("a", 0), ("b", 1)) == [None] * 3  # nothing stands before it: it may be long ago


def test_of_what_came_just_now_our_own_clock_is_a_witness() -> None:
    assert off(("a", 0), ("b", 30), now=1) == [None, 29]
    assert off(("a", 30), ("b", 30), now=1) == [None, None], "two against our own clock"
    assert off(("b", -30), now=1) == [None]


def test_of_many_messages_only_the_neighbours_are_looked_at() -> None:
    # A copy of all that follow, for each, took a minute of 100,000 messages, in which no key was answered.
    class Watched(list[Message]):
        looked = 0

        def __getitem__(self, place: Any) -> Any:
            found = super().__getitem__(place)
            self.looked += len(found) if isinstance(place, slice) else 1
            return found

    messages = Watched(talk(*[("ab"[number % 2], number) for number in range(100)]))
    assert SkewDetector().judge(messages) == [None] * 100
    assert messages.looked <= 100 * LOOKED_AT


def test_one_sender_alone_is_never_wrong() -> None:
    assert off(("a", 0), ("a", 90), ("a", 5), ("a", 4)) == [None] * 4


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.floats(0, 30), st.floats(-0.4, 0.4)), max_size=30),
    st.floats(5, 500) | st.floats(-500, -5),
)
def test_nobody_with_a_good_clock_is_marked_whatever_one_bad_clock_says(
    said: list[tuple[str, float, float]], wrong: float
) -> None:
    at, good = 0.0, list[tuple[str, float | None]]()
    for sender, pause, error in said:
        at += pause
        good.append((sender, at + error))
    assert off(*good) == [None] * len(good)
    # Three good witnesses on either side of one whose clock is off by more than they differ.
    before = [(name, 0.1 * number) for number, name in enumerate("abc")]
    after = [(name, 0.4 + at) for name, at in before]
    marked = off(*before, ("x", wrong), *after)
    assert [n for n, span in enumerate(marked) if span is not None] == [3]
    assert abs((marked[3] or 0) - wrong) <= OFF / MINUTE
