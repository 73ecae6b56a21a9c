"""`Recorder`: stores what the reader brings in this user's history, and leads it to the right one when the log changes.

A history that can't be used is said once, and the chat goes on without: the log has it all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from streamcli.errors import StreamcliError
from streamcli.model.dedup_key import dedup_key
from streamcli.model.message import Message
from streamcli.storage.database import Damaged, set_aside
from streamcli.storage.directories import OWN, Places, new_log_id
from streamcli.storage.history import History
from streamcli.storage.stored_event import Event
from streamcli.views.timeline import SHOWN_AT_START, LogOpened, LogPosition, Timeline

_log = logging.getLogger(__name__)


class Recorder:
    """One terminal's history. :meth:`resume` and :meth:`last` come first; the rest is for the thread that stores.

    ``path`` is the history's file and ``last_event`` the last one stored in it (offset and digest), None without.
    """

    def __init__(self, places: Places, address: str, say: Callable[[str], object]) -> None:
        """``address`` names where the log is (places.address_key); ``say`` takes sentences, from any thread."""
        self._places, self._address, self._say = places, address, say
        self._history: History | None = None
        self._log = ""  # the id that the history's folder is named after
        self._place: LogPosition | None = None
        self._counts_in = ""  # what offsets count in, as the history wants it
        self._given_up = False
        self.path: Path | None = None
        self.last_event: tuple[int, bytes] | None = None

    def resume(self, state: Timeline) -> list[Message]:
        """Open the history of the log last seen behind the address, begin ``state`` there, and return its last lines.

        It may wait up to 2 s for another terminal that is just opening the same.
        """
        try:
            log = self._places.log_at(self._address)
            if log is None:
                return []
            history = self._switch(log)
            shown = history.last(SHOWN_AT_START)
            if history.count:
                progress = history.progress
                self._place = LogPosition(_tag(log, progress.place), progress.place, progress.position)
                self.last_event = progress.last
                state.resume(self._place, shown, [dedup_key(message) for message in shown])
        except StreamcliError as error:
            self._give_up(error)
            return []
        return shown

    def opened(self, opened: LogOpened) -> None:
        """Reading begins: of the same log or, in another folder, of another one."""
        if self._given_up:
            return
        try:
            history = self._history
            if history is None or not (self._place is None or self._place.goes_on(opened)):
                # A log that has lost what it had is another one, whatever its tag says.
                log = opened.log if opened.log and opened.log != self._log else new_log_id()
                history = self._switch(log)
                self._places.remember(self._address, log)
            if opened.segments == 1:
                history.begin(opened.place, opened.start)
            self._counts_in = opened.place
            self.last_event = history.progress.last
            self._place = LogPosition(opened.log, opened.place, opened.start)
        except StreamcliError as error:
            self._give_up(error)

    def store(self, events: Sequence[Event], keys: Sequence[bytes]) -> list[bool]:
        """Store events and return for each whether it is new to this terminal; without a history all are."""
        history = self._history
        if history is None or self._place is None:
            return [True] * len(events)
        try:
            fresh = history.store(events, self._counts_in, keys)
        except StreamcliError as error:
            self._give_up(error)
            return [True] * len(events)
        if self._counts_in:
            self._place = self._place._replace(position=history.progress.position)
            self.last_event = history.progress.last
        return fresh

    def close(self) -> None:
        """Let the file go."""
        if self._history:
            self._history.close()
            self._history = None

    def _switch(self, log: str) -> History:
        """Open the history of this log in place of the one before."""
        self.close()
        history, aside = History.open_anyway(self._places.history(log))
        if aside:
            self._say(f"The history was damaged: it is read anew from the log. The old file is {aside}.")
        self._history, self._log, self.path = history, log, history.path
        return history

    def _give_up(self, error: StreamcliError) -> None:
        _log.error("going on without a history: %s", error)
        self._given_up, self.path = True, None
        self.close()
        text = f"{error} Nothing more is kept in the history until the next start; the log has it all."
        if isinstance(error, Damaged):
            try:
                text = f"{error} It is set aside as {set_aside(error.path)}; the next start reads the log anew."
            except StreamcliError as worse:
                text = f"{error} {worse}"
        self._say(text)


def _tag(log: str, place: str) -> str:
    """The log's own id, as the read worker names it, of a history in the folder ``log``."""
    # Where offsets don't order the log there is no place, and only a log with an id of its own is known again.
    return place.rpartition("#")[0] if place else "" if log.startswith(OWN) else log
