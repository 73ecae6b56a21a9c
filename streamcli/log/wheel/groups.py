"""Names the reader groups of this machine's terminals, and finds those left over.

Each read worker process has its own group. A small locked file per terminal records the names before the group is
created: an unlocked file means that its terminal is gone and its groups may be deleted.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from pathlib import Path

from streamcli.errors import from_os_error
from streamcli.model.address import Stream
from streamcli.model.names import reader_group
from streamcli.system import locks
from streamcli.system.clock import SYSTEM, Clock
from streamcli.system.paths import ensure_dir

_log = logging.getLogger(__name__)


class GroupNames:
    """The reader groups of one running terminal; raises CannotCreate or FileTrouble for its folder."""

    def __init__(self, folder: Path, user: str, stream: Stream, clock: Clock = SYSTEM) -> None:
        self._folder, self._user, self._stream, self._clock = folder, user, stream, clock
        self._current: list[str] = []
        self._left_over: list[str] = []
        self._taken: list[tuple[Path, int]] = []
        self._saved = False
        self._path = ensure_dir(folder) / f"{_unique(clock)}.json"
        try:
            self._fd = locks.hold(self._path)  # waits for a terminal that inspects and removes it before it is locked
            self._take_left_over()
        except OSError as error:
            raise from_os_error(error, self._path) from error

    def next(self) -> str:
        """Return an unused name, recorded on disk first; the previous one counts as left over."""
        name = reader_group(self._user, _unique(self._clock), self._stream.stream)
        self._left_over += self._current
        self._current = [name, head_group(name)]
        self._save()
        return name

    def one_made(self) -> None:
        """Record that the group beside the current one was not created: the stream has one segment."""
        self._current = self._current[:1]
        self._save()

    def left_over(self) -> list[str]:
        """Return the groups in this scope without a reader."""
        return list(self._left_over)

    def forget(self, names: list[str]) -> None:
        """Record that ``names`` were deleted on the server."""
        self._left_over = [name for name in self._left_over if name not in names]
        self._save()
        self._drop_taken()

    def close(self) -> None:
        """Close the files. They stay while they name groups, so that the next start deletes these."""
        if not (self._current or self._left_over) or not self._saved:
            self._path.unlink(missing_ok=True)  # a start that reached no server created no group
        for fd in (self._fd, *(fd for _, fd in self._taken)):
            os.close(fd)

    def _take_left_over(self) -> None:
        for path in self._folder.glob("*.json"):
            if path == self._path:
                continue
            with contextlib.suppress(OSError):
                fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                if names := self._locked_names(path, fd):
                    self._left_over += names
                    self._taken.append((path, fd))
                else:
                    os.close(fd)

    def _locked_names(self, path: Path, fd: int) -> list[str]:
        if not locks.try_lock(fd):
            return []
        try:
            kept = json.loads(os.pread(fd, 1 << 20, 0) or b"{}")
        except ValueError:
            return []
        if not kept.get("groups"):
            path.unlink(missing_ok=True)  # its terminal was killed before it created a group
            return []
        return [str(name) for name in kept["groups"]] if kept.get("scope") == self._stream.scope else []

    def _drop_taken(self) -> None:
        for path, fd in self._taken:
            with contextlib.suppress(OSError):
                path.unlink()
            os.close(fd)
        self._taken.clear()

    def _save(self) -> None:
        text = json.dumps({"scope": self._stream.scope, "groups": self._current + self._left_over})
        try:
            os.pwrite(self._fd, text.encode(), 0)
            os.ftruncate(self._fd, len(text.encode()))
            self._saved = True
        except OSError as error:
            # At worst a group is left over on the server: no reason to end a chat.
            _log.warning("%s", from_os_error(error, self._path))


def head_group(name: str) -> str:
    """Return the group beside ``name`` that reads a stream of several segments from its head."""
    return f"{name}.h"


def _unique(clock: Clock) -> str:
    # The server never accepts a deleted group's name again: a name holds the time and, for two at once, random bits.
    return f"{max(0, clock.milliseconds()):x}{clock.random_bytes(3).hex()}"
