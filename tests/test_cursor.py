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


def test_where_offsets_order_nothing_it_has_none() -> None:
    cursor = Cursor().opened_at(SEVERAL)
    assert cursor.offsets == {}
    assert cursor.after("", event(0, 30)) == cursor


def test_the_last_event_says_nothing_of_another_segment() -> None:
    assert read_to(30).opened_at(LogOpened.one("tag", 40, 40)).last is not None
    assert read_to(30).opened_at(LogOpened.one("tag", 0, 9, 1)).last is None
