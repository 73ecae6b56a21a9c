"""Blocking reads and writes on standard files, even if another program has set them to non-blocking.

The flag belongs to the open file, which other programs share, so it is not changed.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
from typing import Any, TextIO

STDIN, STDOUT, STDERR = 0, 1, 2


def read(fd: int, size: int) -> bytes:
    """Wait for data and read at most ``size`` bytes; b"" at the end."""
    while True:
        try:
            return os.read(fd, size)
        except BlockingIOError:
            _wait(fd, select.POLLIN)


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write all of ``data``, however slow its reader is."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(fd, rest) :]
        except BlockingIOError:
            _wait(fd, select.POLLOUT)


class _Patient(io.FileIO):
    """A standard file whose writes are never short, as the io layers above it expect."""

    def write(self, data: Any, /) -> int:
        """Write all of ``data``."""
        view = memoryview(data).cast("B")
        write_all(self.fileno(), view)
        return view.nbytes


class _Forgiving(_Patient):
    """Like _Patient, but loses text that can't be written: the exit code still tells the result."""

    def write(self, data: Any, /) -> int:
        """Write all of ``data`` if possible."""
        with contextlib.suppress(OSError):
            super().write(data)
        return memoryview(data).nbytes


def patient(stream: TextIO, forgiving: bool = False) -> TextIO:
    """Wrap a standard stream so that it writes everything even to a non-blocking file, and any character.

    A ``forgiving`` one ignores write errors.
    """
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter((_Forgiving if forgiving else _Patient)(stream.fileno(), "wb", closefd=False)),
        encoding=stream.encoding,
        errors="backslashreplace",  # for characters that a locale other than UTF-8 can't encode
        line_buffering=stream.line_buffering or stream.write_through,
    )


def _wait(fd: int, event: int) -> None:
    waiting = select.poll()
    waiting.register(fd, event)
    waiting.poll()
