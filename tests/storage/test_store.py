"""The history: whatever comes how often and whatever breaks off, it is the log's messages, each once, in order."""

from __future__ import annotations

import shutil
import sqlite3
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streamcli.errors import FileTrouble
from streamcli.model.cursor import Cursor
from streamcli.model.dedup_key import dedup_key
from streamcli.model.event import DecodedEvent
from streamcli.model.fingerprint import fingerprint
from streamcli.model.message import MAX_EVENT_BYTES, Unreadable, decode, encode
from streamcli.storage import history
from tests.storage.events import PLACE, log_of, message, said, talk
from tests.storage.reading import History

STRANGE = [
    b"",
    b"\xff\xfe",
    b"{}",
    b'{"sender": "old", "message": "greet"}',
    b'{"sender": "old", "message": "hi"}',
    b'{"sender": "bot", "message": "again", "id": "1"}',
    b'{"sender": "eve", "message": "new", "id": "n", "kind": "poll", "v": 9, "options": [1, 2]}',
]


class Terminal:
    """Reads a log into a history as the chat would: from its position on, with doubles, in pieces, through crashes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.shown: list[DecodedEvent] = []
        self.start()

    def start(self) -> None:
        self.history = History.open(self._folder)

    def read(self, log: list[DecodedEvent], first: int, count: int) -> None:
        position = self.history.progress.position
        self.history.begin(PLACE, position)
        ahead = [event for event in log if event.offset >= position]
        # A reader may bring again what it brought before, never leave out what comes next.
        again = len(log) - len(ahead) - min(first, len(log) - len(ahead))
        batch = log[again : len(log) - len(ahead) + count]
        fresh = self.history.store(batch, PLACE)
        self.shown += [event for event, new in zip(batch, fresh, strict=True) if new]

    def crash(self, log: list[DecodedEvent]) -> None:
        """Die with a transaction open that holds the rest of the log."""
        self.history._connection.execute("BEGIN IMMEDIATE")
        for event in log:
            key = dedup_key(event.content)
            self.history._connection.execute(
                "INSERT OR IGNORE INTO message (key, offset, event) VALUES (?, ?, ?)", (key, event.offset, event.data)
            )
        self.history._connection.execute("UPDATE position SET offset = offset + 1000000")
        self.history.close()
        self.start()


def first_of_each(log: list[DecodedEvent]) -> list[DecodedEvent]:
    seen: dict[bytes, DecodedEvent] = {}
    for event in log:
        seen.setdefault(dedup_key(event.content), event)
    return list(seen.values())


ONE = st.one_of(st.builds(said, st.text(max_size=20), st.integers(0, 8)), st.sampled_from(STRANGE))
STEP = st.tuples(
    st.integers(0, 1), st.sampled_from(["read", "read", "restart", "crash"]), st.integers(0, 9), st.integers(0, 9)
)


@settings(max_examples=40, deadline=None)
@given(st.lists(ONE, max_size=25), st.lists(STEP, max_size=15))
def test_any_interleaving_repetition_and_crash_gives_the_same_history(
    datas: list[bytes], steps: list[tuple[int, str, int, int]]
) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        log = log_of(datas)
        terminals = [Terminal(folder), Terminal(folder)]
        for who, what, back, count in steps:
            terminal = terminals[who]
            if what == "read":
                terminal.read(log, back, count)
            elif what == "crash":
                terminal.crash(log)
            else:
                terminal.history.close()
                terminal.start()
        for terminal in terminals:
            terminal.read(log, 0, len(log))
            terminal.history.close()
        with History.open(folder) as history:
            expected = first_of_each(log)
            readable = [event.content for event in expected if not isinstance(event.content, Unreadable)]
            assert history.last(1000) == readable
            assert history.count == len(readable)
            assert history.unreadable() == Counter(
                event.content.reason for event in expected if isinstance(event.content, Unreadable)
            )
            assert history.progress.position == (log[-1].end if log else 0)
            if log:
                assert history.progress.last == (log[-1].offset, fingerprint(log[-1].data))
        for terminal in terminals:
            assert [event for event in terminal.shown if not isinstance(event.content, Unreadable)] == [
                event for event in expected if event in terminal.shown and not isinstance(event.content, Unreadable)
            ], "nothing twice, and in the log's order"
    finally:
        shutil.rmtree(folder)


def test_what_one_terminal_stored_is_new_to_the_other_that_was_open_already(tmp_path: Path) -> None:
    log = talk(6)
    with History.open(tmp_path) as one, History.open(tmp_path) as other:
        one.begin(PLACE, 0)
        other.begin(PLACE, 0)
        assert one.store(log, PLACE) == [True] * 6
        assert other.store(log[:4], PLACE) == [True] * 4
        assert other.progress.position == log[3].end, "a terminal's position is its own"
        with History.open(tmp_path) as third:
            assert third.progress == one.progress, "the file's is the highest"
        assert other.store(log[2:], PLACE) == [False, False, True, True]
        assert one.count == 6
    with History.open(tmp_path) as later:
        assert later.progress.position == log[-1].end
        assert later.store(log, PLACE) == [False] * 6


def test_the_last_messages_are_those_before_the_position_even_while_another_terminal_stores(tmp_path: Path) -> None:
    log = talk(30)
    with History.open(tmp_path) as one:
        one.begin(PLACE, 0)
        one.store(log[:20], PLACE)
        with History.open(tmp_path) as other:
            one.store(log[20:], PLACE)
            assert other.last(3) == [event.content for event in log[17:20]]
            other.begin(PLACE, other.progress.position)
            assert other.store(log[20:], PLACE) == [True] * 10


def test_a_retry_further_on_in_the_log_is_no_new_message(tmp_path: Path) -> None:
    log = log_of([said("a", 1), said("b", 2), said("a", 1), said("c", 3), said("a", 1)])
    with History.open(tmp_path) as history:
        history.begin(PLACE, 0)
        assert history.store(log[:4], PLACE) == [True, True, False, True]
        assert history.store(log[4:], PLACE) == [False]
        assert history.progress.position == log[-1].end


def test_the_same_id_of_two_senders_is_two_messages(tmp_path: Path) -> None:
    log = log_of([said("a", 1, "tim"), said("a", 1, "eve")])
    with History.open(tmp_path) as history:
        history.begin(PLACE, 0)
        assert history.store(log, PLACE) == [True, True]


def test_a_gap_is_refused_and_leaves_all_as_it_was(tmp_path: Path) -> None:
    log = talk(10)
    with History.open(tmp_path) as history:
        history.begin(PLACE, 0)
        history.store(log[:3], PLACE)
        with pytest.raises(FileTrouble, match="the next start catches up"):
            history.store(log[5:], PLACE)
        with pytest.raises(FileTrouble, match="another log's"):
            history.store(log[3:], "other#0")
        assert history.count == 3
        assert history.progress.position == log[2].end
        assert history.store(log[3:], PLACE) == [True] * 7


def test_what_was_cut_off_the_head_is_passed_over(tmp_path: Path) -> None:
    log = talk(10)
    with History.open(tmp_path) as history:
        history.begin(PLACE, 0)
        history.store(log[:3], PLACE)
        history.begin(PLACE, log[6].offset)
        assert history.store(log[6:], PLACE) == [True] * 4
    with History.open(tmp_path) as history:
        assert history.last(5) == [event.content for event in [log[2], *log[6:]]]


def test_beginning_again_further_back_takes_nothing_from_the_other_terminal(tmp_path: Path) -> None:
    log = talk(10)
    with History.open(tmp_path) as one, History.open(tmp_path) as other:
        one.begin(PLACE, 0)
        one.store(log, PLACE)
        other.begin(PLACE, 0)
        with History.open(tmp_path) as third:
            assert third.progress.position == log[-1].end


def test_on_several_segments_identities_alone_count(tmp_path: Path) -> None:
    log = [*log_of([said("a", 1), b"not one", b'{"sender": "old", "message": "hi"}']), *log_of([said("b", 2)])]
    with History.open(tmp_path) as one, History.open(tmp_path) as other:
        assert one.store(log, "") == [True] * 4
        assert other.store(log, "") == [True, False, True, True], "shown there too, but not counted again"
        retry = log_of([said("a", 1)], 5000)
        assert one.store(retry, "") == [False]
        assert one.progress.place == ""
    with History.open(tmp_path) as later:
        assert later.store(log, "") == [False] * 4
        assert later.count == 3


def test_equal_events_at_one_offset_of_two_segments_are_two_when_told_apart(tmp_path: Path) -> None:
    (event,) = log_of([b'{"sender": "old", "message": "hi"}'])
    keys = [dedup_key(event.content), dedup_key(event.content, 2)]
    with History.open(tmp_path) as history:
        assert history.store([event, event], "", keys) == [True, True]
        assert history.count == 2


def test_an_event_keeps_its_bytes_and_one_that_is_too_long_its_cut_text(tmp_path: Path) -> None:
    newer = STRANGE[-1]
    long = encode(message("x", 1)).replace(b'"x"', b'"' + b"x" * MAX_EVENT_BYTES + b'", "sig": "ab"')
    log = log_of([newer, long])
    with History.open(tmp_path) as history:
        history.begin(PLACE, 0)
        history.store(log, PLACE)
        kept = history._connection.execute("SELECT event FROM message ORDER BY number").fetchall()
    assert kept[0] == (newer,)
    assert len(kept[1][0]) < 5000 and b', "sig": "ab"' in kept[1][0]
    with History.open(tmp_path) as history:
        assert history.last(5) == [event.content for event in log]
        assert history.progress.last == (log[1].offset, fingerprint(long)), "the log's bytes are what is known again"


def test_known_messages_are_told(tmp_path: Path) -> None:
    log = talk(1200)
    with History.open(tmp_path) as history:
        history.begin(PLACE, 0)
        history.store(log[:1000], PLACE)
        if sys.version_info >= (3, 11):
            history._connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 999)  # an old SQLite's
        assert history.knows(event.content for event in log) == [True] * 1000 + [False] * 200


def test_nothing_stored_is_nothing(tmp_path: Path) -> None:
    with History.open(tmp_path) as history:
        assert history.store([], PLACE) == []
        assert (history.last(10), history.count, history.progress.place) == ([], 0, "")
        assert history.whole()


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
@example("x", "yz", "xy", "z")
@example("x", "y", "x", "z")
@example("x", "y", "z", "y")
@example("x", "y", "x", "y")
def test_identities_are_those_of_sender_and_id(a: str, b: str, c: str, d: str) -> None:
    one = message("x", 1).model_copy(update={"id": a, "sender": b})
    other = message("y", 2).model_copy(update={"id": c, "sender": d})
    assert (dedup_key(one) == dedup_key(other)) == ((a, b) == (c, d))
    assert len(dedup_key(one)) == 16


def test_identities_grow_with_time_and_with_offset() -> None:
    keys = [dedup_key(message("x", number)) for number in range(300)]
    assert keys == sorted(keys)
    old = [dedup_key(decode(STRANGE[4], offset)) for offset in range(0, 3000, 10)]
    assert old == sorted(old)


SUCCESSOR = "log#4294967297"


def test_each_segment_has_a_position_of_its_own_and_one_that_follows_begins_at_0(tmp_path: Path) -> None:
    first, second = talk(5), talk(5, start=5)
    with history.History.open(tmp_path) as one:
        one.begin(Cursor("", {PLACE: 0}))
        assert one.store(PLACE, first, Cursor("", {PLACE: 0})) == [True] * len(first)
        read = Cursor("", {PLACE: first[-1].end})
        with pytest.raises(FileTrouble):
            one.store(SUCCESSOR, second[1:], read)
        with pytest.raises(FileTrouble):
            one.store("other#0", second, read)
        assert one.store(SUCCESSOR, second, read) == [True] * len(second)
    with history.History.open(tmp_path) as later:
        assert later.cursor.offsets == {PLACE: first[-1].end, SUCCESSOR: second[-1].end}
        last = second[-1]
        assert later.cursor.last == (SUCCESSOR, last.offset, fingerprint(last.data))
        later.begin(Cursor("", {SUCCESSOR: second[-1].end}))
        assert later.store(SUCCESSOR, second, later.cursor) == [False] * len(second)
        assert later.store(PLACE, first, later.cursor) == [False] * len(first)


def test_a_retry_in_the_next_segment_is_dropped_even_at_the_same_offset(tmp_path: Path) -> None:
    log = talk(3)
    with history.History.open(tmp_path) as one:
        one.begin(Cursor("", {PLACE: 0}))
        one.store(PLACE, log, Cursor("", {PLACE: 0}))
        assert one.store(SUCCESSOR, log, Cursor("", {PLACE: log[-1].end})) == [False] * 3
        assert one.count == 3
