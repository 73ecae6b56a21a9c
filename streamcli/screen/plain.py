"""Plain lines, for pipes, files and dumb terminals: what comes is printed, what is on standard input is typed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading

from streamcli.errors import from_os_error
from streamcli.lines import lines
from streamcli.screen import Host

STDIN = 0


class PlainScreen:
    """A :class:`streamcli.screen.Screen` without escape codes."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._loop = asyncio.get_running_loop()
        self._done = asyncio.Event()
        self._failed = False

    def draw(self, text: str) -> None:
        """Print lines; the program ends when nobody reads them any more."""
        if self._done.is_set() or self._failed:
            return
        try:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that the interpreter's last flush says nothing
            self._host.leave()
        except OSError as error:
            self._failed = True
            self._host.note(str(from_os_error(error, "the output")))
            self._host.leave(code=74)

    def note(self, text: str) -> None:
        """The program's own words go where errors go, so that a pipe gets messages only."""
        with contextlib.suppress(OSError):
            print(text, file=sys.stderr, flush=True)

    def refresh(self) -> None:
        """Nothing stands beside the lines."""

    async def run(self) -> None:
        """Take lines from standard input until :meth:`close`."""
        threading.Thread(target=self._read, name="stdin", daemon=True).start()
        await self._done.wait()

    def close(self) -> None:
        """End :meth:`run`."""
        self._done.set()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError, RuntimeError):  # closed, or the program is ending
            for some in lines(STDIN):
                for line in some:
                    text = line.decode("utf-8", "replace").removesuffix("\r")
                    self._loop.call_soon_threadsafe(self._host.typed, text)
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._host.leave)
