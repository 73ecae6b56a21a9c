"""`WordIndex`: finds messages of a history by their words, with an index that is filled in the background.

The index is a separate file beside the history: filling it never makes a message wait for SQLite's only writer, and a
damaged index or one of another version is rebuilt. It holds no texts, only the positions of words.
"""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from pathlib import Path
from typing import Final, NamedTuple

from streamcli.errors import Unusable
from streamcli.model.message import Message, replace_surrogates
from streamcli.storage.database import Closing, Damaged, connect, newest, transaction, translating_errors
from streamcli.storage.stored_event import messages
from streamcli.system.locks import locked

STEP: Final = 1000  # messages indexed at a time: some 20 ms
MOST_WORDS: Final = 32
MOST_SIGNS: Final = 8  # most ignored signs to name in a sentence
_UNSPACED: Final = re.compile("(CJK|HIRAGANA|KATAKANA|BOPOMOFO|YI|THAI|LAO|KHMER|MYANMAR|TIBETAN|HALFWIDTH KATAKANA) ")
_VERSION: Final = 1  # of the index's format; part of the file's name, so versions don't disturb each other


class Found(NamedTuple):
    """The messages that a search found, newest first, and how many of the latest are not indexed yet."""

    messages: list[Message]
    behind: int


class WordIndex(Closing):
    """One connection to the index of a history file. One thread at a time, never the drawing thread.

    An indexing and a searching thread each open their own; neither waits for the other. All calls raise FileTrouble or
    CannotCreate with a sentence for the user, and Damaged when the history itself can't be trusted.
    """

    def __init__(self, history: Path) -> None:
        """Open or create the index of this file (History.path); raises Unusable when SQLite lacks FTS5."""
        self._history = history
        self._stem = f"words{_VERSION}-{history.stem.rpartition('-')[2]}"
        with locked(history.parent / "lock"):
            for other in history.parent.glob("words*-*.db*"):
                if not other.name.startswith(f"{self._stem}-"):
                    other.unlink(missing_ok=True)  # of a set-aside history, or of another version
            try:
                self._open()
            except Damaged:
                _delete(self.path)
                self._open()
        self._log = connect(history, "NORMAL")
        with translating_errors(history):
            self._log.execute("PRAGMA query_only=1")
        with translating_errors(self.path), transaction(self._words):
            self._check()

    def close(self) -> None:
        """Close the files."""
        self._words.close()
        self._log.close()

    def index_some(self, limit: int = STEP) -> int:
        """Index up to ``limit`` more messages and return how many are left; call it until that is 0.

        Several terminals may do so at the same time: each message is indexed once.
        """
        try:
            return self._index_some(limit)
        except Damaged as error:
            self._begin_anew(error)
            return self._count()

    def search(self, words: str, limit: int = 50) -> Found:
        """Find the newest ``limit`` messages with all ``words`` in text or sender; the last word may be a prefix.

        Case and accents are ignored. Signs in ``words`` are separators, even where FTS5 has operators.
        """
        try:
            return self._search(words, limit)
        except Damaged as error:
            self._begin_anew(error)
            return Found([], self._count())

    def _index_some(self, limit: int) -> int:
        with translating_errors(self.path), transaction(self._words):
            (upto,) = self._words.execute("SELECT upto FROM indexed").fetchone()
            with translating_errors(self._history):
                rows = self._log.execute(
                    "SELECT number, key, offset, event FROM message WHERE number > ? ORDER BY number LIMIT ?",
                    (upto, limit),
                ).fetchall()
            if rows:
                texts = messages(((offset, event) for _, _, offset, event in rows), self._history)
                self._words.executemany(
                    "INSERT INTO words (rowid, sender, text) VALUES (?, ?, ?)",
                    [(row[0], m.sender, m.message) for row, m in zip(rows, texts, strict=True)],
                )
                upto, key = rows[-1][0], rows[-1][1]
                self._words.execute("UPDATE indexed SET upto = ?, key = ?", (upto, key))
        return self._count() - int(upto)

    def _search(self, words: str, limit: int) -> Found:
        asked = query(words)
        with translating_errors(self.path):
            behind = max(0, self._count() - self._words.execute("SELECT upto FROM indexed").fetchone()[0])
            if not asked:
                return Found([], behind)
            numbers = self._words.execute(
                "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid DESC LIMIT ?", (asked, limit)
            ).fetchall()
        with translating_errors(self._history):
            rows = [
                row
                for number in numbers
                for row in self._log.execute("SELECT offset, event FROM message WHERE number = ?", number)
            ]
        return Found(messages(rows, self._history), behind)

    def _open(self) -> None:
        self.path = newest(self._history.parent, self._stem)
        self._words = _index(self.path)

    def _begin_anew(self, error: Damaged) -> None:
        if error.path != self.path:
            raise error
        self._words.close()
        with locked(self._history.parent / "lock"):
            _delete(self.path)
            self._open()

    def _check(self) -> None:
        """Rebuild if the last indexed message has changed: a power cut may take the history's tail."""
        upto, key = self._words.execute("SELECT upto, key FROM indexed").fetchone()
        with translating_errors(self._history):
            there = self._log.execute("SELECT key FROM message WHERE number = ?", (upto,)).fetchone()
        if upto and there != (key,):
            self._words.execute("INSERT INTO words (words) VALUES ('delete-all')")
            self._words.execute("UPDATE indexed SET upto = 0, key = x''")

    def _count(self) -> int:
        with translating_errors(self._history):
            return int(self._log.execute("SELECT max(number) FROM message").fetchone()[0] or 0)


def limits(words: str) -> str:
    """Return a sentence on what the index can't find of a search for ``words``; "" if it finds all."""
    said = []
    if signs := sorted({char for char in words if unicodedata.category(char)[0] in "PS"}):
        said.append(f"signs ({' '.join(signs[:MOST_SIGNS])}) are ignored")
    if any(_UNSPACED.match(unicodedata.name(char, "")) for char in set(words)):
        said.append("in scripts without blanks between words only the beginning of a phrase is found")
    text = "; ".join(said)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def query(words: str) -> str:
    """Turn the user's words into an FTS5 query of quoted words only; "" when no word is left."""
    # SQLite ends a text at a NUL, even inside a quoted word.
    parts = list(dict.fromkeys(replace_surrogates(words).replace("\0", " ").replace('"', " ").split()))
    parts = [part for part in parts if any(char.isalnum() for char in part)]
    if len(parts) > MOST_WORDS:
        parts = parts[: MOST_WORDS - 1] + parts[-1:]
    return " ".join(f'"{part}"' for part in parts) + "*" if parts else ""


def _delete(path: Path) -> None:
    with translating_errors(path):
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)


def _index(path: Path) -> sqlite3.Connection:
    connection = connect(path, "NORMAL")
    try:
        with translating_errors(path), transaction(connection):
            # "content" and "columnsize": no copy of the texts. "prefix": 1 ms instead of 50 for a single letter.
            connection.execute(
                "CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(sender, text, content='', columnsize=0,"
                " prefix='1', tokenize='unicode61 remove_diacritics 2')"
            )
            connection.execute(
                "CREATE TABLE IF NOT EXISTS indexed (only INTEGER PRIMARY KEY CHECK (only = 1),"
                " upto INTEGER NOT NULL, key BLOB NOT NULL)"
            )
            connection.execute("INSERT OR IGNORE INTO indexed VALUES (1, 0, x'')")
            connection.execute("SELECT rowid FROM words WHERE words MATCH 'a' LIMIT 1").fetchone()
    except BaseException as error:
        connection.close()
        if "fts5" in str(error) and "no such module" in str(error):
            raise Unusable("This Python's SQLite has no FTS5: searching is not possible with it.") from error
        raise
    return connection
