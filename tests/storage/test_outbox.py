"""The outbox: order, failures that stand in nobody's way, and what dead terminals leave."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from streamcli.model.event import Entry
from streamcli.model.message import encode
from streamcli.storage.outbox import Outbox
from tests.storage.events import message
from tests.storage.processes import Process, Say


def entry(number: int, reason: str | None = None) -> Entry:
    one = message(str(number), number)
    return Entry(one, reason, encode(one))


def numbers(entries: Iterable[Entry]) -> list[int]:
    return [int(entry.message.message) for entry in entries]


def add(outbox: Outbox, *these: int) -> None:
    outbox.add([message(str(number), number) for number in these])


def id_of(number: int) -> str:
    return message("", number).id


def test_what_was_added_waits_in_order_until_it_is_sent(tmp_path: Path) -> None:
    with Outbox(tmp_path) as outbox:
        add(outbox, 3, 1)
        add(outbox, 2)
        assert outbox.waiting() == [entry(number) for number in (3, 1, 2)]
        outbox.sent([id_of(3), id_of(2), "unknown"])
        add(outbox, 0)
        assert numbers(outbox.waiting()) == [1, 0]
        assert outbox.failures() == []


def test_what_was_added_is_synced(tmp_path: Path) -> None:
    # No test can cut the power: that SQLite was asked to sync each transaction is what can be seen.
    with Outbox(tmp_path) as outbox:
        assert outbox._connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert outbox._connection.execute("PRAGMA fullfsync").fetchone() == (1,)


def test_adding_again_changes_nothing(tmp_path: Path) -> None:
    with Outbox(tmp_path) as outbox:
        add(outbox, 1, 2)
        outbox.failed(id_of(1), "Too large.")
        add(outbox, 2, 1, 3)
        assert numbers(outbox.waiting()) == [2, 3]


def test_a_failure_has_a_reason_and_stands_in_nobodys_way(tmp_path: Path) -> None:
    with Outbox(tmp_path) as outbox:
        add(outbox, 1, 2, 3)
        outbox.failed(id_of(2), "Not permitted.")
        assert numbers(outbox.waiting()) == [1, 3]
        assert outbox.failures() == [entry(2, "Not permitted.")]
        assert numbers(outbox.retry([id_of(1), id_of(2)])) == [2]
        assert numbers(outbox.waiting()) == [1, 2, 3], "in its old place"
        assert outbox.failures() == []


def test_retry_and_drop_take_one_or_all_that_failed_and_nothing_else(tmp_path: Path) -> None:
    with Outbox(tmp_path) as outbox:
        add(outbox, 1, 2, 3, 4, 5)
        for number in (1, 2, 3, 4):
            outbox.failed(id_of(number), "No.")
        assert numbers(outbox.drop([id_of(2), id_of(5)])) == [2]
        assert numbers(outbox.retry([id_of(3)])) == [3]
        assert numbers(outbox.drop()) == [1, 4]
        assert numbers(outbox.waiting()) == [3, 5]
        outbox.failed(id_of(5), "No.")
        assert numbers(outbox.retry()) == [5]
        assert numbers(outbox.waiting()) == [3, 5]


def test_a_dead_terminals_rows_are_adopted_a_living_ones_are_not(tmp_path: Path) -> None:
    def die(say: Say) -> None:
        outbox = Outbox(tmp_path)
        add(outbox, 1, 2, 3)
        outbox.failed(id_of(2), "No.")
        say(1)
        os.kill(os.getpid(), 9)

    with Outbox(tmp_path) as living:
        add(living, 7, 8)
        with Process(die) as process:
            assert process.heard() == 1
        with Outbox(tmp_path) as outbox:
            add(outbox, 9)
            assert numbers(outbox.adopt()) == [1, 3]
            assert numbers(outbox.waiting()) == [1, 3, 9], "what is older stands before"
            assert numbers(outbox.failures()) == [2]
            assert outbox.adopt() == []
            assert numbers(living.waiting()) == [7, 8]
            assert living.adopt() == []
            assert sorted(path.name for path in (tmp_path / "terminals").iterdir()) == sorted(
                [living.terminal, outbox.terminal]
            )


def test_a_terminal_that_left_leaves_its_rows(tmp_path: Path) -> None:
    with Outbox(tmp_path) as outbox:
        add(outbox, 1, 2)
    assert list((tmp_path / "terminals").iterdir()) == []
    with Outbox(tmp_path) as outbox:
        assert outbox.waiting() == []
        assert numbers(outbox.adopt()) == [1, 2]
        assert numbers(outbox.waiting()) == [1, 2]


def test_of_many_that_adopt_at_once_one_gets_each_row(tmp_path: Path) -> None:
    with Outbox(tmp_path) as outbox:
        add(outbox, *range(200))
    start = tmp_path / "start"

    def adopt(say: Say) -> None:
        with Outbox(tmp_path) as outbox:
            while not start.exists():
                pass
            adopted = numbers(outbox.adopt())
            assert adopted == sorted(adopted)
            say(len(adopted))
            outbox.sent([id_of(number) for number in adopted])

    with Process(adopt) as one, Process(adopt) as two, Process(adopt) as three:
        start.touch()
        assert sorted(process.heard() for process in (one, two, three)) == [0, 0, 200]
        assert [process.code() for process in (one, two, three)] == [0, 0, 0]
    with Outbox(tmp_path) as outbox:
        assert outbox.adopt() == []


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "add", "sent", "failed", "retry", "drop", "leave"]), st.integers(0, 30)),
        max_size=30,
    )
)
def test_order_is_kept_through_all_that_happens(steps: list[tuple[str, int]]) -> None:
    expected: dict[int, bool] = {}  # whether it waits
    with tempfile.TemporaryDirectory() as name:
        outbox = Outbox(Path(name))
        for what, number in steps:
            failed = [n for n, waits in expected.items() if not waits]
            if what == "add" and number not in expected:
                add(outbox, number)
                expected[number] = True
            elif what == "sent":
                outbox.sent([id_of(number)])
                expected.pop(number, None)
            elif what == "failed":
                outbox.failed(id_of(number), "No.")
                expected |= {number: False} if number in expected else {}
            elif what == "retry":
                assert numbers(outbox.retry()) == failed
                expected = dict.fromkeys(expected, True)
            elif what == "drop":
                assert numbers(outbox.drop()) == failed
                expected = {n: True for n, waits in expected.items() if waits}
            elif what == "leave":
                outbox.close()
                outbox = Outbox(Path(name))
                assert numbers(outbox.adopt()) == [n for n, waits in expected.items() if waits]
        assert numbers(outbox.waiting()) == [n for n, waits in expected.items() if waits]
        assert numbers(outbox.failures()) == [n for n, waits in expected.items() if not waits]
        outbox.close()


def test_a_name_for_a_list_is_one_short_line() -> None:
    entry = Entry(message("one\ntwo " + "x" * 100, 1))
    assert entry.text(12) == "one two xxx…"
    assert Entry(message("short", 1)).text() == "short"
