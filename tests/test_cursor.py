"""How far a log was read, and when an opened log is another one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamcli.model.cursor import Cursor, LogOpened
from streamcli.model.event import DecodedEvent
from streamcli.model.fingerprint import fingerprint
from streamcli.model.message import decode

LOG = LogOpened.one("tag", 0, 0)
SEVERAL = LogOpened("tag", 3)


def event(offset: int, end: int) -> DecodedEvent:
    return DecodedEvent(offset, end, b"data", decode(b"data", offset))


def read_to(end: int) -> Cursor:
    return Cursor().opened_at(LOG).after("tag#0", event(0, end))


@pytest.mark.parametrize(
    ("then", "another"),
    [
        (LogOpened.one("tag", 30, 99), False),
        (LogOpened.one("tag", 40, 99), False),  # the head was cut off meanwhile
        (LogOpened.one("tag", 0, 20), True),
        (LogOpened.one("tag", 30, 99, 1), True),  # made anew, and as long
        (LogOpened.one("new", 30, 99), True),
        (LogOpened("tag", 3), False),  # was split
        (LogOpened("new", 3), True),
    ],
)
def test_another_log_is_told_from_the_same(then: LogOpened, another: bool) -> None:
    assert read_to(30).reads_on(then) is not another


def test_a_stream_of_several_segments_never_becomes_one_of_one() -> None:
    several = Cursor().opened_at(SEVERAL)
    assert several.reads_on(replace(SEVERAL, segments=5))
    assert not several.reads_on(LOG)


def test_it_moves_with_what_is_read_and_never_back() -> None:
    cursor = read_to(30)
    assert (cursor.log, cursor.offsets) == ("tag", {"tag#0": 30})
    assert cursor.last == ("tag#0", 0, fingerprint(b"data"))
    assert cursor.after("tag#0", event(30, 50)).at("tag#0") == 50
    assert cursor.after("tag#0", event(10, 20)).at("tag#0") == 30


LEFT, RIGHT, JOINED = "tag#4294967297", "tag#4294967298", "tag#8589934595"


def opened(**starts: int) -> LogOpened:
    """An opening of several segments."""
    names = {"first": "tag#0", "left": LEFT, "right": RIGHT, "joined": JOINED}
    return LogOpened("tag", 2, {names[name]: start for name, start in starts.items()})


@pytest.mark.parametrize(
    ("then", "another"),
    [
        (opened(left=20, right=40), False),
        (opened(left=20, right=50), False),  # the head was cut off meanwhile
        (opened(left=20, right=30), True),  # shorter
        (opened(joined=0), False),  # both have ended
        (opened(first=0), True),  # older than all that was read
        (opened(left=20, joined=0), False),
        (LogOpened("tag", 2), False),  # by a client that does not know the offsets
        (LogOpened("new", 2, {"new#1": 0}), True),
    ],
)
def test_on_several_segments_each_one_tells(then: LogOpened, another: bool) -> None:
    cursor = Cursor("tag", {LEFT: 20, RIGHT: 40})
    assert cursor.reads_on(then) is not another


def test_a_segment_that_follows_another_is_added_and_the_opening_drops_what_has_ended() -> None:
    cursor = read_to(30).after(LEFT, event(0, 20)).after(RIGHT, event(0, 40))
    assert cursor.offsets == {"tag#0": 30, LEFT: 20, RIGHT: 40}
    assert cursor.last == (RIGHT, 0, fingerprint(b"data"))
    again = cursor.opened_at(opened(left=20, right=40))
    assert again.offsets == {LEFT: 20, RIGHT: 40} and again.last == cursor.last
    assert cursor.opened_at(opened(left=20)).last is None


def test_what_is_missing_at_the_head_is_summed_over_the_segments() -> None:
    cursor = Cursor("tag", {LEFT: 20, RIGHT: 40})
    assert cursor.missed(opened(left=25, right=50, joined=7)) == 15
    assert cursor.missed(opened(left=20, right=40)) == 0


def test_the_share_that_was_read_is_of_all_segments_also_of_those_that_follow() -> None:
    log = LogOpened("tag", 2, {"tag#0": 10}, {"tag#0": 30, LEFT: 50, RIGHT: 30})
    cursor = Cursor().opened_at(log)
    assert log.share(cursor) == 0
    cursor = cursor.after("tag#0", event(0, 30))
    assert log.share(cursor) == 0.2
    cursor = cursor.after(LEFT, event(0, 50)).after(RIGHT, event(0, 99))
    assert log.share(cursor) == 1
    assert LogOpened.one("tag", 7, 7).share(cursor) is None


def test_where_offsets_order_nothing_it_has_none() -> None:
    cursor = Cursor().opened_at(SEVERAL)
    assert cursor.offsets == {}
    assert cursor.after("", event(0, 30)) == cursor


def test_the_last_event_says_nothing_of_another_segment() -> None:
    assert read_to(30).opened_at(LogOpened.one("tag", 40, 40)).last is not None
    assert read_to(30).opened_at(LogOpened.one("tag", 0, 9, 1)).last is None
