"""`SeenKeys`: deduplicates where no history does, exactly and in little memory, however long the log is."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence

_CACHE = 2048  # KiB; the rest is in a file that SQLite deletes on closing
# One statement for a batch: a statement for each key would release Python's lock each time.
_INSERT = (
    "WITH RECURSIVE number(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n + 1 < ?)"
    " INSERT OR IGNORE INTO seen SELECT substr(?, 16 * n + 1, 16) FROM number"
)

_log = logging.getLogger(__name__)


class SeenKeys:
    """The deduplication keys (16 bytes) of all events that one run has seen. One thread at a time."""

    def __init__(self) -> None:
        self._connection: sqlite3.Connection | None = None

    def add(self, keys: Sequence[bytes]) -> list[bool]:
        """Add ``keys`` and return for each whether it was new. If that fails (a full disk), all count as new."""
        try:
            return self._add(keys)
        except sqlite3.Error:
            _log.exception("duplicates can't be told any more")
            return [True] * len(keys)

    def clear(self) -> None:
        """Forget all keys."""
        if self._connection:
            self._connection.close()
            self._connection = None

    def _add(self, keys: Sequence[bytes]) -> list[bool]:
        if not keys:
            return []
        connection = self._connection = self._connection or _opened()
        connection.execute("BEGIN")
        before = connection.total_changes
        connection.execute(_INSERT, (len(keys), b"".join(keys)))
        if connection.total_changes - before == len(keys):
            connection.execute("COMMIT")
            return [True] * len(keys)
        connection.execute("ROLLBACK")
        connection.execute("BEGIN")
        new = [connection.execute("INSERT OR IGNORE INTO seen VALUES (?)", (key,)).rowcount > 0 for key in keys]
        connection.execute("COMMIT")
        return new


def _opened() -> sqlite3.Connection:
    connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    connection.execute(f"PRAGMA cache_size=-{_CACHE}")
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("CREATE TABLE seen (key BLOB PRIMARY KEY) WITHOUT ROWID")
    return connection


class Passing:
    """Deduplicates without a history and stores nothing (implements streamcli.log.reader.Storage)."""

    def __init__(self) -> None:
        self._seen = SeenKeys()

    def opened(self, cursor: object, another: bool) -> None:
        """Handle the start of reading; forget all keys if it is another log."""
        if another:
            self._seen.clear()

    def store(self, segment: str, events: object, keys: Sequence[bytes], cursor: object) -> list[bool]:
        """Return for each event whether it is new."""
        return self._seen.add(keys)

    def close(self) -> None:
        """Close the file."""
        self._seen.clear()
