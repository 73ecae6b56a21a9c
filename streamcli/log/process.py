"""A worker that is a process of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import IO, TYPE_CHECKING

from streamcli.log.channel import Channel, WorkerEvents
from streamcli.log.frames import Frame, pack_json
from streamcli.log.redaction import redacted
from streamcli.model.address import Controller, Login

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_LONGEST_LINE = 1 << 16


class WorkerProcess(Channel):
    """One worker process. Create and call it in the event loop's thread."""

    def __init__(
        self,
        module: str,
        controller: Controller,
        request: DataclassInstance,
        log: IO[bytes] | int,
        events: WorkerEvents,
    ) -> None:
        """Start ``python -m module`` with ``request`` for ``controller``; raises OSError when the system can't.

        ``log`` takes its standard error, without passwords: the library's panics quote them.
        """
        self._process = start_process(module, subprocess.PIPE)
        assert self._process.stdin and self._process.stdout
        # A descriptor of our own: the loop may be gone before it could close a file object, which then would warn.
        self._in, self._out = os.dup(self._process.stdin.fileno()), self._process.stdout.fileno()
        self._process.stdin.close()
        os.set_blocking(self._in, False)
        super().__init__(module, self._in, events)
        # The account goes through the pipe: others could read a process's arguments or environment.
        self.send(pack_json(Frame.START, parent=os.getpid(), controller=asdict(controller), request=asdict(request)))
        self._logging = keep_log(self._process, log, controller.login)
        self._listen()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def kill(self) -> None:
        """Kill the process; it holds nothing that would be lost."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def _read(self, size: int) -> bytes:
        return os.read(self._out, size)

    def _write(self, piece: bytes | bytearray) -> int:
        return os.write(self._in, piece)

    def _finish(self) -> None:
        self.kill()
        self._process.wait()
        self._logging.join()
        self._process.stdout.close()  # type: ignore[union-attr]

    def _close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._in)


def start_process(module: str, stdin: int, stdout: int = subprocess.PIPE, **more: str) -> subprocess.Popen[bytes]:
    """Start ``python -m module`` with ``more`` in its environment; raises OSError when the system can't.

    It runs in its own session, so that Ctrl-C and Ctrl-Z reach only the prompt, and in ``/``, so that it can't import
    modules from the user's current folder by accident.
    """
    return subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        start_new_session=True,
        cwd="/",
        env={**os.environ, **more} if more else None,
    )


def keep_log(
    process: subprocess.Popen[bytes],
    log: IO[bytes] | int,
    login: Login | None,
    heard: Callable[[str], object] = lambda line: None,
) -> threading.Thread:
    """Copy the standard error of ``process`` to ``log`` in a thread: line by line, without passwords, until it ends.

    ``heard`` is called there with each line.
    """

    def copy() -> None:
        assert process.stderr
        with process.stderr as errors:
            follows = False  # whether this piece continues a line that was too long
            while piece := errors.readline(_LONGEST_LINE):
                whole = piece.endswith(b"\n")
                # Half a line could end in half a password, which no pattern would match.
                if whole and not follows:
                    text = redacted(piece.decode(errors="replace"), login)
                    heard(text)
                    if not isinstance(log, int):
                        with contextlib.suppress(OSError, ValueError):  # full, or closed because the program ends
                            log.write(text.encode())
                follows = not whole
        process.wait()

    thread = threading.Thread(target=copy, name=f"{process.pid}-log", daemon=True)
    thread.start()
    return thread
