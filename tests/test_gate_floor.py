"""A guest who was invited without the past: no cursor whatever shows an event that is older than their joining."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamcli.gate.floor import above, floor_fields, floor_of, shows_below
from streamcli.log.frames import Frame
from streamcli.model.cursor import Cursor, LogOpened
from streamcli.model.fingerprint import fingerprint
from tests.gate_running import GateThread
from tests.memory_stream import MemoryStream
from tests.raw_guest import RawGuest, as_event, cursor_fields

OLD = [as_event("owner", number) for number in range(10, 20)]
NEW = [as_event("owner", number) for number in range(20, 25)]
ID, SEGMENT = "log-1", "log-1#0"
SIZE = 8 + len(OLD[0])  # bytes of each event in the log
FLOOR, TAIL = 10 * SIZE, 15 * SIZE


def at(offset: int, last: tuple[str, int, bytes] | None = None) -> Cursor:
    return Cursor(ID, {SEGMENT: offset}, last)


def event_at(number: int) -> tuple[str, int, bytes]:
    return SEGMENT, number * SIZE, fingerprint((OLD + NEW)[number])


ASKED: dict[str, Cursor] = {
    "nothing": Cursor(),
    "the head": at(0),
    "below": at(FLOOR - SIZE),
    "a byte below": at(FLOOR - 1),
    "below, with the event before": at(FLOOR - SIZE, event_at(8)),
    "below, with an event above": at(0, event_at(11)),
    "exactly there": at(FLOOR),
    "there, with the event before": at(FLOOR, event_at(9)),
    "there, with a false event before": at(FLOOR, (SEGMENT, 9 * SIZE, bytes(16))),
    "there, with a false event above": at(FLOOR, (SEGMENT, 11 * SIZE, bytes(16))),
    "there, with an event that begins nowhere": at(FLOOR, (SEGMENT, FLOOR + 1, bytes(16))),
    "there, with an event of another segment": at(FLOOR, ("log-1#1", 0, bytes(16))),
    "just beyond the tail": at(TAIL + 1),
    "far beyond the tail": at((1 << 63) - 1),
    "beyond the tail, with an event there": at(TAIL + SIZE, (SEGMENT, TAIL, bytes(16))),
    "another segment": Cursor(ID, {"log-1#1": 0}),
    "an older segment and this one": Cursor(ID, {"log-0#0": 0, SEGMENT: 0}),
    "a newer segment and this one": Cursor(ID, {"log-1#5": 0, SEGMENT: 0}),
    "no segment": Cursor(ID),
    "another log": Cursor("log-2", {"log-2#0": 0}),
    "another log's name for this segment": Cursor("log-2", {SEGMENT: 0}),
    "no log's name for this segment": Cursor("", {SEGMENT: 0}),
}


@pytest.fixture
def memory() -> MemoryStream:
    stream = MemoryStream()
    stream.write(*OLD, *NEW)
    return stream


def test_the_events_lie_where_these_tests_think(memory: MemoryStream) -> None:
    assert [event.offset for event in memory.events()] == [number * SIZE for number in range(15)]


@pytest.mark.parametrize("begin", [Cursor(), at(FLOOR - SIZE), None], ids=["all in the ring", "some", "none"])
@pytest.mark.parametrize("asked", ASKED)
def test_nothing_older_is_shown_wherever_a_guest_begins(
    tmp_path: Path, memory: MemoryStream, asked: str, begin: Cursor | None
) -> None:
    gate = GateThread(tmp_path, memory)
    with gate.running(begin=begin):
        floor = gate.guest("tim", floor_fields(at(FLOOR))).folder
        with RawGuest(gate.port, floor) as tim:
            assert [data for _, data in tim.starts(cursor_fields(ASKED[asked])).past()] == NEW
            memory.write(as_event("owner", 25))
            assert tim.events(1) == [as_event("owner", 25)]
        with RawGuest(gate.port, floor) as tim:
            tim.starts(cursor_fields(at(12 * SIZE, event_at(11))))
            assert [data for _, data in tim.past()] == [*NEW[2:], as_event("owner", 25)], "above it, all is as usual"
        with RawGuest(gate.port, gate.guest("mara").folder) as mara:
            seen = [data for _, data in mara.starts(cursor_fields(at(0))).past()]
            assert seen == [*OLD, *NEW, as_event("owner", 25)], "who was invited to read everything does"


@pytest.mark.parametrize("cut", [5, 12], ids=["below", "above"])
def test_a_head_that_is_cut_off_moves_nobody_down(tmp_path: Path, memory: MemoryStream, cut: int) -> None:
    memory.cut_head(cut * SIZE)
    gate = GateThread(tmp_path, memory)
    with gate.running():
        folder = gate.guest("tim", floor_fields(at(FLOOR))).folder
        for cursor in (Cursor(), at(0), at(TAIL + 1), at(11 * SIZE)):
            with RawGuest(gate.port, folder) as tim:
                begin = max(cut, 11 if cursor.at(SEGMENT) == 11 * SIZE else 10)
                assert [data for _, data in tim.starts(cursor_fields(cursor)).past()] == [*OLD, *NEW][begin:]


def test_a_log_that_ends_before_the_floor_shows_nothing(tmp_path: Path, memory: MemoryStream) -> None:
    """Somebody has brought back an old copy of it."""
    gate = GateThread(tmp_path, memory)
    with gate.running():
        folder = gate.guest("tim", floor_fields(at(TAIL + SIZE))).folder
        for cursor in (Cursor(), at(0), at(FLOOR), at(TAIL)):
            with RawGuest(gate.port, folder) as tim:
                assert Frame.EVENTS not in [frame.kind for frame in tim.starts(cursor_fields(cursor)).rest()]
        with RawGuest(gate.port, gate.guest("mara").folder) as mara:
            assert [data for _, data in mara.starts(cursor_fields(at(0))).past()] == OLD + NEW


def test_a_log_made_anew_has_no_floor(tmp_path: Path, memory: MemoryStream) -> None:
    memory.make_anew()
    memory.write(*OLD[:3])
    gate = GateThread(tmp_path, memory)
    with gate.running():
        folder = gate.guest("tim", floor_fields(at(FLOOR))).folder
        with RawGuest(gate.port, folder) as tim:
            assert [data for _, data in tim.starts(cursor_fields(at(0))).past()] == OLD[:3]


FEW = floor_of({"log": ID, "offsets": {"log-1#3": 100, "log-1#4": 200}})


@pytest.mark.parametrize(
    ("starts", "shows"),
    [
        ({"log-1#3": 100, "log-1#4": 200}, False),
        ({"log-1#3": 99, "log-1#4": 200}, True),
        ({"log-1#3": 100, "log-1#4": 199}, True),
        ({"log-1#4": 300, "log-1#5": 0}, False),  # a newer one begins after the floor
        ({"log-1#3": 100, "log-1#2": 900}, True),  # an older one ended before it
        ({}, True),  # not known
    ],
)
def test_of_several_segments_none_shows_what_is_older(starts: dict[str, int], shows: bool) -> None:
    assert shows_below(FEW, LogOpened(ID, 2, starts, starts)) == shows
    assert not shows_below(FEW, LogOpened("log-2", 2, {"log-2#0": 0}))
    assert not shows_below(None, LogOpened(ID, 2, starts, starts))


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        ({}, {"log-1#3": 100, "log-1#4": 200}),
        ({"log-1#3": 0, "log-1#4": 900}, {"log-1#3": 100, "log-1#4": 900}),
        ({"log-1#2": 7, "log-1#5": 7}, {"log-1#3": 100, "log-1#4": 200, "log-1#5": 7}),
    ],
)
def test_of_several_segments_each_begins_at_the_floor(asked: dict[str, int], served: dict[str, int]) -> None:
    assert above(FEW, Cursor(ID, asked), ID).offsets == served
    assert above(None, Cursor(ID, asked), ID).offsets == asked


def test_a_guest_learns_nothing_of_an_event_below_the_floor() -> None:
    """The log's answer would differ, in time if not in words, where the fingerprint is that of the event there."""
    below, there = event_at(9), event_at(10)
    assert above(at(FLOOR), at(FLOOR, below), ID) == at(FLOOR)
    assert above(at(FLOOR), at(FLOOR + SIZE, there), ID) == at(FLOOR + SIZE, there)
    assert above(None, at(FLOOR, below), ID) == at(FLOOR, below)


def test_a_floor_is_stored_as_it_is() -> None:
    floor = at(FLOOR, event_at(9))
    assert floor_of(floor_fields(floor)) == at(FLOOR)
    assert floor_of(None) is None
