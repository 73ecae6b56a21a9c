"""Reports the progress of a start to the user: stages as text, the download as bytes."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import Protocol, TextIO

_LINE_EVERY = 5.0  # seconds between lines where no bar can be drawn
_BAR_EVERY = 0.1  # seconds between two drawings of the bar
_MB = 1e6


class Progress(Protocol):
    """Receives the progress of a start; called only from the thread that starts."""

    def stage(self, text: str) -> None:
        """A new stage has begun; ``text`` is a few words such as ``starting Java``."""

    def download(self, done: int, total: int) -> None:
        """``done`` of ``total`` bytes are present; called several times a second, last with ``done == total``."""


class Quiet:
    """Shows nothing."""

    def stage(self, text: str) -> None:
        """Ignore it."""

    def download(self, done: int, total: int) -> None:
        """Ignore it."""


class Lines:
    """Writes stages as lines on ``err``; the download as one bar on a terminal, else as a line every few seconds."""

    def __init__(self, err: TextIO, what: str = "server", now: Callable[[], float] = time.monotonic) -> None:
        """Write to ``err``, which is the program's standard error; lines begin with ``what`` is started."""
        self._err, self._what, self._now = err, what, now
        self._bar = err.isatty()
        self._bar_drawn = False
        self._first: tuple[float, int] | None = None  # when the download began, and the bytes present then
        self._last = 0.0
        self._complete = False

    def stage(self, text: str) -> None:
        """Write the stage on its own line."""
        self._end_bar()
        self._err.write(f"{self._what}: {text}\n")
        self._err.flush()

    def download(self, done: int, total: int) -> None:
        """Redraw the bar, or write a line when one is due."""
        now = self._now()
        if self._first is None:
            self._first = (now, done)
        complete = done >= total
        if self._complete or (not complete and now - self._last < (_BAR_EVERY if self._bar else _LINE_EVERY)):
            return
        self._last, self._complete = now, complete
        text = f"{self._what}: {download_text(done, total, done - self._first[1], now - self._first[0])}"
        if self._bar:
            width = shutil.get_terminal_size().columns - 1
            self._err.write(f"\r{text[:width]}\x1b[K")
            self._bar_drawn = True
        else:
            self._err.write(text + "\n")
        if complete:
            self._end_bar()
        self._err.flush()

    def _end_bar(self) -> None:
        if self._bar_drawn:
            self._err.write("\n")
            self._bar_drawn = False


def download_text(done: int, total: int, received: int, seconds: float) -> str:
    """Describe a download in one line: ``done`` of ``total`` bytes, ``received`` of them in the last ``seconds``."""
    text = f"fetching {done / _MB:.1f} of {total / _MB:.1f} MB, {100 * done // max(total, 1)} %"
    if received <= 0 or seconds <= 0:
        return text
    rate = received / seconds
    text += f", {rate / _MB:.1f} MB/s"
    if done < total:
        text += f", {_duration((total - done) / rate)} left"
    return text


def _duration(seconds: float) -> str:
    whole = max(1, round(seconds))
    return f"{whole} s" if whole < 100 else f"{round(whole / 60)} min"
