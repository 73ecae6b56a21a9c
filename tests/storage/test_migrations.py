"""From every schema there ever was, with rows in it, to today's. A new step needs its old rows here, or this fails."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from streamcli.storage import migrations
from streamcli.storage.database import connect, newest
from streamcli.storage.migrations import HISTORY, OUTBOX, Step, migrate
from streamcli.storage.outbox import Outbox
from tests.storage.events import PLACE, log_of, message, said
from tests.storage.reading import History

LOG = log_of([said("old", 1), b"nothing", said("older", 2)])

# What a file of the schema with this number holds, written as its version wrote it. Never change an old one.
OLD_HISTORY = {
    1: [
        ("INSERT INTO message VALUES (1, x'018bcfe56801a1', 0, ?)", (LOG[0].data,)),
        ("INSERT INTO unreadable VALUES (x'aa', 'not JSON')", ()),
        ("INSERT INTO message VALUES (2, x'018bcfe56802a2', ?, ?)", (LOG[2].offset, LOG[2].data)),
        ("UPDATE progress SET place = ?, position = ?, last_offset = 7, last_digest = x'07'", (PLACE, LOG[2].end)),
    ],
    2: [
        ("INSERT INTO message VALUES (1, x'018bcfe56801a1', 0, ?, 0)", (LOG[0].data,)),
        ("INSERT INTO unreadable VALUES (x'aa', 'not JSON')", ()),
        ("INSERT INTO message VALUES (2, x'018bcfe56802a2', ?, ?, 4294967297)", (LOG[2].offset, LOG[2].data)),
        ("INSERT INTO position VALUES (?, ?)", (PLACE, LOG[2].end)),
        ("UPDATE last_event SET segment = ?, offset = 7, digest = x'07'", (PLACE,)),
    ],
}
OLD_OUTBOX = {
    1: [
        ("INSERT INTO entry VALUES (5, 'gone', ?, ?, NULL)", (message("a", 1).id, said("a", 1))),
        ("INSERT INTO entry VALUES (9, 'gone', ?, ?, 'No.')", (message("b", 2).id, said("b", 2))),
    ]
}


def old_file(folder: Path, stem: str, steps: tuple[Step, ...], rows: Sequence[tuple[str, tuple[object, ...]]]) -> None:
    path = newest(folder, stem)
    connection = connect(path, "NORMAL")
    migrate(connection, path, steps)
    for statement, values in rows:
        connection.execute(statement, values)
    connection.close()


@pytest.mark.parametrize("number", range(1, len(HISTORY) + 1))
def test_a_history_of_an_older_version_is_brought_up_to_date(tmp_path: Path, number: int) -> None:
    old_file(tmp_path, "history", HISTORY[:number], OLD_HISTORY[number])
    for _ in range(2):
        with History.open(tmp_path) as history:
            assert history.last(10) == [LOG[0].content, LOG[2].content]
            assert history.unreadable() == {"not JSON": 1}
            assert history.progress == (PLACE, LOG[2].end, (7, b"\x07"))
            assert history._connection.execute("PRAGMA user_version").fetchone() == (len(HISTORY),)


@pytest.mark.parametrize("number", range(1, len(OUTBOX) + 1))
def test_an_outbox_of_an_older_version_is_brought_up_to_date(tmp_path: Path, number: int) -> None:
    old_file(tmp_path, "outbox", OUTBOX[:number], OLD_OUTBOX[number])
    with Outbox(tmp_path) as outbox:
        assert outbox.lost is None
        assert [entry.text() for entry in outbox.adopt()] == ["a"]
        outbox.add([message("c", 3)])
        assert [(entry.text(), entry.reason) for entry in outbox.failures()] == [("b", "No.")]
        assert [entry.text() for entry in outbox.waiting()] == ["a", "c"]


@pytest.mark.parametrize("steps", [HISTORY, OUTBOX], ids=["history", "outbox"])
def test_steps_are_numbered_by_name_without_a_gap(steps: tuple[Step, ...]) -> None:
    assert [int(step.__name__.split("_")[1]) for step in steps] == list(range(1, len(steps) + 1))
    released = [name for name in dir(migrations) if name.startswith(steps[0].__name__.split("_")[0] + "_")]
    assert sorted(released) == sorted(step.__name__ for step in steps), "each is in the list"


def test_a_step_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    def good(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE more (a)")

    def bad(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE half (a)")
        raise ZeroDivisionError

    path = tmp_path / "file.db"
    connection = connect(path, "NORMAL")
    with pytest.raises(ZeroDivisionError):
        migrate(connection, path, [good, bad])
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert names == {"more"}
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    migrate(connection, path, [good])
    connection.close()
