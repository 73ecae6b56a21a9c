"""`History`: the messages of one log on this machine's disk, and the position up to which the log was read.

It is a projection of the log. A power cut may lose its tail (a catch-up restores it), never its consistency: messages
and position are written in one transaction. Events are stored as their bytes in the log, so a later version may
understand more of them. All terminals of a user store into the same file; storing an event twice changes nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from streamcli.errors import FileTrouble
from streamcli.model.cursor import Cursor
from streamcli.model.dedup_key import dedup_key
from streamcli.model.event import DecodedEvent
from streamcli.model.fingerprint import fingerprint
from streamcli.model.message import Message, Unreadable
from streamcli.model.segment import SCALED, segment_number
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
# One statement for a whole batch: all keys and all events concatenated, their places as JSON rows of offset, first byte
# and size, and the segment's number. Each statement releases Python's lock, and beside a thread that computes it takes
# a whole switch interval to get it back.
_INSERT: Final = (
    "INSERT OR IGNORE INTO message (key, offset, event, segment)"
    " SELECT substr(?, 16 * row.key + 1, 16), json_extract(row.value, '$[0]'),"
    " substr(?, json_extract(row.value, '$[1]'), json_extract(row.value, '$[2]')), ?"
    " FROM json_each(?) AS row ORDER BY row.key"
)


class Stored(NamedTuple):
    """Where a message is: its row's number in the file, its offset and its segment's number in the log."""

    row: int
    offset: int
    segment: int


class History(Closing):
    """One terminal's connection to a log's history. For one thread at a time; it may be opened in another.

    Calls wait for the disk, and up to 2 s for another terminal's transaction. They raise Damaged when the file can't be
    trusted, and FileTrouble or CannotCreate with a sentence for the user; a call that raised has changed nothing.
    """

    def __init__(self, path: Path) -> None:
        """Use :meth:`open` instead."""
        self.path = path
        self._connection = connect(path, "NORMAL")
        try:
            migrate(self._connection, path, HISTORY)
            with translating_errors(path):
                # One read transaction, because another terminal may be storing.
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
        """Open or create the history in ``folder``. Also raises Unusable when a newer version wrote it."""
        with locked(folder / "lock"):
            return cls(newest(folder, "history"))

    @classmethod
    def open_anyway(cls: type[Kept], folder: Path) -> tuple[Kept, Path | None]:
        """Open the history; set a damaged one aside (its new path is returned) and create an empty one."""
        with locked(folder / "lock"):
            path = newest(folder, "history")
            try:
                return cls(path), None
            except Damaged as error:
                aside = set_aside(error.path)
                return cls(newest(folder, "history")), aside

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @property
    def cursor(self) -> Cursor:
        """The position of the file when it was opened, without the log's id; no offsets when nothing was stored."""
        return self._cursor_at_start

    @property
    def count(self) -> int:
        """The number of messages in the file."""
        with translating_errors(self.path):
            row = self._connection.execute("SELECT max(number) FROM message").fetchone()
        return row[0] or 0

    def unreadable(self) -> Counter[str]:
        """Return the number of unreadable events by reason."""
        with translating_errors(self.path):
            return Counter(dict(self._connection.execute("SELECT reason, count(*) FROM unreadable GROUP BY reason")))

    def last(self, count: int) -> list[Message]:
        """Return the last messages of those present when the file was opened, oldest first."""
        with translating_errors(self.path):
            rows = self._connection.execute(
                "SELECT offset, event FROM message WHERE number <= ? ORDER BY number DESC LIMIT ?",
                (self._opened_at, count),
            ).fetchall()
        return messages(reversed(rows), self.path)

    def knows(self, contents: Iterable[Message | Unreadable]) -> list[bool]:
        """Return for each message whether it is stored; stored messages of the outbox need no sending."""
        keys = [dedup_key(content) for content in contents]
        with translating_errors(self.path):
            stored = self._find(keys)
        return [key in stored for key in keys]

    def begin(self, cursor: Cursor) -> None:
        """Record that reading begins at ``cursor``: what is missing below it was truncated from the log's head.

        Call it before :meth:`store`; not needed where offsets are not known.
        """
        with translating_errors(self.path), transaction(self._connection):
            known = self._read_cursor()
            if not known.offsets.keys() & cursor.offsets.keys():  # begun anew
                self._connection.execute("DELETE FROM position")
                self._write_last(None)
            for segment, offset in cursor.offsets.items():
                if known.at(segment, -1) < offset:  # otherwise another terminal is further on
                    self._write_position(segment, offset)

    def store(
        self,
        segment: str,
        events: Sequence[DecodedEvent],
        cursor: Cursor,
        keys: Sequence[bytes] | None = None,
    ) -> list[bool]:
        """Store a batch in one transaction and return, for each event, whether this terminal should show it.

        ``cursor`` is how far this terminal has read. Events below it and messages that also have another place in the
        log (retries) are not to be shown. Events that another terminal stored meanwhile still count as new here.

        The events of a segment must be contiguous, and its position on disk moves to the end of the last one. Where
        offsets are not known (``segment`` is "") there is no position; a message that one run reads twice is new both
        times. ``keys`` are the events' deduplication keys, if the caller has them. After an error (FileTrouble: disk
        full, locked for 2 s, a gap) close the history and continue without it: the next start catches up.
        """
        if not events:
            return []
        keys = [dedup_key(event.content) for event in events] if keys is None else keys
        with translating_errors(self.path), transaction(self._connection):
            known = self._read_cursor()
            self._check(known, events, segment)
            new_unreadable = self._count_unreadable(events, keys)
            number = segment_number(segment) if segment else 0
            stored = self._insert(events, keys, number)
            if segment and events[-1].end > known.at(segment):  # otherwise another terminal is further on
                self._write_position(segment, events[-1].end)
                self._write_last((segment, events[-1].offset, fingerprint(events[-1].data)))
        if not segment:
            return [
                key in new_unreadable if isinstance(event.content, Unreadable) else self._came_now(event, key, stored)
                for event, key in zip(events, keys, strict=True)
            ]
        position = cursor.at(segment)
        if not stored and events[0].offset >= position:
            return [True] * len(events)  # the usual case: no event was seen before
        fresh = []
        for event, key in zip(events, keys, strict=True):
            known_at = stored.get(key)
            same = known_at is None or known_at[1:] == (event.offset, number)
            fresh.append(event.end > position and same)
            position = max(position, event.end)
        return fresh

    def whole(self) -> bool:
        """Return whether SQLite finds no fault in the file. Reads all of it: call it where time doesn't matter."""
        with translating_errors(self.path):
            found = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        return bool(found == ("ok",))

    def _check(self, known: Cursor, events: Sequence[DecodedEvent], segment: str) -> None:
        if not segment:
            return
        # A segment that is not known yet results from scaling, and is read from its beginning.
        if segment not in known.offsets and (segment_number(segment) < SCALED or events[0].offset > 0):
            raise FileTrouble(f"The history {self.path} is another log's: another streamcli has begun it anew.")
        if events[0].offset > known.at(segment):
            raise FileTrouble(f"The history {self.path} ends before what is to be added: the next start catches up.")

    def _insert(self, events: Sequence[DecodedEvent], keys: Sequence[bytes], segment: int) -> dict[bytes, Stored]:
        """Add messages; return where the file holds those that were present already, or nothing if all are new."""
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
        self._connection.execute(_INSERT, (b"".join(keys), b"".join(datas), segment, places))
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

    def _came_now(self, event: DecodedEvent, key: bytes, stored: dict[bytes, Stored]) -> bool:
        """Where offsets are not known: whether the message was stored since the file was opened, and is no retry."""
        known = stored.get(key)
        return known is None or (known.row > self._opened_at and known.offset == event.offset)

    def _find(self, keys: Sequence[bytes]) -> dict[bytes, Stored]:
        """Return where those keys are that are stored."""
        found: dict[bytes, Stored] = {}
        for first in range(0, len(keys), _ASKED_AT_ONCE):
            some = keys[first : first + _ASKED_AT_ONCE]
            marks = ", ".join("?" * len(some))
            query = f"SELECT key, number, offset, segment FROM message WHERE key IN ({marks})"
            found.update((key, Stored(*place)) for key, *place in self._connection.execute(query, some))
        return found

    def _read_cursor(self) -> Cursor:
        offsets = dict(self._connection.execute("SELECT segment, offset FROM position"))
        last = self._connection.execute("SELECT segment, offset, digest FROM last_event").fetchone()
        if last is None or not all(isinstance(offset, int) for offset in offsets.values()):
            raise Damaged(self.path, "it doesn't say how far it goes")
        return Cursor("", offsets, None if last[0] is None else last)

    def _write_position(self, segment: str, offset: int) -> None:
        self._connection.execute("INSERT OR REPLACE INTO position VALUES (?, ?)", (segment, offset))

    def _write_last(self, last: tuple[str, int, bytes] | None) -> None:
        values = last or (None, None, None)
        self._connection.execute("UPDATE last_event SET segment = ?, offset = ?, digest = ?", values)
