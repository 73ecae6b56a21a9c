"""The schemas of our files, as numbered steps. Never change a step that was released: add a new one.

A file's ``user_version`` counts the steps done; each step and its count are one transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from streamcli.errors import Unusable
from streamcli.storage.database import transaction, translating_errors

Step: TypeAlias = Callable[[sqlite3.Connection], None]


def history_1_messages(connection: sqlite3.Connection) -> None:
    """Messages in the order they were read, unreadable events, and how far the log was read."""
    connection.execute(
        "CREATE TABLE message (number INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE,"
        " offset INTEGER NOT NULL, event BLOB NOT NULL)"
    )
    connection.execute("CREATE TABLE unreadable (key BLOB PRIMARY KEY, reason TEXT NOT NULL) WITHOUT ROWID")
    connection.execute(
        "CREATE TABLE progress (only INTEGER PRIMARY KEY CHECK (only = 1), place TEXT NOT NULL,"
        " position INTEGER NOT NULL, last_offset INTEGER, last_digest BLOB)"
    )
    connection.execute("INSERT INTO progress VALUES (1, '', 0, NULL, NULL)")


def history_2_segments(connection: sqlite3.Connection) -> None:
    """Each segment has a position of its own, and each message the number of its segment."""
    connection.execute("ALTER TABLE message ADD COLUMN segment INTEGER NOT NULL DEFAULT 0")
    connection.execute("CREATE TABLE position (segment TEXT PRIMARY KEY, offset INTEGER NOT NULL) WITHOUT ROWID")
    connection.execute("INSERT INTO position SELECT place, position FROM progress WHERE place <> ''")
    connection.execute(
        "CREATE TABLE last_event (only INTEGER PRIMARY KEY CHECK (only = 1), segment TEXT, offset INTEGER, digest BLOB)"
    )
    connection.execute(
        "INSERT INTO last_event"
        " SELECT 1, CASE WHEN last_offset IS NULL THEN NULL ELSE place END, last_offset, last_digest FROM progress"
    )
    connection.execute("DROP TABLE progress")


def outbox_1_entries(connection: sqlite3.Connection) -> None:
    """Typed messages not known to be in the log; ``reason`` is set when the server refused one permanently."""
    # AUTOINCREMENT, because a reused number would put a new message before an old one.
    connection.execute(
        "CREATE TABLE entry (number INTEGER PRIMARY KEY AUTOINCREMENT, terminal TEXT NOT NULL,"
        " id TEXT NOT NULL UNIQUE, event BLOB NOT NULL, reason TEXT)"
    )


HISTORY: Final[tuple[Step, ...]] = (history_1_messages, history_2_segments)
OUTBOX: Final[tuple[Step, ...]] = (outbox_1_entries,)


def migrate(connection: sqlite3.Connection, path: Path, steps: Sequence[Step]) -> None:
    """Bring the file up to date. Raises Unusable when a newer version wrote it."""
    with translating_errors(path):
        (done,) = connection.execute("PRAGMA user_version").fetchone()
        if done > len(steps):
            raise Unusable(f"{path} was written by a newer streamcli: update this one, or move the file away.")
        for number, step in enumerate(steps[done:], done + 1):
            with transaction(connection):
                step(connection)
                connection.execute(f"PRAGMA user_version = {number}")
