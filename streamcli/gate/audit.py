"""The gate's audit file: who was invited, joined, came, went, was refused or removed; one line of JSON each."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Final

from streamcli.system import private_files
from streamcli.system.clock import SYSTEM, Clock

MAX_BYTES: Final = 1 << 20  # then the file is moved aside, in place of the one before
_EVERY = 1.0  # seconds between two lines about strangers: they must not fill the disk

_log = logging.getLogger(__name__)


class Audit:
    """Appends to ``audit.log`` in ``folder``. A full disk is logged and stops nobody."""

    def __init__(self, folder: Path, clock: Clock = SYSTEM) -> None:
        self._file, self._clock = folder / "audit.log", clock
        self._last_stranger = float("-inf")
        self._unsaid = 0

    def say(self, what: str, name: str = "", address: str = "", why: str = "") -> None:
        """Add a line. ``what`` is a verb in the past tense: invited, joined, came, went, refused, removed."""
        fields = {"at": self._clock.now().isoformat(timespec="milliseconds"), "what": what}
        given = {"name": name, "from": address, "why": why}
        line = json.dumps(fields | {key: text for key, text in given.items() if text}, ensure_ascii=False)
        try:
            if self._file.exists() and self._file.stat().st_size > MAX_BYTES:
                self._file.replace(self._file.with_name("audit.log.1"))
            fd = private_files.opened(self._file, os.O_WRONLY | os.O_APPEND)
            try:
                os.write(fd, f"{line}\n".encode("utf-8", "backslashreplace"))
            finally:
                os.close(fd)
        except OSError as error:
            _log.warning("the audit file can't be written: %s", error)

    def refuse_stranger(self, address: str, why: str) -> None:
        """Add a line about somebody unknown, at most one a second; the next one says how many were left out."""
        now = self._clock.monotonic()
        if now - self._last_stranger < _EVERY:
            self._unsaid += 1
            return
        more = f"; {self._unsaid} others before" if self._unsaid else ""
        self._last_stranger, self._unsaid = now, 0
        self.say("refused", address=address, why=why + more)
