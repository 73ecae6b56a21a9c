"""`History`: the messages of one log on this machine's disk, and the position up to which the log was read.

The log is the truth and this is a view of it. A power cut may lose its tail (a catch-up brings it again), never its
consistency: messages and position are one transaction. An event is kept as the bytes it has in the log, so a later
version may understand more of it. All terminals of a user store into the same file; who comes second changes nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Final, TypeVar

from streamcli.errors import FileTrouble
from streamcli.model.cursor import Cursor
from streamcli.model.dedup_key import dedup_key
from streamcli.model.event import DecodedEvent
from streamcli.model.message import Message, Unreadable
from streamcli.storage.database import (
    Closing,
    Damaged,
    connect,
    newest,
    set_aside,
    transaction,
    translating_errors,
)
from streamcli.storage.migrations import HISTORY, migrate
from streamcli.storage.stored_event import kept, messages
from streamcli.system.locks import locked

Kept = TypeVar("Kept", bound="History")
_ASKED_AT_ONCE: Final = 500  # SQLite before 3.32 takes at most 999 parameters
# One statement for a whole batch: all keys and all events end to end, and where each lies, as JSON rows of offset,
# first byte and size. A statement for each row gives up Python's lock each time, and beside a thread that computes it
# comes back only after a whole switch interval.
_INSERT: Final = (
    "INSERT OR IGNORE INTO message (key, offset, event)"
    " SELECT substr(?1, 16 * row.key + 1, 16), json_extract(row.value, '$[0]'),"
    " substr(?2, json_extract(row.value, '$[1]'), json_extract(row.value, '$[2]'))"
    " FROM json_each(?3) AS row ORDER BY row.key"
)


class History(Closing):
    """One terminal's connection to a log's history. One thread at a time: opened here, it may be used there.

    Each call waits for the disk, and up to 2 s for another terminal's transaction. Each raises Damaged when the file
    can't be trusted, and FileTrouble or CannotCreate in words for the person; a call that raised has changed nothing.
    """

    def __init__(self, path: Path) -> None:
        """Use :meth:`open`."""
        self.path = path
        self._connection = connect(path, "NORMAL")
        try:
            migrate(self._connection, path, HISTORY)
            with translating_errors(path):
                # In one look: another terminal may be storing.
                self._connection.execute("BEGIN")
                self._cursor_at_start = self._read_cursor()
                self._opened_at = self.count
                self._connection.execute("COMMIT")
            self.last(1)
        except BaseException:
            self._connection.close()
            raise

    @classmethod
    def open(cls: type[Kept], folder: Path) -> Kept:
        """Open or begin the history in ``folder``; raises Unusable as well, when a newer version wrote it."""
        with locked(folder / "lock"):
            return cls(newest(folder, "history"))

    @classmethod
    def open_anyway(cls: type[Kept], folder: Path) -> tuple[Kept, Path | None]:
        """Open the history; a damaged one is set aside (its new path is returned) and an empty one begun."""
        with locked(folder / "lock"):
            path = newest(folder, "history")
            try:
                return cls(path), None
            except Damaged as error:
                aside = set_aside(error.path)
                return cls(newest(folder, "history")), aside

    def close(self) -> None:
        """Let the file go."""
        self._connection.close()

    @property
    def cursor(self) -> Cursor:
        """How far the file went when it was opened, without the log's id; no offsets when nothing was stored."""
        return self._cursor_at_start

    @property
    def count(self) -> int:
        """How many messages the file holds."""
        with translating_errors(self.path):
            row = self._connection.execute("SELECT max(number) FROM message").fetchone()
        return row[0] or 0

    def unreadable(self) -> Counter[str]:
        """How many events could not be read, by reason."""
        with translating_errors(self.path):
            return Counter(dict(self._connection.execute("SELECT reason, count(*) FROM unreadable GROUP BY reason")))

    def last(self, count: int) -> list[Message]:
        """The last messages of those that were there when the file was opened, oldest first."""
        with translating_errors(self.path):
            rows = self._connection.execute(
                "SELECT offset, event FROM message WHERE number <= ? ORDER BY number DESC LIMIT ?",
                (self._opened_at, count),
            ).fetchall()
        return messages(reversed(rows), self.path)

    def knows(self, contents: Iterable[Message | Unreadable]) -> list[bool]:
        """Of each message, whether it is stored: one of the outbox that is needs no sending."""
        keys = [dedup_key(content) for content in contents]
        with translating_errors(self.path):
            stored = self._find(keys)
        return [key in stored for key in keys]

    def begin(self, cursor: Cursor) -> None:
        """Note that reading begins at ``cursor``: what lies before it and is not stored was cut off the log's head.

        Call it before :meth:`store`; not needed where offsets don't order the log.
        """
        with translating_errors(self.path), transaction(self._connection):
            known = self._read_cursor()
            if known.segment != cursor.segment or known.position < cursor.position:
                last = known.last if known.segment == cursor.segment else None
                self._write_cursor(replace(cursor, last=last))

    def store(self, events: Sequence[DecodedEvent], cursor: Cursor, keys: Sequence[bytes] | None = None) -> list[bool]:
        """Store a batch in one transaction and return, for each event, whether this terminal should show it.

        ``cursor`` is how far this terminal has read. Not to be shown is what stands below it, and a message that also
        stands elsewhere in the log (a retry). What another terminal stored meanwhile is new here all the same.

        Where offsets order the log the events must follow each other, and the position on disk moves to the last one's
        end. On several segments there is no position; what one run brings twice is then new twice.
        ``keys`` are the events' deduplication keys, for a caller that has them. After an error (FileTrouble: disk full,
        locked for 2 s, a gap) close the history and go on without: the next start catches up.
        """
        if not events:
            return []
        keys = [dedup_key(event.content) for event in events] if keys is None else keys
        with translating_errors(self.path), transaction(self._connection):
            known = self._read_cursor()
            self._check(known, events, cursor.segment)
            new_unreadable = self._count_unreadable(events, keys)
            stored = self._insert(events, keys)
            if cursor.offsets and events[-1].end > known.position:  # or another terminal is further on
                self._write_cursor(known.after(events[-1]))
        if not cursor.offsets:
            return [
                key in new_unreadable if isinstance(event.content, Unreadable) else self._came_now(event, key, stored)
                for event, key in zip(events, keys, strict=True)
            ]
        if not stored and events[0].offset >= cursor.position:
            return [True] * len(events)  # nearly always: nothing of it was ever seen
        fresh, position = [], cursor.position
        for event, key in zip(events, keys, strict=True):
            _, offset = stored.get(key, (0, event.offset))
            fresh.append(event.end > position and offset == event.offset)
            position = max(position, event.end)
        return fresh

    def whole(self) -> bool:
        """Whether SQLite finds nothing wrong in the whole file; reads all of it, for a thread that has time."""
        with translating_errors(self.path):
            found = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        return bool(found == ("ok",))

    def _check(self, known: Cursor, events: Sequence[DecodedEvent], segment: str) -> None:
        if not segment:
            return
        if known.segment != segment:
            raise FileTrouble(f"The history {self.path} is another log's: another streamcli has begun it anew.")
        if events[0].offset > known.position:
            raise FileTrouble(f"The history {self.path} ends before what is to be added: the next start catches up.")

    def _insert(self, events: Sequence[DecodedEvent], keys: Sequence[bytes]) -> dict[bytes, tuple[int, int]]:
        """Add messages; where the file holds those that were there already, all if there were none: nothing."""
        rows = [
            (key, event.offset, kept(event))
            for event, key in zip(events, keys, strict=True)
            if not isinstance(event.content, Unreadable)
        ]
        if not rows:
            return {}
        keys, offsets, datas = zip(*rows, strict=True)
        sizes = list(map(len, datas))
        firsts = accumulate(sizes[:-1], initial=1)
        places = json.dumps(list(zip(offsets, firsts, sizes, strict=True)))
        before = self._connection.total_changes
        self._connection.execute(_INSERT, (b"".join(keys), b"".join(datas), places))
        if self._connection.total_changes - before == len(rows):
            return {}
        return self._find(keys)

    def _count_unreadable(self, events: Sequence[DecodedEvent], keys: Sequence[bytes]) -> set[bytes]:
        new: set[bytes] = set()
        for event, key in zip(events, keys, strict=True):
            if isinstance(event.content, Unreadable):
                added = self._connection.execute(
                    "INSERT OR IGNORE INTO unreadable (key, reason) VALUES (?, ?)", (key, event.content.reason)
                )
                if added.rowcount > 0:
                    new.add(key)
        return new

    def _came_now(self, event: DecodedEvent, key: bytes, stored: dict[bytes, tuple[int, int]]) -> bool:
        """On several segments: whether the message was not in the file when it was opened, and is no retry."""
        number, offset = stored.get(key, (self._opened_at + 1, event.offset))
        return number > self._opened_at and offset == event.offset

    def _find(self, keys: Sequence[bytes]) -> dict[bytes, tuple[int, int]]:
        """Of those keys that are stored: the row's number and offset."""
        found: dict[bytes, tuple[int, int]] = {}
        for first in range(0, len(keys), _ASKED_AT_ONCE):
            some = keys[first : first + _ASKED_AT_ONCE]
            marks = ", ".join("?" * len(some))
            rows = self._connection.execute(f"SELECT key, number, offset FROM message WHERE key IN ({marks})", some)
            found.update((key, (number, offset)) for key, number, offset in rows)
        return found

    def _read_cursor(self) -> Cursor:
        row = self._connection.execute("SELECT place, position, last_offset, last_digest FROM progress").fetchone()
        if row is None or not isinstance(row[1], int):
            raise Damaged(self.path, "it doesn't say how far it goes")
        segment, position, offset, digested = row
        return Cursor("", {segment: position} if segment else {}, None if offset is None else (offset, digested))

    def _write_cursor(self, cursor: Cursor) -> None:
        self._connection.execute(
            "UPDATE progress SET place = ?, position = ?, last_offset = ?, last_digest = ?",
            (cursor.segment, cursor.position, *(cursor.last or (None, None))),
        )
