"""Restarts the embedded server after a crash: in the background, with growing pauses between successive attempts."""

from __future__ import annotations

import threading

from streamcli.errors import StreamcliError
from streamcli.java.progress import Quiet
from streamcli.server import control
from streamcli.server.control import State, Status
from streamcli.system.clock import SYSTEM, Clock

_FIRST_PAUSE = 1.0  # seconds between the first two attempts; each later pause is twice as long
_LONGEST_PAUSE = 60.0  # seconds
_STEADY = 60.0  # seconds that a server must have run to reset the pause


class CrashRestarter:
    """Checks the server and, if it crashed, has a thread start it. No call waits for that."""

    def __init__(self, timeout: float, clock: Clock = SYSTEM) -> None:
        """A start may take ``timeout`` seconds."""
        self._timeout, self._clock = timeout, clock
        self._thread: threading.Thread | None = None
        self._next, self._pause = 0.0, _FIRST_PAUSE
        self._failure: str | None = None

    def look(self, patience: float) -> Status:
        """Return the server's status, in at most ``patience`` seconds; its detail tells what is being done."""
        status = control.status(patience, self._clock)
        if status.state is State.RUNNING and status.since and self._clock.seconds() - status.since > _STEADY:
            self._pause = _FIRST_PAUSE
        if status.state is not State.CRASHED:
            return status
        if self._thread and self._thread.is_alive():
            return Status(State.STARTING, "The embedded server ended unexpectedly and is being started again.")
        now = self._clock.monotonic()
        if now < self._next:
            why = self._failure or status.detail
            return Status(State.CRASHED, f"{why} Starting it again in {self._next - now:.0f} s.")
        self._next, self._pause = now + self._pause, min(2 * self._pause, _LONGEST_PAUSE)
        self._thread = threading.Thread(target=self._start, daemon=True, name="start the server")
        self._thread.start()
        return Status(State.STARTING, "The embedded server ended unexpectedly and is being started again.")

    def _start(self) -> None:
        self._failure = None
        try:
            # It may have been stopped, or started, meanwhile.
            if control.status(clock=self._clock).state is State.CRASHED:
                control.ensure_running(Quiet(), self._timeout, clock=self._clock)
        except StreamcliError as error:
            self._failure = str(error)
