"""A history together with the cursor of its reader, which the program keeps apart (streamcli.log.reader)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from streamcli.model.cursor import Cursor
from streamcli.model.event import DecodedEvent
from streamcli.storage import history


class Progress(NamedTuple):
    """How far ``place`` was read, and its last event's offset and fingerprint."""

    place: str
    position: int
    last: tuple[int, bytes] | None


class History(history.History):
    """One terminal's history that remembers how far this terminal has read."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._read = self.cursor

    @property
    def progress(self) -> Progress:
        place = next(iter(self._read.offsets), "")
        return Progress(place, self._read.at(place), self._read.last and self._read.last[1:])

    def begin(self, place: str, start: int) -> None:  # type: ignore[override]
        cursor = Cursor("", {place: start}, self._read.last if place in self._read.offsets else None)
        super().begin(cursor)
        self._read = cursor

    def store(  # type: ignore[override]
        self, events: Sequence[DecodedEvent], place: str, keys: Sequence[bytes] | None = None
    ) -> list[bool]:
        cursor = Cursor("", {place: self._read.at(place)}, self._read.last) if place else Cursor()
        fresh = super().store(place, events, cursor, keys)
        if place and events:
            self._read = cursor.after(place, events[-1])
        return fresh
