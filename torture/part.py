"""`Part`: the server or the gate, as faults hit it: how it is, since when, and how long it was away each time."""

from __future__ import annotations

from collections.abc import Callable

import psutil

LOOK_EVERY = 0.3  # seconds between looks at a part that is away


class Part:
    """A process that others need, and that comes back after a kill."""

    def __init__(
        self,
        name: str,
        process: Callable[[], psutil.Process | None],
        is_well: Callable[[], bool],
        breath: float,
    ) -> None:
        """``breath`` is how many seconds it must have been well before it is hit again: else it would never be."""
        self.name, self.process, self._is_well, self._breath = name, process, is_well, breath
        self.states: list[tuple[float, str]] = [(0.0, "well")]  # since when (monotonic seconds) it is how
        self.restarts: list[float] = []  # seconds from its end until it was well again
        self.stopped = self.holes = 0  # faults of this kind that last
        self._away = False
        self._killed: psutil.Process | None = None
        self._away_since = self._well_since = self._looked = 0.0

    @property
    def state(self) -> str:
        """How it is, in a word."""
        return self.states[-1][1]

    def may_be_hit(self, now: float) -> bool:
        """Whether it is there, and has been for a while."""
        return not (self._away or self.stopped or now < self._well_since + self._breath)

    def went(self, now: float, killed: psutil.Process | None = None) -> None:
        """It was killed, or goes on after a stop that it may not outlive: look at it until it is well."""
        self._away, self._away_since, self._killed = True, now, killed

    def look(self, now: float) -> float | None:
        """Look at it if it is away; return how many seconds it was away when it has come back."""
        if self._away and not self.stopped and now > self._looked + LOOK_EVERY:
            self._looked = now
            if self._is_well() and self.process() != self._killed:  # whose end may take a moment
                self._away, self._well_since = False, now
                self.restarts.append(now - self._away_since)
                return self.restarts[-1]
        return None

    def note(self, now: float) -> None:
        """Note how it is if that has changed."""
        state = "stopped" if self.stopped else "dead" if self._away else "black hole" if self.holes else "well"
        if state != self.state:
            self.states.append((now, state))
