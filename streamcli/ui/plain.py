"""The screen for pipes, files and dumb terminals: prints messages as plain lines, reads input from standard input."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import threading
from collections.abc import Callable

from streamcli.errors import from_os_error
from streamcli.system.fd_lines import lines
from streamcli.system.guard import start_thread
from streamcli.system.printing import Printer
from streamcli.system.standard_files import STDERR, STDIN
from streamcli.ui import ScreenDelegate

AT_ONCE = 200  # lines taken in one step of the loop
MANY = 5000  # pending messages at which reading standard input pauses
STANDS_STILL = 1.0  # seconds without progress after which it resumes all the same


class PlainScreen:
    """A :class:`streamcli.ui.Screen` without escape codes."""

    def __init__(self, host: ScreenDelegate) -> None:
        self._host = host
        self._loop = asyncio.get_running_loop()
        self._done, self._printed = asyncio.Event(), asyncio.Event()
        self._failed = False
        self._printer = Printer(self._cannot_print)

    def draw(self, text: str) -> None:
        """Print lines. The program ends when the reader of the pipe is gone."""
        if not self._done.is_set():
            self._printer.print(text)

    def note(self, text: str) -> None:
        """Print a notice to standard error, so that a pipe gets messages only."""
        self._printer.print(text, fd=STDERR)

    def refresh(self) -> None:
        """Do nothing: plain lines have no status line."""

    def after_drawing(self, then: Callable[[], None]) -> None:
        """Call ``then`` when everything before is printed: a pipe's slow reader slows down the reading of the log."""
        self._printer.print("", then)

    async def run(self) -> None:
        """Read standard input until :meth:`close`; return when all output is printed."""
        start_thread(self._read, "stdin")
        await self._done.wait()
        self._printer.print("", self._printed.set)
        await self._printed.wait()

    def close(self, within: float | None = None) -> None:
        """End :meth:`run`. May be called again to set a limit of ``within`` seconds."""
        self._done.set()
        if within is not None:
            self._loop.call_later(within, self._printed.set)

    def _cannot_print(self, error: OSError) -> None:
        if self._failed:
            return
        self._failed = True
        if isinstance(error, BrokenPipeError):
            self._host.leave()
        else:
            self._host.note(str(from_os_error(error, "the output")))
            self._host.leave(code=74)

    def _read(self) -> None:
        code = 0
        try:
            for some in lines(STDIN):
                taken = threading.Event()
                self._tell(self._take, some, taken.set)
                taken.wait()
        except OSError as error:
            if error.errno != errno.EIO:  # the terminal is gone
                self._tell(self._host.note, str(from_os_error(error, "standard input")))
                code = 74
        self._tell(lambda: self._host.leave(code=code))

    def _take(self, some: list[bytes], taken: Callable[[], None]) -> None:
        """Take AT_ONCE lines in each step of the loop, so that signals and the server are served meanwhile."""
        for line in some[:AT_ONCE]:
            self._host.typed(line.decode("utf-8", "replace").removesuffix("\r"))
        if rest := some[AT_ONCE:]:
            self._loop.call_soon(self._take, rest, taken)
        else:
            self._when_fewer_wait(taken, self._loop.time(), MANY)

    def _when_fewer_wait(self, then: Callable[[], None], since: float, before: int) -> None:
        """Backpressure: call ``then`` when fewer than MANY messages are pending, or none was confirmed for a while."""
        waiting, now = len(self._host.pending()), self._loop.time()
        if waiting < MANY or self._done.is_set() or (waiting >= before and now - since > STANDS_STILL):
            then()
            return
        if waiting < before:
            since = now
        self._loop.call_later(0.05, self._when_fewer_wait, then, since, waiting)

    def _tell(self, what: Callable[..., object], *values: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the program is ending
            self._loop.call_soon_threadsafe(what, *values)
