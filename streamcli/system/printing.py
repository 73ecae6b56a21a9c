"""Prints in a thread: standard output may be slow, and its reader may disappear while nothing is printed."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import queue
import select
import sys
from collections.abc import Callable

from streamcli.system.guard import post, start_thread
from streamcli.system.standard_files import STDERR, STDOUT, write_all

_GONE = select.POLLERR | select.POLLHUP


class Printer:
    """Prints in order in a separate thread, so that a slow reader does not stop the loop."""

    def __init__(self, failed: Callable[[OSError], None]) -> None:
        """``failed`` is called in the loop when standard output can't be written, and as soon as its reader is gone.

        In the latter case it gets a BrokenPipeError, possibly twice. Nothing is written to standard output after that.
        """
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[tuple[int, str, Callable[[], None] | None]] = queue.SimpleQueue()
        sys.stdout.flush()  # the thread writes to the descriptor: a lock held by it would abort the exit
        start_thread(self._print, "printer")
        start_thread(self._watch, "reader-of-stdout")

    def print(self, text: str, then: Callable[[], None] | None = None, fd: int = STDOUT) -> None:
        """Print ``text``, unless empty, as lines; then call ``then`` in the loop."""
        self._queue.put((fd, text, then))

    async def printed(self, within: float | None = None) -> None:
        """Wait until everything passed to :meth:`print` before is printed, at most ``within`` seconds."""
        done = asyncio.Event()
        self.print("", done.set)
        with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
            await asyncio.wait_for(done.wait(), within)

    def _print(self) -> None:
        encodings = {STDOUT: sys.stdout.encoding, STDERR: sys.stderr.encoding}
        broken = False
        while True:
            fd, text, then = self._queue.get()
            try:
                if text and not (broken and fd == STDOUT):
                    write_all(fd, f"{text}\n".encode(encodings[fd], "backslashreplace"))
            except OSError as error:
                if fd == STDOUT:  # if standard error fails, there is nowhere to report it
                    broken = True
                    post(self._loop, self._failed, error)
            if then:
                post(self._loop, then)

    def _watch(self) -> None:
        # An idle writer would notice only with its next message that the reader is gone.
        waiting = select.poll()
        waiting.register(STDOUT, 0)
        if any(event & _GONE for _, event in waiting.poll()):
            post(self._loop, self._failed, BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)))
