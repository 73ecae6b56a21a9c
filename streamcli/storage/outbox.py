"""`Outbox`: typed messages that are not yet known to be in the log, in a file that outlives the program.

A terminal's messages always keep the order in which it added them, by a number that only grows. A terminal is alive
while it holds the lock on its file in ``terminals/``; the next terminal to ask adopts what a dead one left. Sending
twice is harmless because messages have ids, so the outbox need not know what the server already has.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

from streamcli.errors import from_os_error
from streamcli.model.event import Entry
from streamcli.model.message import Message, Unreadable, decode, encode
from streamcli.storage.database import (
    Closing,
    Damaged,
    connect,
    newest,
    set_aside,
    transaction,
    translating_errors,
)
from streamcli.storage.migrations import OUTBOX, migrate
from streamcli.system import private_files
from streamcli.system.clock import SYSTEM, Clock
from streamcli.system.locks import is_held, locked, try_lock
from streamcli.system.paths import ensure_dir

_Ids = Iterable[str] | None


class Outbox(Closing):
    """One terminal's rows in the outbox of one user and address. One thread at a time, never the drawing thread.

    Calls wait for the disk, and up to 2 s for another terminal's transaction; when they return, their changes survive a
    power cut. They raise FileTrouble or CannotCreate with a sentence for the user, having changed nothing.
    """

    def __init__(self, folder: Path, clock: Clock = SYSTEM) -> None:
        """Open or create the outbox in ``folder``. A damaged one is set aside, and ``lost`` is its new path.

        Also raises Damaged when another terminal still uses the damaged file: its rows may exist nowhere else, so the
        file is not moved.
        """
        self.lost: Path | None = None
        self._folder, self._clock = folder, clock
        self._terminals = ensure_dir(folder / "terminals")
        self.terminal = f"{clock.milliseconds():012x}{clock.random_bytes(4).hex()}"
        with locked(folder / "lock"):
            # Also under the lock, so that no terminal takes the new file for a dead terminal's before it is locked.
            self._fd = self._come_to_life()
            try:
                self._open(newest(folder, "outbox", clock.time_ns))
            except BaseException:
                self._die()
                raise

    def close(self) -> None:
        """Close the file; the next terminal adopts the remaining rows."""
        self._connection.close()
        self._die()

    def add(self, messages: Sequence[Message]) -> None:
        """Store messages, in this order, after all that were added before. Messages already stored stay unchanged."""
        with translating_errors(self.path), transaction(self._connection):
            self._still_there()
            self._connection.executemany(
                "INSERT OR IGNORE INTO entry (terminal, id, event) VALUES (?, ?, ?)",
                [(self.terminal, message.id, encode(message)) for message in messages],
            )

    def sent(self, ids: Iterable[str]) -> None:
        """Delete these messages, whichever terminal added them: they are in the log."""
        self._change("DELETE FROM entry WHERE id = ?", ((id,) for id in ids))

    def failed(self, id: str, reason: str) -> None:
        """Mark a message as refused permanently; it blocks no other message until :meth:`retry` or :meth:`drop`."""
        self._change("UPDATE entry SET reason = ? WHERE id = ?", [(reason, id)])

    def retry(self, ids: _Ids = None) -> list[Entry]:
        """Let these failed messages (default: all) wait again, each in its old place; return them."""
        return self._take_out("UPDATE entry SET reason = NULL WHERE id = ?", ids)

    def drop(self, ids: _Ids = None) -> list[Entry]:
        """Delete these failed messages (default: all) and return them."""
        return self._take_out("DELETE FROM entry WHERE id = ?", ids)

    def waiting(self) -> list[Entry]:
        """Return what this terminal has to send, in order."""
        with translating_errors(self.path):
            return self._entries("reason IS NULL")

    def failures(self) -> list[Entry]:
        """Return the messages that failed permanently, in order."""
        with translating_errors(self.path):
            return self._entries("reason IS NOT NULL")

    def adopt(self) -> list[Entry]:
        """Take over the rows of dead terminals, and return those that wait, in order. Call it at the start.

        They keep their order and precede all that is added later, but are not sorted in between messages that this
        terminal has already handed over.
        """
        with locked(self._folder / "lock"), translating_errors(self.path):
            dead, alive = self._look_around()
            with transaction(self._connection):
                before = {entry.message.id for entry in self._entries("reason IS NULL")}
                marks = ", ".join("?" * len(alive))
                self._connection.execute(
                    f"UPDATE entry SET terminal = ? WHERE terminal NOT IN ({marks})", (self.terminal, *alive)
                )
                adopted = [entry for entry in self._entries("reason IS NULL") if entry.message.id not in before]
            for path in dead:
                path.unlink(missing_ok=True)
        return adopted

    def _open(self, path: Path) -> None:
        try:
            self._connect(path)
        except Damaged:
            if len(self._look_around()[1]) > 1:
                raise
            self.lost = set_aside(path)
            self._connect(newest(self._folder, "outbox", self._clock.time_ns))

    def _connect(self, path: Path) -> None:
        self.path = path
        self._connection = connect(path, "FULL")
        try:
            migrate(self._connection, path, OUTBOX)
            with translating_errors(path):
                if self._connection.execute("PRAGMA integrity_check(1)").fetchone() != ("ok",):
                    raise Damaged(path, "SQLite finds it inconsistent")
                self._entries("true", everybody=True)
            self._inode = path.stat().st_ino
        except BaseException:
            self._connection.close()
            raise

    def _still_there(self) -> None:
        # If a user deletes the outbox under a running chat, the chat must not believe that its messages are kept.
        if not self.path.exists() or self.path.stat().st_ino != self._inode:
            raise Damaged(self.path, "somebody has deleted or replaced it")

    def _change(self, statement: str, rows: Iterable[tuple[str, ...]]) -> None:
        with translating_errors(self.path), transaction(self._connection):
            self._connection.executemany(statement, rows)

    def _take_out(self, statement: str, ids: _Ids) -> list[Entry]:
        with translating_errors(self.path), transaction(self._connection):
            chosen = self._entries("reason IS NOT NULL")
            if ids is not None:
                wanted = set(ids)
                chosen = [entry for entry in chosen if entry.message.id in wanted]
            self._connection.executemany(statement, [(entry.message.id,) for entry in chosen])
        return chosen

    def _entries(self, which: str, everybody: bool = False) -> list[Entry]:
        rows = self._connection.execute(
            f"SELECT event, reason FROM entry WHERE ({which}) AND (terminal = ? OR ?) ORDER BY number",
            (self.terminal, everybody),
        )
        return [Entry(self._read(event), reason, event) for event, reason in rows]

    def _read(self, event: object) -> Message:
        message = decode(event, 0) if isinstance(event, bytes) else None
        if message is None or isinstance(message, Unreadable):
            raise Damaged(self.path, "a message in it can't be read")
        return message

    def _come_to_life(self) -> int:
        path = self._terminals / self.terminal
        try:
            fd = private_files.opened(path, os.O_RDWR | os.O_EXCL)
        except OSError as error:
            raise from_os_error(error, path) from error
        try_lock(fd)
        return fd

    def _die(self) -> None:
        with contextlib.suppress(OSError):
            (self._terminals / self.terminal).unlink()
        os.close(self._fd)

    def _look_around(self) -> tuple[list[Path], list[str]]:
        """Return the files of dead terminals, and the names of living ones, this one included."""
        dead, alive = [], [self.terminal]
        for path in self._terminals.iterdir():
            if path.name == self.terminal:
                continue
            if is_held(path):
                alive.append(path.name)
            else:  # dead, or just closed and its file is gone
                dead.append(path)
        return dead, alive


def count_in(folder: Path) -> int:
    """Count the waiting and failed messages of the outbox in this folder; opens it read-only."""
    path = newest(folder, "outbox")
    if not path.exists():
        return 0
    with translating_errors(path):
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        try:
            return int(connection.execute("SELECT count(*) FROM entry").fetchone()[0])
        finally:
            connection.close()
