"""`Recorder`: stores what the reader brings in the user's history, and switches histories when the log changes.

When a history can't be used, the user is told once and the chat continues without it: the log has everything.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from streamcli.errors import StreamcliError
from streamcli.model.cursor import Cursor
from streamcli.model.event import DecodedEvent
from streamcli.model.message import Message
from streamcli.storage.database import Damaged, set_aside
from streamcli.storage.directories import OWN, Places, new_log_id
from streamcli.storage.history import History
from streamcli.storage.seen_keys import SeenKeys

RECENT = 10_000  # keys kept for deduplication in case the history fails

_log = logging.getLogger(__name__)


class Recorder:
    """One terminal's history. Call :meth:`resume` first, and the other methods from the storing thread.

    ``path`` is the history's file, None without one.
    """

    def __init__(self, places: Places, address: str, say: Callable[[str], object]) -> None:
        """``address`` says where the log is (places.address_key); ``say`` takes sentences, from any thread."""
        self._places, self._address, self._say = places, address, say
        self._history: History | None = None
        self._log = ""  # the id that the history's folder is named after
        self._given_up = False
        self._recent: deque[bytes] = deque(maxlen=RECENT)
        self._seen = SeenKeys()
        self.path: Path | None = None

    def resume(self, count: int) -> tuple[Cursor | None, list[Message]]:
        """Open the history of the log last seen at the address; return where it ends and its last ``count`` messages.

        It may wait up to 2 s for another terminal that is opening the same history.
        """
        try:
            log = self._places.log_at(self._address)
            if log is None:
                return None, []
            history = self._switch(log)
            shown = history.last(count)
            if not history.count:
                return None, shown
            return replace(history.cursor, log=_tag(log, history.cursor)), shown
        except StreamcliError as error:
            self._give_up(error)
            return None, []

    def opened(self, cursor: Cursor, another: bool) -> None:
        """Handle the start of reading: of the same log or, in another folder, of another one."""
        if another:
            self._recent.clear()
            self._seen.clear()
        if self._given_up:
            return
        try:
            history = self._history
            if history is None or another:
                # A log that lost its content counts as another one, whatever its tag says.
                log = cursor.log if cursor.log and cursor.log != self._log else new_log_id()
                history = self._switch(log)
                self._places.remember(self._address, log)
            if cursor.offsets:
                history.begin(cursor)
        except StreamcliError as error:
            self._give_up(error)

    def store(self, segment: str, events: Sequence[DecodedEvent], keys: Sequence[bytes], cursor: Cursor) -> list[bool]:
        """Store events and return for each whether it is new to this terminal: never shown, and not a duplicate."""
        history = self._history
        if history is None:
            return self._unseen(keys)
        try:
            fresh = history.store(segment, events, cursor, keys)
        except StreamcliError as error:
            self._give_up(error)
            return self._unseen(keys)
        if cursor.offsets:
            self._recent.extend(keys)  # the history knows the older ones
            return fresh
        # Where offsets are not known each new connection reads everything again.
        return [one and other for one, other in zip(fresh, self._unseen(keys), strict=True)]

    def close(self) -> None:
        """Close the files."""
        self._seen.clear()
        self._close_history()

    def _unseen(self, keys: Sequence[bytes]) -> list[bool]:
        if self._recent:
            self._seen.add(list(self._recent))
            self._recent.clear()
        return self._seen.add(keys)

    def _close_history(self) -> None:
        if self._history:
            self._history.close()
            self._history = None

    def _switch(self, log: str) -> History:
        """Close the current history and open this log's."""
        self._close_history()
        history, aside = History.open_anyway(self._places.history(log))
        if aside:
            self._say(f"The history was damaged: it is read anew from the log. The old file is {aside}.")
        self._history, self._log, self.path = history, log, history.path
        return history

    def _give_up(self, error: StreamcliError) -> None:
        _log.error("going on without a history: %s", error)
        self._given_up, self.path = True, None
        self._close_history()
        text = f"{error} Nothing more is kept in the history until the next start; the log has it all."
        if isinstance(error, Damaged):
            try:
                text = f"{error} It is set aside as {set_aside(error.path)}; the next start reads the log anew."
            except StreamcliError as worse:
                text = f"{error} {worse}"
        self._say(text)


def _tag(log: str, cursor: Cursor) -> str:
    """Return the log's own id, as the read worker names it, for a history in the folder ``log``."""
    # Where offsets are not known there is no segment, and a log is recognized only by an id of its own.
    segment = next(iter(cursor.offsets), "")
    return segment.rpartition("#")[0] if segment else "" if log.startswith(OWN) else log
