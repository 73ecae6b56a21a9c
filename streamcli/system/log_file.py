"""The program's log: a bounded file in the state folder, and with ``--verbose`` the terminal as well."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO

from streamcli.errors import StreamcliError, from_os_error
from streamcli.system import private_files
from streamcli.system.locks import locked
from streamcli.system.paths import ensure_dir, state_dir

MAX_BYTES = 512 * 1024


class _Terminal(logging.Handler):
    """Logs to the terminal: to standard error, or to the function that a screen provides."""

    def __init__(self) -> None:
        super().__init__()
        self.write: Callable[[str], object] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if self.write:
            self.write(text)
        else:
            with contextlib.suppress(OSError):
                print(text, file=sys.stderr)


class _SharedFile(RotatingFileHandler):
    """A log file that several processes write to and rotate; each line is one append."""

    def _open(self) -> TextIOWrapper:
        opener = private_files.opened
        return open(self.baseFilename, "a", encoding="utf-8", errors="backslashreplace", opener=opener)

    def shouldRollover(self, record: logging.LogRecord) -> bool:
        """Also switch to the new file when another process has rotated."""
        self._follow()
        return bool(super().shouldRollover(record))

    def doRollover(self) -> None:
        """Rotate, unless another process has done so since the last check."""
        with locked(Path(f"{self.baseFilename}.lock"), wait=None):
            self._follow()
            if self.stream and os.fstat(self.stream.fileno()).st_size > self.maxBytes // 2:
                super().doRollover()

    def _follow(self) -> None:
        try:
            there = Path(self.baseFilename).stat()
        except OSError:
            there = None
        if self.stream and (there is None or not os.path.samestat(there, os.fstat(self.stream.fileno()))):
            self.stream.close()
            self.stream = self._open()


_terminal = _Terminal()


@contextlib.contextmanager
def shown_by(write: Callable[[str], object]) -> Iterator[None]:
    """Meanwhile send ``--verbose`` lines to ``write``, from any thread, so that they don't break the prompt."""
    _terminal.write = write
    try:
        yield
    finally:
        _terminal.write = None


def log_path() -> Path:
    """Return the log's path; one older file is beside it."""
    return state_dir() / "log" / "streamcli.log"


def our_fault(error: BaseException) -> StreamcliError:
    """Turn an unexpected error into a sentence for the user; return a StreamcliError unchanged."""
    if isinstance(error, StreamcliError):
        return error
    worded = StreamcliError(
        f"Something is wrong in streamcli itself ({type(error).__name__}). The log says more: {log_path()}"
    )
    worded.__cause__ = error
    return worded


def set_up(*, verbose: bool) -> None:
    """Start logging; raise CannotCreate or FileTrouble when the file can't be created."""
    path = log_path()
    ensure_dir(path.parent)
    try:
        handlers: list[logging.Handler] = [_SharedFile(path, maxBytes=MAX_BYTES, backupCount=1)]
    except OSError as error:
        raise from_os_error(error, path) from error
    if verbose:
        handlers.append(_terminal)
    logging.raiseExceptions = False  # a full disk must not print a traceback over the prompt
    logging.basicConfig(
        level=logging.WARNING,  # of libraries: their lower levels may quote a password, as hpack's do
        format="%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s",
        handlers=handlers,
        force=True,
    )
    logging.getLogger("streamcli").setLevel(logging.DEBUG if verbose else logging.INFO)


def worker_log() -> IO[bytes]:
    """Open the file for the workers' standard error (the client library's panics); it is emptied when large."""
    path = ensure_dir(log_path().parent) / "workers.log"
    try:
        too_large = path.exists() and path.stat().st_size > MAX_BYTES
        fd = private_files.opened(path, os.O_WRONLY | os.O_APPEND | (os.O_TRUNC if too_large else 0))
    except OSError as error:
        raise from_os_error(error, path) from error
    return os.fdopen(fd, "ab", buffering=0)
