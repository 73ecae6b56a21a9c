"""Keeps the gate running beside the server, as long as somebody is a guest or invited."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from streamcli.errors import StreamcliError
from streamcli.java.detached import start_detached
from streamcli.system.clock import SYSTEM, Clock
from streamcli.system.locks import is_held
from streamcli.system.paths import ensure_dir, gate_dir, gate_state_dir

GATE: Final = (sys.executable, "-m", "streamcli.gate")
GUESTS: Final = "guests.json"
LOCK: Final = "lock"  # held as long as a gate runs
_LOOK = 0.5  # seconds
_PAUSES = (0.0, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)  # seconds before the next start, by starts in a row that did not last
_LASTS = 10.0  # seconds

_log = logging.getLogger(__name__)


def start_gate() -> None:
    """Start a gate in the background; if one runs already, the new one ends at once. Raises StreamcliError."""
    folder = ensure_dir(gate_state_dir())
    start_detached(GATE, folder, folder / "console.log")


def keep_gate(clock: Clock = SYSTEM) -> None:
    """In a thread, look for ever whether a gate is wanted and missing, and start it."""
    keeper = GateKeeper(gate_dir() / GUESTS, gate_state_dir() / LOCK, start_gate, clock.monotonic)

    def run() -> None:
        while True:
            keeper.look()
            clock.sleep(_LOOK)

    threading.Thread(target=run, name="gate keeper", daemon=True).start()


class GateKeeper:
    """Decides when to start a gate. All calls are for one thread."""

    def __init__(self, guests: Path, lock: Path, start: Callable[[], None], now: Callable[[], float]) -> None:
        self._guests, self._lock, self._start, self._now = guests, lock, start, now
        self._starts = 0
        self._last = float("-inf")

    def look(self) -> None:
        """Start a gate if one is wanted, none runs, and the last start was long enough ago."""
        if not self._anybody() or self._runs():
            if self._now() - self._last > _LASTS:
                self._starts = 0
            return
        if self._now() - self._last < _PAUSES[min(self._starts, len(_PAUSES) - 1)]:
            return
        self._starts += 1
        self._last = self._now()
        try:
            self._start()
        except StreamcliError as error:
            _log.warning("the gate can't be started: %s", error)

    def _anybody(self) -> bool:
        with suppress(OSError, ValueError, KeyError, TypeError):
            listed = json.loads(self._guests.read_bytes())
            return bool(listed["guests"] or listed["invites"])
        return False

    def _runs(self) -> bool:
        with suppress(OSError):
            return is_held(self._lock)
        return False
