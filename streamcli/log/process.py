"""The parent's side of a worker: a process, frames sent without ever waiting, frames received in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import IO, TYPE_CHECKING

from streamcli.log.frames import Frame, Received, pack_json, read_frames
from streamcli.log.redaction import redacted
from streamcli.model.address import Controller
from streamcli.system.guard import post

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_PIECE = 1 << 16
_LONGEST_LINE = 1 << 16
_log = logging.getLogger(__name__)


class WorkerProcess:
    """One worker process. Create and call it in the event loop's thread."""

    def __init__(
        self,
        module: str,
        controller: Controller,
        request: DataclassInstance,
        log: IO[bytes] | int,
        on_frame: Callable[[Received], None],
        on_end: Callable[[], None],
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        """Start ``python -m module`` with ``request`` for ``controller``; raises OSError when the system can't.

        ``log`` takes its standard error, without passwords: the library's panics quote them.
        ``on_frame`` is called in a separate thread, and ``settle`` after the last frame: it returns when all frames
        were passed on. Then ``on_end`` is called, once, in the loop: the process is gone. The worker runs in its own
        session, so that Ctrl-C and Ctrl-Z reach only the prompt, and in ``/``, so that it can't import modules from the
        user's current folder by accident.
        """
        self._module = module
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            cwd="/",
        )
        assert self._process.stdin and self._process.stdout
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._in, False)
        self._unsent = bytearray()
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._on_frame, self._on_end, self._settle = on_frame, on_end, settle
        self._login, self._log = controller.login, None if isinstance(log, int) else log
        # The account goes through the pipe: others could read a process's arguments or environment.
        self.send(pack_json(Frame.START, parent=os.getpid(), controller=asdict(controller), request=asdict(request)))
        name = module.rpartition(".")[2]
        self._logging = threading.Thread(target=self._keep_log, name=f"{name}-log", daemon=True)
        self._logging.start()
        threading.Thread(target=self._listen, name=name, daemon=True).start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def send(self, frame: bytes) -> None:
        """Send one frame; what the pipe can't take now is sent later."""
        if self._closed:
            return
        self._unsent += frame
        if len(self._unsent) == len(frame):
            self._flush()

    def kill(self) -> None:
        """Kill the process; it holds nothing that would be lost."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def _flush(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: os.write(self._in, self._unsent[:_PIECE])]
            self._loop.remove_writer(self._in)
        except BlockingIOError:
            self._loop.add_writer(self._in, self._flush)
        except OSError:  # it is gone, which the listening thread notices
            self._unsent.clear()
            self._loop.remove_writer(self._in)

    def _listen(self) -> None:
        try:
            for received in read_frames(lambda size: os.read(self._out, size)):
                self._on_frame(received)
        except Exception:
            # Invalid frames must not print a traceback over the prompt. The worker is replaced as if it had ended.
            if not self._loop.is_closed():
                _log.exception("what %s %d said can't be used", self._module, self.pid)
        finally:
            self.kill()
            self._process.wait()
            self._logging.join()
            self._process.stdout.close()  # type: ignore[union-attr]
            self._settle()
            post(self._loop, self._end)

    def _keep_log(self) -> None:
        assert self._process.stderr
        with self._process.stderr as errors:
            follows = False  # whether this piece continues a line that was too long
            while piece := errors.readline(_LONGEST_LINE):
                whole = piece.endswith(b"\n")
                # Half a line could end in half a password, which no pattern would match.
                if whole and not follows and self._log:
                    text = redacted(piece.decode(errors="replace"), self._login)
                    with contextlib.suppress(OSError, ValueError):  # full, or closed because the program ends
                        self._log.write(text.encode())
                follows = not whole

    def _end(self) -> None:
        # In one step with on_end: nothing may write to this pipe's number once it can mean another file.
        self._closed = True
        self._unsent.clear()
        self._loop.remove_writer(self._in)
        with contextlib.suppress(OSError):
            self._process.stdin.close()  # type: ignore[union-attr]
        self._on_end()
